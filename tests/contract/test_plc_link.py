"""What every PLC link must do, run on OPC UA, EtherNet/IP, Modbus (as client, as server) and the direct link."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from controller.drivers.plc.direct import DirectPlc, DirectTags
from controller.drivers.plc.opcua import OpcUaPlc, OpcUaPlcSettings
from controller.drivers.plc.tags import RESULT
from controller.errors import DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from controller.ports import PlcLink
from statemachines.checkword import answer_check, trigger_check
from statemachines.vocabulary import MS, Action, Answer, Mode, Ns, Reason, Severity, TriggerSlot, Verdict
from tests.contract.logix_rig import LogixRig
from tests.contract.modbus_rigs import ModbusRig, ModbusServerRig
from tests.contract.tag_server import FreezingProxy, TagServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWER = Answer(
    seq=3,
    part_id=4711,
    epoch_echo=12,
    session_id=99,
    action=Action.REJECT,
    verdict=Verdict.NG,
    reason=Reason.DECIDED,
    defect_code=5,
    severity=Severity.MAJOR,
    finding_count=2,
    score=0.5,
    latency_us=12_345,
    mode=Mode.AUTO_REJECT,
)


def within(milliseconds: float) -> Ns:
    """A deadline from now."""
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


class OpcUaRig:
    """A link, a relay that can freeze, and the server behind it."""

    def __init__(self, server: TagServer, trigger: str) -> None:
        self.server = server
        self._trigger: Any = trigger
        self._stack = AsyncExitStack()

    async def start(self) -> PlcLink:
        await self.server.reset()
        self.proxy = await self._stack.enter_async_context(FreezingProxy(self.server.port))
        return OpcUaPlc(OpcUaPlcSettings(self.proxy.endpoint, trigger=self._trigger))

    async def stop(self) -> None:
        await self._stack.aclose()

    async def set(self, name: str, value: Any) -> None:
        await self.server.set(name, value)

    async def get(self, name: str) -> Any:
        return await self.server.get(name)

    @property
    def writes(self) -> list[tuple[str, Any]]:
        return self.server.writes

    async def break_write(self, name: str) -> None:
        await self.server.forbid(name)

    def freeze(self) -> None:
        self.proxy.freeze()

    async def hung_up(self) -> None:
        await self.proxy.hung_up.wait()

    async def kill(self) -> None:
        await self.proxy.kill()


class DirectRig:
    """The direct link and its tags."""

    async def start(self) -> PlcLink:
        self.tags = DirectTags()
        self.writes: list[tuple[str, Any]] = []
        self.tags.on_write = lambda name, value: self.writes.append((name, value))
        return DirectPlc(self.tags)

    async def stop(self) -> None:
        pass

    async def set(self, name: str, value: Any) -> None:
        self.tags.values[name] = value
        self.tags.changed.set()

    async def get(self, name: str) -> Any:
        return self.tags.values[name]

    async def break_write(self, name: str) -> None:
        self.tags.refused.add(name)

    def freeze(self) -> None:
        self.tags.frozen = True

    async def hung_up(self) -> None:
        pass

    async def kill(self) -> None:
        self.tags.fault = DeviceUnavailable("direct", "gone")


Rig = OpcUaRig | LogixRig | DirectRig | ModbusRig | ModbusServerRig


ASKING = ("opcua-poll", "opcua-subscribe", "logix-udt", "logix-flat", "modbus-big", "modbus-little", "direct")
only_those_that_ask = pytest.mark.parametrize("rig", ASKING, indirect=True)
"""For what a link cannot do that asks nothing of its PLC (tests/contract/test_modbus_master.py has its own)."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server() -> AsyncIterator[TagServer]:
    async with TagServer() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", params=[*ASKING, "modbus_server"])
async def rig(request: pytest.FixtureRequest, server: TagServer) -> AsyncIterator[Rig]:
    kind: str = request.param
    protocol, _, variant = kind.partition("-")
    makers: dict[str, Callable[[], Rig]] = {
        "direct": DirectRig,
        "opcua": lambda: OpcUaRig(server, variant),
        "logix": lambda: LogixRig(variant),
        "modbus": lambda: ModbusRig(variant),
        "modbus_server": ModbusServerRig,
    }
    made = makers[protocol]()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def link(rig: Rig) -> AsyncIterator[PlcLink]:
    made = await rig.start()
    await made.connect(within(5000))
    yield made
    await made.close()


