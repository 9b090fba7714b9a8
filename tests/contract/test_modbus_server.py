"""The Modbus link that is the client, against servers that are not as they should be."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymodbus.constants import ExcCodes

from controller.drivers.plc.modbus import ModbusPlc, ModbusPlcSettings
from controller.drivers.plc.modbus_channel import Channel
from controller.drivers.plc.modbus_layout import RegisterMap
from controller.errors import ConfigError, DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from controller.sim.modbus_map import Memory
from controller.sim.modbus_tags import ModbusTags
from controller.sim.plc_tags import TagKind
from controller.sim.sequence_tags import declared_tags
from tests.contract.tag_server import FreezingProxy, free_port
from tests.contract.test_plc_link import within

Reply = Callable[[int, int], bytes]


def ignore(_name: str) -> None:
    """Writes that nobody looks at."""


@asynccontextmanager
async def soft_plc(
    part_ids: TagKind = TagKind.WORD, on_written: Callable[[str], None] = ignore, memory: Memory | None = None
) -> AsyncGenerator[tuple[ModbusTags, int]]:
    tags = ModbusTags("127.0.0.1", 0, declared_tags(8, part_ids), on_written, memory)
    port = int((await tags.start()).rpartition(":")[2])
    try:
        yield tags, port
    finally:
        await tags.stop()


async def refusal(port: int, registers: RegisterMap | None = None) -> Exception:
    """What connecting ends with."""
    link = ModbusPlc(ModbusPlcSettings("127.0.0.1", port, registers=registers or RegisterMap()))
    with pytest.raises((ConfigError, DeviceError)) as caught:
        await link.connect(within(3000))
    with pytest.raises(DeviceUnavailable):
        await link.read((), within(100))
    return caught.value


async def test_an_area_that_is_not_there_is_named() -> None:
    async with soft_plc() as (_, port):
        error = await refusal(port, RegisterMap(plc_to_station=200))
        assert isinstance(error, ConfigError)
        assert "TriggerSeq (register 40201-40202, offset 200)" in str(error)
        assert "illegal address" in str(error)


async def test_an_area_that_is_too_short_is_named_where_it_ends() -> None:
    async with soft_plc() as (_, port):
        error = await refusal(port, RegisterMap(depth=16, station_to_plc=1000))
        assert isinstance(error, ConfigError)
        assert "Trigger[8].Seq" in str(error)


@pytest.mark.parametrize("name", ["Heartbeat", "Overruns", "Result[0].PartIdEcho", "Result[7].Check"])
async def test_a_register_that_may_not_be_written_is_named(name: str) -> None:
    async with soft_plc() as (tags, port):
        tags.protect(name)
        error = await refusal(port)
        assert isinstance(error, ConfigError)
        assert f"{name} (register 4" in str(error)
        assert "function 16" in str(error)


async def test_a_bool_that_is_none_points_at_the_base_address() -> None:
    async with soft_plc() as (tags, port):
        tags.cell("ModeCeiling").set(17)
        error = await refusal(port, RegisterMap(plc_to_station=2, depth=4))
        assert isinstance(error, ConfigError)
        assert "Enable" in str(error)
        assert "plc_to_station" in str(error)


@pytest.mark.parametrize(("theirs", "ours"), [("little", "big"), ("big", "little")])
async def test_a_clock_in_the_wrong_word_order_is_refused(theirs: Any, ours: Any) -> None:
    async with soft_plc(memory=Memory(word_order=theirs)) as (tags, port):
        clock = tags.cell("PlcClockMs")

        async def run_clock() -> None:
            while True:
                clock.set(clock.get() + 5)
                await asyncio.sleep(0.005)

        running = asyncio.create_task(run_clock())
        error = await refusal(port, RegisterMap(word_order=ours))
        running.cancel()
        await asyncio.wait([running])
        assert isinstance(error, ConfigError)
        assert f'set word_order = "{theirs}"' in str(error)


async def test_connecting_never_writes_what_the_plc_acts_on_and_changes_nothing() -> None:
    written: list[str] = []
    async with soft_plc(on_written=written.append) as (tags, port):
        kept = {"SessionId": 77, "Ready": True, "Result[3].ResultSeq": 12, "Result[3].PartIdEcho": 4711}
        for name, value in kept.items():
            tags.cell(name).set(value)
        link = ModbusPlc(ModbusPlcSettings("127.0.0.1", port))
        await link.connect(within(3000))
        await link.close()
        assert {name: tags.cell(name).get() for name in kept} == kept
        assert "Ready" in written
        assert [name for name in written if "ResultSeq" in name or name.endswith("SessionId")] == []


@pytest.mark.parametrize("order", ["big", "little"])
async def test_part_ids_as_strings(order: Any) -> None:
    async with soft_plc(TagKind.TEXT, memory=Memory(string_order=order)) as (tags, port):
        registers = RegisterMap(part_id="string", string_order=order)
        link = ModbusPlc(ModbusPlcSettings("127.0.0.1", port, registers=registers))
        await link.connect(within(3000))
        tags.cell("Trigger[7].PartId").set("A-4711/é")
        # With strings the ring no longer fits one request: head first, then the slot.
        reading = await link.read([8], within(1000))
        assert reading.slots[0].part_id == "A-4711/é"
        await link.close()


class TornTags(ModbusTags):
    """A PLC whose TriggerSeq is written while it is read: what each of the next reads finds there."""

    finds: Iterator[int] = iter(())

    async def _accessed(
        self,
        _function: int,
        start: int,
        address: int,
        count: int,
        served: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if written is None and (found := next(self.finds, None)) is not None:
            self.cell("TriggerSeq").set(found)
        return await super()._accessed(_function, start, address, count, served, written)


@asynccontextmanager
async def torn_plc() -> AsyncGenerator[tuple[TornTags, ModbusPlc]]:
    tags = TornTags("127.0.0.1", 0, declared_tags(8, TagKind.WORD), ignore)
    tags.cell("TriggerSeq").set(0xFFFF)
    port = int((await tags.start()).rpartition(":")[2])
    link = ModbusPlc(ModbusPlcSettings("127.0.0.1", port))
    try:
        await link.connect(within(3000))
        assert (await link.read((), within(1000))).head.trigger_seq == 0xFFFF
        yield tags, link
    finally:
        await link.close()
        await tags.stop()


@pytest.mark.parametrize("torn", [0x1FFFF, 0x00000], ids=["upper half first", "lower half first"])
async def test_a_head_that_was_torn_is_never_seen(torn: int) -> None:
    """The lower half of TriggerSeq overflows while it is read: half of each is a jump by 65536, or a fall to 0."""
    async with torn_plc() as (tags, link):
        tags.finds = iter([torn, 0x10000])
        assert (await link.read((), within(1000))).head.trigger_seq == 0x10000


async def test_a_head_that_never_settles_is_refused() -> None:
    async with torn_plc() as (tags, link):
        tags.finds = cycle([0x1FFFF, 0x00000])
        with pytest.raises(DeviceRefused, match="trigger_seq moves too fast or in halves"):
            await link.read((), within(1000))


class Scripted:
    """A server that answers each read with what `reply` makes of its transaction id and the registers asked for."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while header := await reader.readexactly(7):
                transaction, _, length, _ = struct.unpack(">HHHB", header)
                body = await reader.readexactly(length - 1)
                writer.write(self._reply(transaction, struct.unpack(">H", body[3:5])[0]))


