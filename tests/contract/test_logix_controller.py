"""The EtherNet/IP link against controllers that are not as the contract wants them, and what pycomm3 itself does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from ethernetip.logix.tag_client import TagClient
from pycomm3 import LogixDriver

from controller.drivers.plc.ethernet_ip import EthernetIpPlc, EthernetIpPlcSettings
from controller.drivers.plc.logix_client import LogixTag, Refusal
from controller.drivers.plc.logix_pycomm import PycommClient
from controller.drivers.plc.tags import FOUR_PHASE, SEQUENCE, Direction, TagType
from controller.errors import ConfigError, DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from controller.sim.logix_tags import LogixTags
from controller.sim.plc_tags import DeclaredTag, TagKind
from controller.sim.sequence_tags import declared_tags
from statemachines.vocabulary import MS, Action, Answer, Mode, Ns, Reason, Severity, Verdict
from tests.contract.tag_server import FreezingProxy, free_port

UDT, FLAT, PROGRAM = "Linegate.{tag}", "Linegate_{flat}", "Program:Main.Linegate_{flat}"


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


def answer(seq: int, part_id: int | str) -> Answer:
    return Answer(
        seq, part_id, 1, 2, Action.PASS, Verdict.OK, Reason.DECIDED, 0, Severity.NONE, 0, 0.1, 900, Mode.ALERT
    )  # fmt: skip


@dataclass(frozen=True)
class Program:
    """How a downloaded program differs from what the contract wants."""

    without: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict[str, str])


class Controller:
    """A Logix controller of this test; `written` holds the names of what the station wrote, in its order."""

    def __init__(self, pattern: str = UDT, part_ids: TagKind = TagKind.WORD, **changes: Any) -> None:
        self.written: list[str] = []
        self.declared = declared_tags(2, part_ids)
        self.tags = LogixTags("127.0.0.1", 0, self.declared, self.written.append, pattern=pattern, **changes)
        self.address = ""

    def download(self, program: Program) -> None:
        """Load a program that differs; connections stay."""
        self.tags.download(
            [
                DeclaredTag(tag.name, tag.kind, tag.writable and tag.name not in program.locked)
                for tag in self.declared
                if tag.name not in program.without
            ],
            program.types,
        )


@asynccontextmanager
async def controller(
    pattern: str = UDT, part_ids: TagKind = TagKind.WORD, **changes: Any
) -> AsyncGenerator[Controller]:
    made = Controller(pattern, part_ids, **changes)
    made.address = await made.tags.start()
    try:
        yield made
    finally:
        await made.tags.stop()


def link(plc: Controller, **changes: Any) -> EthernetIpPlc:
    usual: dict[str, Any] = {"depth": 2}
    return EthernetIpPlc(EthernetIpPlcSettings(plc.address, **(usual | changes)))


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize("pattern", [UDT, FLAT, PROGRAM])
async def test_layouts_strings_and_small_connections(pattern: str, large: bool) -> None:
    async with controller(pattern, TagKind.TEXT, large_messages=large) as made:
        plc = link(made, pattern=pattern, part_id="string")
        await plc.connect(within(5000))
        made.tags.cell("Trigger[1].PartId").set("Bäckerei 7")
        made.tags.cell("TriggerSeq").set(2)
        reading = await plc.read([1, 2], within(1000))
        assert reading.head.trigger_seq == 2
        assert [slot.part_id for slot in reading.slots] == ["", "Bäckerei 7"]
        await plc.write_answer(answer(2, "Bäckerei 7"), within(1000))
        assert made.written == [*(tag.at(1) for tag in SEQUENCE.result), "Result[1].ResultSeq"]
        assert made.tags.cell("Result[1].PartIdEcho").get() == "Bäckerei 7"
        assert made.tags.cell("Result[1].Score").get() == pytest.approx(0.1)
        for wrong in ("x" * 83, "漢", 17):
            with pytest.raises(DeviceRefused, match="PartIdEcho"):
                await plc.write_answer(answer(2, wrong), within(1000))
        await plc.close()


STRINGS = {f"Trigger[{slot}].PartId": "STRING" for slot in range(2)}
ALL = tuple(tag.name for tag in declared_tags(2, TagKind.WORD))


@pytest.mark.parametrize(
    ("pattern", "program", "tag", "cure"),
    [
        (UDT, Program(without=("PlcClockMs",)), "PlcClockMs", "create it"),
        (FLAT, Program(without=("Result[1].Mode",)), "Result[1].Mode", "array as long"),
        (PROGRAM, Program(without=ALL), "TriggerSeq", "check its name"),
        (UDT, Program(types={"Ready": "INT"}), "Ready", "make it a BOOL"),
        (UDT, Program(types={"Result[0].Score": "DINT"}), "Result[0].Score", "make it a REAL"),
        (UDT, Program(types={"Heartbeat": "INT"}), "Heartbeat", "too narrow"),
        (FLAT, Program(types={"RecipeActive": "UDINT"}), "RecipeActive", "cannot hold every RecipeRequest"),
        (FLAT, Program(types=STRINGS), "Trigger[0].PartId", "part_id to string"),
        (FLAT, Program(locked=("Fallback",)), "Fallback", "External Access Read Only"),
    ],
)
async def test_names_the_tag_that_can_never_work(pattern: str, program: Program, tag: str, cure: str) -> None:
    async with controller(pattern) as made:
        made.download(program)
        plc = link(made, pattern=pattern)
        with pytest.raises(ConfigError, match=cure) as caught:
            await plc.connect(within(5000))
        assert (caught.value.file, caught.value.key) == (made.address, tag)
        with pytest.raises(DeviceUnavailable):
            await plc.read((), within(100))


async def test_a_narrow_number_is_enough_for_a_small_modulus() -> None:
    async with controller(types={"Heartbeat": "INT", "Overruns": "UDINT", "Result[0].Score": "LREAL"}) as made:
        plc = link(made, modulus=32767)
        await plc.connect(within(5000))
        await plc.write_status({"Heartbeat": 32767, "Overruns": (1 << 32) - 1}, within(1000))
        assert made.tags.cell("Heartbeat").get() == 32767
        assert made.tags.cell("Overruns").get() == (1 << 32) - 1
        for name, value in (("Heartbeat", 32768), ("Overruns", -1)):
            with pytest.raises(DeviceRefused, match=name):
                await plc.write_status({name: value}, within(1000))
        await plc.close()


async def test_optional_tags_may_lack_unless_they_are_named() -> None:
    optional = [tag.at(index) for tag in SEQUENCE.tags if tag.optional for index in range(2 if tag.ring else 1)]
    async with controller() as made:
        made.download(Program(without=tuple(optional)))
        plc = link(made)
        await plc.connect(within(5000))
        reading = await plc.read([1], within(1000))
        assert (reading.head.gate_seq, reading.slots[0].encoder_pos) == (0, 0)
        await plc.close()
        with pytest.raises(ConfigError, match="GateSeq"):
            await link(made, overrides={"GateSeq": "Linegate.GateSeq"}).connect(within(5000))


async def test_a_tag_may_have_a_name_of_its_own() -> None:
    async with controller(FLAT) as made:
        names = {"Ready": "Linegate_AlertRequest", "AlertRequest": "Linegate_Ready"}
        plc = link(made, pattern=FLAT, overrides=names)
        await plc.connect(within(5000))
        await plc.write_status({"Ready": True}, within(1000))
        await plc.close()
        assert made.written == ["AlertRequest"]


@pytest.mark.parametrize("pattern", [UDT, FLAT])
async def test_after_a_download_a_tag_is_itself_or_refused(pattern: str) -> None:
    """Every instance number now belongs to another tag, and the connection stands: the worst that can be."""
    async with controller(pattern) as made:
        for index, tag in enumerate(made.declared):
            if tag.kind is TagKind.WORD:
                made.tags.cell(tag.name).set(1000 + index)
        plc = link(made, pattern=pattern)
        await plc.connect(within(5000))
        before = (await plc.read([1, 2], within(1000))).head
        made.tags.download(list(reversed(made.declared)))
        assert (await plc.read([1, 2], within(1000))).head == before
        made.download(Program(types={"PlcEpoch": "INT"}))
        with pytest.raises(DeviceRefused, match=r"PlcEpoch.*another type"):
            await plc.read([1], within(1000))
        await plc.close()
        made.download(Program(without=("ModeCeiling",)))
        with pytest.raises(ConfigError, match="ModeCeiling"):
            await plc.connect(within(5000))
        made.download(Program())
        await plc.connect(within(5000))
        made.download(Program(without=("PlcEpoch",)))
        with pytest.raises(DeviceRefused, match=r"PlcEpoch.*no such tag"):
            await plc.read([1], within(1000))
        await plc.close()
        made.download(Program())
        await plc.connect(within(5000))
        assert (await plc.read([1, 2], within(1000))).head == before
        await plc.close()


async def test_the_four_phase_profile() -> None:
    async with controller() as made:
        kinds = {TagType.BOOL: TagKind.BIT, TagType.REAL: TagKind.REAL}
        made.tags.download(
            [
                DeclaredTag(name, kinds.get(tag.type, TagKind.WORD), tag.direction is Direction.STATION_TO_PLC)
                for name, tag in FOUR_PHASE.names(2).items()
            ]
        )
        made.tags.cell("Trigger").set(True)
        made.tags.cell("TriggerId").set(9)
        made.tags.cell("PartId").set(4711)
        plc = link(made, profile="four-phase")
        await plc.connect(within(5000))
        reading = await plc.read([9], within(1000))
        assert reading.head.trigger and not reading.head.result_ack
        assert [(slot.seq, slot.part_id) for slot in reading.slots] == [(9, 4711)]
        await plc.write_answer(answer(9, 4711), within(1000))
        await plc.write_status({"ResultValid": True}, within(1000))
        await plc.close()
        assert made.written == [*(tag.name for tag in FOUR_PHASE.result), "Result.TriggerId", "ResultValid"]
        assert made.tags.cell("Result.PartIdEcho").get() == 4711


async def test_a_micro800_is_refused_with_the_cure() -> None:
    async with controller(product="2080-LC50-24QWB") as made:
        with pytest.raises(ConfigError, match="Modbus TCP"):
            await link(made).connect(within(5000))


class Meddler(FreezingProxy):
    """A relay that changes the controller's replies to connected messages."""

    def __init__(self, target_port: int, change: Callable[[bytearray], None]) -> None:
        super().__init__(target_port)
        self._change = change
        self.meddling = False

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := bytearray(await source.read(65536)):
            from_controller = sink.get_extra_info("peername")[1] != self._target
            if self.meddling and from_controller and data[0] == 0x70:
                self._change(data)
            sink.write(bytes(data))
        sink.close()