async def fill_slot(rig: Rig, index: int, slot: TriggerSlot) -> None:
    fields = {
        "Seq": slot.seq,
        "PartId": slot.part_id,
        "TrigClockMs": slot.trig_clock_ms,
        "RecipeId": slot.recipe_id,
        "EncoderPos": slot.encoder_pos,
        "Check": slot.check,
    }
    for name, value in fields.items():
        await rig.set(f"Trigger[{index}].{name}", value)


def slot(seq: int, part_id: int) -> TriggerSlot:
    return TriggerSlot(seq, part_id, 1000 + seq, 7, trigger_check(seq, part_id, 1000 + seq, 7, 55), 55)


async def test_reads_the_head_by_name(rig: Rig, link: PlcLink) -> None:
    wanted = {
        "TriggerSeq": 41, "PlcClockMs": -5, "SessionAck": 3, "Enable": True, "ModeCeiling": 2, "PlcEpoch": -77,
        "FaultReset": True, "RecipeRequest": 8, "RecipeRequestSeq": 9, "EncoderNow": 10, "GateSeq": 11,
        "GateOutcome": 1,
    }  # fmt: skip
    for name, value in wanted.items():
        await rig.set(name, value)
    before = time.monotonic_ns()
    reading = await link.read((), within(1000))
    head = reading.head
    assert (head.trigger_seq, head.clock_ms, head.session_ack, head.enable) == (41, -5, 3, True)
    assert (head.mode_ceiling, head.plc_epoch, head.fault_reset) == (2, -77, True)
    assert (head.recipe_request, head.recipe_request_seq) == (8, 9)
    assert (head.encoder_now, head.gate_seq, head.gate_outcome) == (10, 11, 1)
    assert reading.slots == ()
    assert reading.sent_at <= time.monotonic_ns()
    assert isinstance(rig, ModbusServerRig) or before <= reading.sent_at


@pytest.mark.parametrize(("seq", "index"), [(1, 0), (8, 7), (9, 0), (1 << 30, 7)])
async def test_reads_the_slot_where_a_number_belongs(rig: Rig, link: PlcLink, seq: int, index: int) -> None:
    await fill_slot(rig, index, slot(seq, 500))
    assert (await link.read([seq], within(1000))).slots == (slot(seq, 500),)


async def test_reads_several_slots_in_the_order_asked(rig: Rig, link: PlcLink) -> None:
    for seq in (7, 8, 9):
        await fill_slot(rig, (seq - 1) % 8, slot(seq, seq * 100))
    assert [found.part_id for found in (await link.read([7, 8, 9], within(1000))).slots] == [700, 800, 900]
    assert [found.part_id for found in (await link.read([9, 7], within(1000))).slots] == [900, 700]


async def test_changed_returns_by_itself_and_after_a_trigger(rig: Rig, link: PlcLink) -> None:
    for seq in (1, 2, 3):
        await rig.set("TriggerSeq", seq)
        async with asyncio.timeout(5):
            while (await link.read((), within(1000))).head.trigger_seq != seq:
                await link.changed(within(1000))
    async with asyncio.timeout(5):
        await link.changed(within(4000))
        await link.changed(within(-10))


async def test_writes_status(rig: Rig, link: PlcLink) -> None:
    await link.write_status({"Heartbeat": 17, "Ready": True, "RecipeHash": (1 << 30) - 1}, within(1000))
    assert await rig.get("Heartbeat") == 17
    assert await rig.get("Ready") is True
    assert await rig.get("RecipeHash") == (1 << 30) - 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Nonsense", 1),
        ("TriggerSeq", 1),
        ("Ready", 1),
        ("Heartbeat", True),
        ("Heartbeat", 1.5),
        ("Heartbeat", "1"),
        ("Heartbeat", 1 << 31),
        ("Heartbeat", -(1 << 31) - 1),
    ],
)
async def test_refuses_what_a_tag_cannot_hold(rig: Rig, link: PlcLink, name: str, value: Any) -> None:
    with pytest.raises(DeviceRefused, match=name):
        await link.write_status({name: value}, within(1000))
    assert rig.writes == []


async def test_writes_an_answer_resultseq_last(rig: Rig, link: PlcLink) -> None:
    await link.write_answer(ANSWER, within(1000))
    assert {name for name, _ in rig.writes[:-1]} == {tag.at(2) for tag in RESULT}
    assert rig.writes[-1] == ("Result[2].ResultSeq", 3)
    wanted = (4711, 12, 99, 3, 2, 0, 5, 2, 2, 0.5, 12_345, 3, answer_check(ANSWER))
    assert tuple([await rig.get(tag.at(2)) for tag in RESULT]) == wanted