def registers(transaction: int, *values: int) -> bytes:
    body = struct.pack(f">BBB{len(values)}H", 1, 3, 2 * len(values), *values)
    return struct.pack(">HHH", transaction, 0, len(body)) + body


async def ask(port: int, count: int = 2, milliseconds: float = 500) -> Any:
    channel = Channel("127.0.0.1", port, 1)
    await channel.open(within(1000))
    try:
        return await channel.read(0, count, within(milliseconds))
    finally:
        channel.close()


async def test_a_late_reply_to_an_earlier_request_is_not_taken_for_this_one() -> None:
    def stale_then_right(transaction: int, count: int) -> bytes:
        return registers(transaction + 500, *[0xDEAD] * count) + registers(transaction, *range(count))

    async with Scripted(stale_then_right) as port:
        assert list(await ask(port)) == [0, 1]


MISFITS: dict[str, Reply] = {
    "no transaction id": lambda _, count: registers(0, *[0xDEAD] * count),
    "too short": lambda transaction, count: registers(transaction, *[0xDEAD] * (count - 1)),
    "too long": lambda transaction, count: registers(transaction, *[0xDEAD] * (count + 1)),
    "another function": lambda transaction, count: struct.pack(">HHHBBHH", transaction, 0, 6, 1, 16, 0, count),
}
STRANGERS: dict[str, Reply] = {
    "silence": lambda _transaction, _count: b"",
    "no Modbus": lambda _transaction, _count: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4,
    "another's reply": lambda transaction, count: registers(transaction + 1, *[0xDEAD] * count),
}