def overwrite(at: int, value: int) -> Callable[[bytearray], None]:
    def change(reply: bytearray) -> None:
        reply[at] = value

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (overwrite(8, 0x64), "encapsulation status"),
        (overwrite(46, 0xCC), "another service's reply"),
        (overwrite(48, 0x11), "does not fit the connection"),
        (overwrite(50, 3), "3 replies to"),
        (overwrite(44, 0xEE), "sequence count"),
    ],
)
async def test_a_reply_that_is_not_whole_is_none(change: Callable[[bytearray], None], why: str) -> None:
    async with controller() as made, AsyncExitStack() as stack:
        meddler = Meddler(int(made.address.split(":")[1]), change)
        await stack.enter_async_context(meddler)
        plc = EthernetIpPlc(EthernetIpPlcSettings(f"127.0.0.1:{meddler.port}", depth=2))
        await plc.connect(within(5000))
        await plc.read([1], within(1000))
        meddler.meddling = True
        with pytest.raises(DeviceError, match=why):
            await plc.read([1], within(1000))
        meddler.meddling = False
        with pytest.raises(DeviceError, match=why):  # what broke the connection once breaks it for good
            await plc.read([1], within(1000))
        await plc.close()
        await plc.connect(within(5000))
        await plc.read([1], within(1000))
        await plc.close()