@pytest.mark.parametrize(("seq", "index"), [(1, 0), (8, 7), (9, 0), (1 << 30, 7)])
async def test_writes_an_answer_into_its_own_slot(rig: Rig, link: PlcLink, seq: int, index: int) -> None:
    await link.write_answer(replace(ANSWER, seq=seq), within(1000))
    assert {name.split(".")[0] for name, _ in rig.writes} == {f"Result[{index}]"}
    assert await rig.get(f"Result[{index}].ResultSeq") == seq


@only_those_that_ask
async def test_a_field_that_fails_leaves_resultseq_alone(rig: Rig, link: PlcLink) -> None:
    await rig.break_write("Result[2].Verdict")
    with pytest.raises(DeviceRefused, match=r"Result\[2\]\.Verdict"):
        await link.write_answer(ANSWER, within(1000))
    assert await rig.get("Result[2].ResultSeq") == 0


@pytest.mark.parametrize("broken", [replace(ANSWER, part_id=1 << 40), replace(ANSWER, score=float("nan"))])
async def test_an_answer_out_of_range_leaves_resultseq_alone(rig: Rig, link: PlcLink, broken: Answer) -> None:
    with pytest.raises(DeviceRefused, match=r"PartIdEcho|Score"):
        await link.write_answer(broken, within(1000))
    assert await rig.get("Result[2].ResultSeq") == 0


async def test_an_answer_may_be_tried_after_its_deadline(rig: Rig, link: PlcLink) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await link.write_answer(ANSWER, within(-1000))
                break
            except DeviceTimeout:  # a busy machine may need longer than the floor
                await link.close()
                await link.connect(within(5000))
    assert await rig.get("Result[2].ResultSeq") == 3


async def test_requests_may_overlap(rig: Rig, link: PlcLink) -> None:
    await rig.set("TriggerSeq", 5)
    reading, _, _ = await asyncio.gather(
        link.read([5], within(2000)),
        link.write_status({"Heartbeat": 2}, within(2000)),
        link.write_answer(ANSWER, within(2000)),
    )
    assert reading.head.trigger_seq == 5
    assert await rig.get("Heartbeat") == 2
    assert await rig.get("Result[2].ResultSeq") == 3


@only_those_that_ask
async def test_a_frozen_plc_is_a_timeout_and_does_not_hold_up_close(rig: Rig, link: PlcLink) -> None:
    rig.freeze()
    async with asyncio.timeout(1):
        with pytest.raises(DeviceTimeout):
            await link.read([1], within(50))
        with pytest.raises(DeviceTimeout):
            await link.write_answer(ANSWER, within(50))
    async with asyncio.timeout(1):
        await link.close()
        await rig.hung_up()


@only_those_that_ask
async def test_close_in_the_middle_of_requests(rig: Rig, link: PlcLink) -> None:
    rig.freeze()
    pending = [asyncio.create_task(link.read([1], within(150))) for _ in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await link.close()
    for result in await asyncio.gather(*pending, return_exceptions=True):
        assert isinstance(result, DeviceError)


@only_those_that_ask
async def test_a_dead_plc_is_unavailable(rig: Rig, link: PlcLink) -> None:
    await rig.kill()
    with pytest.raises(DeviceUnavailable):
        await link.read([1], within(1000))
    with pytest.raises(DeviceUnavailable):
        await link.write_status({"Heartbeat": 1}, within(1000))
    await link.close()
    with pytest.raises(DeviceUnavailable):
        await link.connect(within(2000))


async def test_nothing_works_unless_connected(rig: Rig) -> None:
    made = await rig.start()
    await made.close()
    for attempt in (
        made.read([1], within(100)),
        made.changed(within(100)),
        made.write_status({"Heartbeat": 1}, within(100)),
        made.write_answer(ANSWER, within(100)),
    ):
        with pytest.raises(DeviceUnavailable):
            await attempt


async def test_connects_again_after_close(rig: Rig, link: PlcLink) -> None:
    await link.close()
    await link.close()
    await link.connect(within(5000))
    await rig.set("TriggerSeq", 6)
    assert (await link.read((), within(1000))).head.trigger_seq == 6


async def test_close_leaves_no_task_behind(rig: Rig) -> None:
    made = await rig.start()
    for _ in range(3):
        left = [repr(task) for task in await _tasks_of_one_connection(made)]
        assert [text for text in left if "drivers/plc" in text or "asyncua/client" in text] == []


async def _tasks_of_one_connection(link: PlcLink) -> set[asyncio.Task[Any]]:
    before = asyncio.all_tasks()
    await link.connect(within(5000))
    await link.read([1], within(1000))
    await link.close()
    return {task for task in asyncio.all_tasks() - before if not task.done()}
