"""The simulated PLC as a process, driven over OPC UA by a small station written for these tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.common.subscription import DataChangeNotif
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from controller.errors import DeviceUnavailable
from controller.sim import plc_commands as cmd
from controller.sim.plc_process import SoftPlcProcess
from controller.sim.plc_settings import SoftPlcSettings, node_id
from controller.sim.tally import TallySummary, truth_of
from statemachines.checkword import check_word, trigger_check

PASS, REJECT = 1, 3
KINDS = {bool: ua.VariantType.Boolean, int: ua.VariantType.Int32, float: ua.VariantType.Float}
SLOT = ("Seq", "PartId", "TrigClockMs", "RecipeId", "EncoderPos", "Check")
# The block's fields behind ResultSeq, in the contract's order.
CHECKED = "PartIdEcho EpochEcho SessionId Action Verdict Reason DefectCode Severity FindingCount LatencyUs Mode"

Trigger = dict[str, Any]
Respond = Callable[["Station", Trigger], Awaitable[None]]


async def answer_ok(station: Station, trigger: Trigger) -> None:
    await station.answer(trigger)


class Station:
    """As little of a station as a PLC can work with: polls, beats, answers as it is told."""

    def __init__(self, client: Client, respond: Respond, depth: int = 8) -> None:
        self._client, self._respond, self._depth = client, respond, depth
        self.session = 0
        self.beating = True
        self.polling = True
        self.triggers: list[Trigger] = []
        self.gate: dict[int, int] = {}
        self._beat = 0
        self._last = 0

    async def write(self, **tags: Any) -> list[ua.StatusCode]:
        return await self.write_tags(tags)

    async def write_tags(self, tags: dict[str, Any]) -> list[ua.StatusCode]:
        request = ua.WriteParameters()
        for name, value in tags.items():
            kind = KINDS.get(type(value), ua.VariantType.String)
            request.NodesToWrite.append(
                ua.WriteValue(
                    NodeId=ua.NodeId.from_string(node_id(name)),
                    AttributeId=AttributeIds.Value,
                    Value=ua.DataValue(ua.Variant(value, kind)),
                )
            )
        return await self._client.uaclient.write(request)

    async def read(self, *tags: str) -> list[Any]:
        return await self._client.read_values([self._client.get_node(node_id(tag)) for tag in tags])

    async def open_session(self, session: int, fallback: int = REJECT, **tags: Any) -> None:
        """Open a session as rule b says, with the present TriggerSeq as the baseline."""
        self.session = session
        await self.write(SessionId=session, Online=True, Ready=False, Fallback=fallback, Depth=self._depth, **tags)
        while (await self.read("SessionAck"))[0] != session:
            await asyncio.sleep(0.002)
        (self._last,) = await self.read("TriggerSeq")
        await self.write(Ready=True)

    async def run(self) -> None:
        """Poll and beat until cancelled."""
        while True:
            if self.beating:
                self._beat += 1
                await self.write(Heartbeat=self._beat)
            if self.polling:
                await self._poll()
            await asyncio.sleep(0.002)

    async def _poll(self) -> None:
        newest, gate_seq, outcome = await self.read("TriggerSeq", "GateSeq", "GateOutcome")
        self.gate[gate_seq] = outcome
        if self.session and newest != self._last:
            first = self._last + 1 if newest > self._last else newest
            self._last = newest
            for seq in range(max(first, newest - self._depth + 2), newest + 1):
                await self._respond(self, await self.slot(seq))

    async def slot(self, seq: int) -> Trigger:
        place = (seq - 1) % self._depth
        values = await self.read(*(f"Trigger[{place}].{name}" for name in SLOT), "PlcEpoch", "PlcClockMs")
        trigger: Trigger = dict[str, Any](zip((*SLOT, "PlcEpoch", "PlcClockMs"), values, strict=True))
        self.triggers.append(trigger)
        return trigger

    async def answer(self, trigger: Trigger, action: int = PASS, mode: int = 3, **changed: Any) -> None:
        """Write a block, its fields first, its ResultSeq in a request of its own."""
        seq = changed.pop("ResultSeq", trigger["Seq"])
        fields: dict[str, Any] = dict.fromkeys(CHECKED.split(), 0)
        fields |= {"PartIdEcho": trigger["PartId"], "EpochEcho": trigger["PlcEpoch"], "SessionId": self.session}
        fields |= {"Action": action, "Verdict": 1 if action == PASS else 2, "Mode": mode}
        fields |= {name: value for name, value in changed.items() if name in fields}
        fields["Check"] = changed.get("Check", check_word(seq, *(fields[name] for name in CHECKED.split())))
        fields["Score"] = 0.25
        place = (seq - 1) % self._depth
        await self.write_tags({f"Result[{place}].{name}": value for name, value in fields.items()})
        await self.write_tags({f"Result[{place}].ResultSeq": seq})


@contextmanager
def running(settings: SoftPlcSettings) -> Generator[SoftPlcProcess]:
    plc = SoftPlcProcess(settings)
    plc.start()
    try:
        yield plc
    finally:
        plc.kill()


@asynccontextmanager
async def line(
    settings: SoftPlcSettings, respond: Respond = answer_ok
) -> AsyncGenerator[tuple[SoftPlcProcess, Station]]:
    """A PLC with a station that polls; the station opens no session by itself."""
    with running(settings) as plc:
        url = await asyncio.to_thread(plc.wait_ready)
        async with Client(url, timeout=10) as client:
            station = Station(client, respond, settings.depth)
            polling = asyncio.create_task(station.run())
            try:
                yield plc, station
            finally:
                polling.cancel()
                await asyncio.gather(polling, return_exceptions=True)


async def until(plc: SoftPlcProcess, condition: Callable[[TallySummary], bool], timeout_s: float = 15) -> TallySummary:
    live = await asyncio.to_thread(plc.wait_live, lambda news: condition(news.figures), timeout_s)
    return live.figures


async def finish(plc: SoftPlcProcess) -> cmd.TallyReady:
    await asyncio.to_thread(plc.wait_for, cmd.LineFinished, 30.0)
    return await asyncio.to_thread(plc.stop)


def manual(**changed: Any) -> SoftPlcSettings:
    return SoftPlcSettings(rate_ppm=0, gate_delay_ms=500, live_every_ms=20, **changed)


async def test_good_answers_give_an_exact_tally() -> None:
    async def respond(station: Station, trigger: Trigger) -> None:
        await station.answer(trigger, REJECT if trigger["PartId"] % 3 == 0 else PASS)

    settings = SoftPlcSettings(rate_ppm=1200, jitter_ms=5, parts=60, gate_delay_ms=800)
    async with line(settings, respond) as (plc, station):
        await station.open_session(501)
        final = await finish(plc)
    figures = final.figures
    assert (figures.triggers, figures.answered, figures.untriggered) == (60, 60, {})
    assert (figures.missing, figures.duplicate, figures.wrong_part, figures.late_acted) == (0, 0, 0, 0)
    assert (figures.retries, figures.torn, figures.stale, figures.unexpected) == (0, 0, 0, 0)
    truth = truth_of(final.parts, {number: number % 3 == 0 for number in range(1, 61)})
    assert (truth.defective_rejected, truth.good_passed) == (20, 40)
    assert [trigger["PartId"] for trigger in station.triggers] == list(range(1, 61))
    assert {seq: outcome for seq, outcome in station.gate.items() if 0 < seq < 60} == {
        seq: REJECT if seq % 3 == 0 else PASS for seq in range(1, 60)
    }
    for trigger in station.triggers:
        fields = [trigger[name] for name in SLOT[:-1]]
        assert trigger["Check"] == trigger_check(*fields)
        assert 0 <= trigger["PlcClockMs"] - trigger["TrigClockMs"] < 5000


async def test_each_kind_of_bad_answer_is_counted_as_what_it_is_and_rejects_the_part() -> None:
    held_back: list[Trigger] = []

    async def respond(station: Station, trigger: Trigger) -> None:
        match trigger["PartId"]:
            case 2:
                pass
            case 4:
                await station.answer(trigger)
                await station.answer(trigger)
                await station.answer(trigger, REJECT)
            case 6:
                await station.answer(trigger, PartIdEcho=5)
            case 8:
                await station.answer(trigger, Check=1)
            case 10:
                held_back.append(trigger)
            case _:
                await station.answer(trigger)

    settings = SoftPlcSettings(rate_ppm=600, parts=12, gate_delay_ms=500, live_every_ms=20)
    async with line(settings, respond) as (plc, station):
        await station.open_session(502)
        await until(plc, lambda figures: figures.missing == 4)
        await station.answer(held_back[0])
        final = await finish(plc)
    figures = final.figures
    assert (figures.triggers, figures.answered, figures.missing) == (12, 9, 3)
    assert (figures.retries, figures.duplicate, figures.wrong_part, figures.torn) == (1, 1, 1, 1)
    assert (figures.late, figures.late_acted) == (1, 0)
    # Part 4 got two different answers within one scan: which of them the PLC latched is not decided here.
    assert {part.part_id for part in final.parts if part.outcome == REJECT} - {4} == {2, 6, 8, 10}


async def test_a_silent_heart_stops_triggers_and_the_fallback_rejects() -> None:
    async def respond(station: Station, trigger: Trigger) -> None:
        if trigger["PartId"] == 1:
            await station.answer(trigger)

    async with line(manual(), respond) as (plc, station):
        await station.open_session(503)
        plc.command(cmd.TriggerNow(1))
        await until(plc, lambda figures: figures.answered == 1)
        plc.command(cmd.TriggerNow(2))
        await until(plc, lambda figures: figures.missing == 1)
        station.beating = False
        silent_since = time.monotonic_ns()
        await asyncio.to_thread(plc.wait_live, lambda news: news.at_ns - silent_since > 510_000_000, 5.0)
        plc.command(cmd.TriggerNow(3))
        await until(plc, lambda figures: figures.outcomes.get("REJECT") == 2)
        final = await asyncio.to_thread(plc.stop)
    outcomes = {part.part_id: (part.untriggered, part.outcome) for part in final.parts}
    assert outcomes == {1: ("", PASS), 2: ("", REJECT), 3: ("station lost", REJECT)}


async def test_shadow_never_moves_the_gate() -> None:
    async def respond(station: Station, trigger: Trigger) -> None:
        if trigger["PartId"] != 2:
            await station.answer(trigger, REJECT, mode=1)

    async with line(manual(), respond) as (plc, station):
        await station.open_session(504, fallback=0)
        for part_id in (1, 2, 3):
            plc.command(cmd.TriggerNow(part_id))
        figures = await until(plc, lambda figures: sum(figures.outcomes.values()) == 3)
    assert figures.outcomes == {"NONE": 3}


async def test_a_new_session_clears_the_rings_and_old_answers_are_stale() -> None:
    async def respond(_: Station, trigger: Trigger) -> None:
        seen.put_nowait(trigger)

    seen: asyncio.Queue[Trigger] = asyncio.Queue()
    async with line(manual(), respond) as (plc, station):
        await station.open_session(505)
        plc.command(cmd.TriggerNow(1))
        trigger = await asyncio.wait_for(seen.get(), 10)
        await station.answer(trigger, Check=1)
        await station.open_session(506)
        assert (await station.read("Result[0].ResultSeq", "Trigger[0].Seq")) == [0, 0]
        await station.answer(trigger)
        figures = await until(plc, lambda figures: figures.missing == 1)
        assert (figures.torn, figures.stale, figures.answered) == (1, 1, 0)
        assert [event for event in plc.events if isinstance(event, cmd.SessionOpened)] == [
            cmd.SessionOpened(505),
            cmd.SessionOpened(506),
        ]


async def test_the_faults_that_it_can_be_told_to_make() -> None:
    async with line(manual(part_id_kind="text")) as (plc, station):
        await station.open_session(507)
        plc.command(cmd.Burst(5))
        await until(plc, lambda figures: figures.answered == 5)
        assert [trigger["PartId"] for trigger in station.triggers] == [f"P{1_000_000 + extra}" for extra in range(5)]

        station.polling = False
        plc.command(cmd.TearSlot(repair_ms=500))
        plc.command(cmd.TriggerNow("torn"))
        await reach(station, 6)
        torn = await station.slot(6)
        right = trigger_check(*[torn[name] for name in SLOT[:-1]])
        assert torn["Check"] != right
        while (await station.slot(6))["Check"] != right:
            await asyncio.sleep(0.005)

        plc.command(cmd.DelaySeq(delay_ms=500))
        plc.command(cmd.TriggerNow("delayed"))
        while (await station.read("Trigger[6].PartId"))[0] != "delayed":
            await asyncio.sleep(0.002)
        assert await station.read("TriggerSeq") == [6]
        await reach(station, 7)

        plc.command(cmd.JumpSeq(20))
        plc.command(cmd.TriggerNow("jumped"))
        await reach(station, 28)
        plc.command(cmd.RestartProgram(trigger_seq=28))
        while (await station.read("PlcEpoch"))[0] != 2:
            await asyncio.sleep(0.002)
        assert await station.read("TriggerSeq", "SessionAck", "Trigger[3].Seq") == [28, 0, 0]
        plc.command(cmd.TriggerNow("too early"))
        await until(plc, lambda figures: figures.untriggered.get("no session") == 1)
        await station.open_session(508)
        plc.command(cmd.TriggerNow("again"))
        await reach(station, 29)

        plc.command(cmd.Halt(for_ms=1000))
        plc.command(cmd.TriggerNow("unseen"))
        await until(plc, lambda figures: figures.untriggered.get("halted") == 1)
        before = await station.read("PlcClockMs")
        assert await station.read("PlcClockMs") == before
        while await station.read("PlcClockMs") == before:
            await asyncio.sleep(0.005)


async def test_an_output_is_held_on_the_wire_while_the_program_goes_on() -> None:
    async with line(manual()) as (plc, station):
        await station.open_session(801)
        plc.command(cmd.ForceOutput("session_ack", 7, 60_000))
        await shows(station, "SessionAck", 7)
        await asyncio.to_thread(plc.wait_live, lambda live: live.hindrance == "", 10)
        plc.command(cmd.TriggerNow(1))
        await until(plc, lambda figures: figures.answered == 1)
        assert await station.read("SessionAck") == [7]
        plc.command(cmd.ForceOutput("session_ack", 0, 0))
        await shows(station, "SessionAck", 801)


async def shows(station: Station, tag: str, value: Any) -> None:
    async with asyncio.timeout(10):
        while await station.read(tag) != [value]:
            await asyncio.sleep(0.002)


async def reach(station: Station, seq: int) -> None:
    while (await station.read("TriggerSeq"))[0] != seq:
        await asyncio.sleep(0.002)


async def test_tags_of_the_plc_are_read_only_typed_and_can_be_subscribed() -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()

    class Listener:
        def datachange_notification(self, node: Node, val: Any, data: DataChangeNotif) -> None:
            heard.put_nowait(val)

    with running(manual()) as plc:
        async with Client(await asyncio.to_thread(plc.wait_ready), timeout=10) as client:
            station = Station(client, answer_ok)
            assert (await station.write(TriggerSeq=5))[0].value == StatusCodes.BadUserAccessDenied
            assert (await station.write(Ready=1))[0].value == StatusCodes.BadTypeMismatch
            assert await client.get_namespace_index("urn:linegate:softplc") == 2
            subscription = await client.create_subscription(10, Listener())
            await subscription.subscribe_data_change(client.get_node(node_id("TriggerSeq")))
            assert await asyncio.wait_for(heard.get(), 5) == 0
            plc.command(cmd.TriggerNow(1, impatient=True))
            assert await asyncio.wait_for(heard.get(), 5) == 1
            await subscription.delete()


async def test_a_killed_plc_is_told_apart_from_a_slow_one() -> None:
    with running(manual()) as plc:
        await asyncio.to_thread(plc.wait_ready)
        plc.kill()
        with pytest.raises(DeviceUnavailable):
            plc.wait_for(cmd.LineFinished, 5)
        with pytest.raises(DeviceUnavailable):
            plc.command(cmd.StartLine())