async def test_pycomm3_takes_a_late_reply_for_the_next_one() -> None:
    """Why every reply is checked here: the library itself hands out another tag's value. Gone? Then say so in 0011."""
    async with controller() as made, FreezingProxy(int(made.address.split(":")[1])) as proxy:
        made.tags.cell("TriggerSeq").set(5)
        made.tags.cell("PlcEpoch").set(6)
        driver = LogixDriver(f"127.0.0.1:{proxy.port}/0")
        driver.socket_timeout = 0.2
        await asyncio.to_thread(driver.open)
        await asyncio.to_thread(driver.read, "Linegate.PlcEpoch")
        proxy.freeze()
        with pytest.raises(Exception, match="failed to receive reply"):
            await asyncio.to_thread(driver.read, "Linegate.TriggerSeq")
        proxy.thaw()
        wrong: Any = await asyncio.to_thread(driver.read, "Linegate.PlcEpoch")
        assert (wrong.tag, wrong.value, wrong.error) == ("Linegate.PlcEpoch", 5, None)
        await asyncio.to_thread(driver.close)


async def test_the_link_finds_the_late_reply() -> None:
    async with controller() as made, FreezingProxy(int(made.address.split(":")[1])) as proxy:
        client = PycommClient(f"127.0.0.1:{proxy.port}", "0")
        names = ["Linegate.TriggerSeq", "Linegate.PlcEpoch"]
        found = await asyncio.to_thread(client.open, names, within(5000))
        first, second = (tag for name in names if isinstance(tag := found[name], LogixTag))
        proxy.freeze()
        with pytest.raises(DeviceTimeout):
            await asyncio.to_thread(client.read, [first], within(50))
        proxy.thaw()
        # Alone in the socket it is known by its number; together with the reply proper, by there being two.
        with pytest.raises(DeviceUnavailable, match=r"earlier request|more replies than requests"):
            await asyncio.to_thread(client.read, [second], within(1000))
        client.abort()
        client.close(within(0))