@pytest.mark.parametrize("reply", MISFITS.values(), ids=MISFITS)
async def test_a_reply_that_does_not_fit_its_request_is_refused(reply: Reply) -> None:
    async with Scripted(reply) as port:
        with pytest.raises(DeviceRefused):
            await ask(port)


@pytest.mark.parametrize("reply", STRANGERS.values(), ids=STRANGERS)
async def test_no_reply_of_ours_is_a_timeout(reply: Reply) -> None:
    async with Scripted(reply) as port:
        async with asyncio.timeout(5):
            with pytest.raises(DeviceTimeout):
                await ask(port, milliseconds=100)


@pytest.mark.parametrize(("code", "error"), [(2, ConfigError), (6, DeviceRefused), (11, DeviceRefused)])
async def test_only_a_lasting_refusal_is_a_matter_of_configuration(code: int, error: type[Exception]) -> None:
    def refuse(transaction: int, _count: int) -> bytes:
        return struct.pack(">HHHBBB", transaction, 0, 3, 1, 0x83, code)

    async with Scripted(refuse) as port:
        assert type(await refusal(port)) is error


async def test_a_server_that_hangs_up_ends_the_request_at_once() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with asyncio.timeout(5):
        with pytest.raises(DeviceUnavailable):
            await ask(server.sockets[0].getsockname()[1], milliseconds=60_000)
    server.close()
    await server.wait_closed()


async def test_nobody_listens() -> None:
    with pytest.raises(DeviceUnavailable):
        await ModbusPlc(ModbusPlcSettings("127.0.0.1", free_port())).connect(within(1000))


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["read", "write", "freeze", "thaw", "change"]), st.integers(1, 1000)), max_size=25
)


@given(STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_frozen_and_thawed_peer_never_yields_a_value_that_was_not_written_for_that_tag(steps: list[Step]) -> None:
    asyncio.run(_frozen_and_thawed(steps))


async def _frozen_and_thawed(steps: list[Step]) -> None:
    """Every tag's values carry the tag's own mark, so that a value of another tag shows at once."""
    marks = {"TriggerSeq": 1, "PlcClockMs": 2, "SessionAck": 3, "PlcEpoch": 4, "RecipeRequest": 5, "GateSeq": 6}
    fields = ("trigger_seq", "clock_ms", "session_ack", "plc_epoch", "recipe_request", "gate_seq")
    async with soft_plc() as (tags, port), FreezingProxy(port) as proxy:
        current: dict[str, int] = {}
        written: dict[str, set[int]] = {name: set() for name in marks}

        def change(value: int) -> None:
            for name, mark in marks.items():
                current[name] = mark << 20 | value
                written[name].add(current[name])
                tags.cell(name).set(current[name])

        change(0)
        link, up, beats, frozen = ModbusPlc(ModbusPlcSettings("127.0.0.1", proxy.port)), False, {0}, False
        for step, number in steps:
            match step:
                case "freeze":
                    proxy.freeze()
                    frozen = True
                case "thaw":
                    proxy.thaw()
                    frozen = False
                case "change":
                    change(number)
                case _:
                    try:
                        if not up:
                            await link.connect(within(15 if frozen else 2000))
                            up = True
                        if step == "read":
                            reading = await link.read([number], within(15 if frozen else 2000))
                            seen = {
                                name: getattr(reading.head, field) for name, field in zip(marks, fields, strict=True)
                            }
                            assert {name for name, value in seen.items() if value not in written[name]} == set()
                            assert frozen or seen == current
                        else:
                            beats.add(number)
                            await link.write_status({"Heartbeat": number}, within(15 if frozen else 2000))
                    except DeviceError:
                        up = False
                        await link.close()
        await link.close()
        assert tags.cell("Heartbeat").get() in beats
        assert tags.cell("Overruns").get() == 0