async def test_pycomm3_writes_a_single_tag_twice_in_one_packet() -> None:
    """Why writing is a message of our own. Gone? Then say so in 0011."""
    async with controller() as made:
        driver = LogixDriver(f"{made.address}/0")
        await asyncio.to_thread(driver.open)
        outcome: Any = await asyncio.to_thread(driver.write, "Linegate.Heartbeat", 6)
        assert outcome.error == "Too much data"
        await asyncio.to_thread(driver.close)
        assert made.written == []
        plc = link(made)
        await plc.connect(within(5000))
        await plc.write_status({"Heartbeat": 7}, within(1000))
        await plc.close()
        assert made.written == ["Heartbeat"]


async def test_the_simulated_controller_serves_another_client_too() -> None:
    async with controller(FLAT) as made:
        host, port = made.address.split(":")
        other = TagClient(host, int(port), use_connected=True)
        await other.connect()
        made.tags.cell("TriggerSeq").set(-7)
        assert await other.read_dint("Linegate_TriggerSeq") == -7
        await other.write_dint("Linegate_Heartbeat", 12)
        names = [tag.name for tag in (await other.browse_tags()).tags]
        await other.disconnect()
        assert made.tags.cell("Heartbeat").get() == 12
        assert "Linegate_Ready" in names and "Linegate_Result_Verdict" in names


class Stuck:
    """A client whose connection attempt comes back when the test says so: a name server can hang like that."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def open(self, names: Collection[str], until: Ns) -> Mapping[str, LogixTag | Refusal]:
        self.gate.wait(30)
        raise DeviceUnavailable("stuck", "after all")

    def read(self, tags: Any, until: Ns) -> Any:
        raise NotImplementedError

    def write(self, tags: Any, values: Any, until: Ns) -> Any:
        raise NotImplementedError

    def close(self, until: Ns) -> None:
        pass

    def abort(self) -> None:
        pass


async def test_attempts_that_do_not_come_back_do_not_pile_up() -> None:
    made: list[Stuck] = []

    def client(_host: str, _route: str) -> Stuck:
        made.append(Stuck())
        return made[-1]

    plc = EthernetIpPlc(EthernetIpPlcSettings("127.0.0.1"), client)
    async with asyncio.timeout(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await plc.connect(within(50))
        with pytest.raises(DeviceUnavailable, match="not come back"):
            await plc.connect(within(50))
        made[0].gate.set()
        attempt = asyncio.create_task(_connect_until_it_is_tried(plc))
        while len(made) < 2:
            await asyncio.sleep(0.01)
        made[1].gate.set()
        await attempt
    assert len(made) == 2


async def _connect_until_it_is_tried(plc: EthernetIpPlc) -> None:
    while True:
        try:
            await plc.connect(within(50))
        except DeviceUnavailable as error:
            if error.what == "after all":
                return
        await asyncio.sleep(0.01)


async def test_a_controller_that_stops_is_unavailable() -> None:
    async with controller() as made:
        plc = link(made)
        await plc.connect(within(5000))
    with pytest.raises(DeviceUnavailable):
        await plc.read((), within(1000))
    with pytest.raises(DeviceUnavailable):
        await plc.changed(within(1000))
    await plc.close()
    with pytest.raises(DeviceUnavailable):
        await plc.connect(within(1000))


async def test_connecting_to_a_frozen_controller_ends_with_the_deadline() -> None:
    async with controller() as made:
        made.tags.freeze()
        async with asyncio.timeout(2):
            with pytest.raises(DeviceTimeout):
                await link(made).connect(within(100))


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20, b"\x65\x00\x04\x00", b""])
async def test_something_that_is_no_controller(noise: bytes) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(noise)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(5):
        with pytest.raises(DeviceError):
            await EthernetIpPlc(EthernetIpPlcSettings(f"127.0.0.1:{port}")).connect(within(500))
    server.close()
    await server.wait_closed()


async def test_nobody_listens() -> None:
    with pytest.raises(DeviceUnavailable):
        await EthernetIpPlc(EthernetIpPlcSettings(f"127.0.0.1:{free_port()}")).connect(within(1000))
