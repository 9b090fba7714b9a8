"""The four-phase profile on the bench line: every step that a PLC may leave out, repeat or do too early."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from controller.errors import DeviceUnavailable
from controller.plc_duty import PlcTiming
from statemachines.commands import RecordTrigger
from statemachines.events import FailsafeTripped
from statemachines.handshake.state import Contract
from statemachines.vocabulary import MS, Action, FaultCode, Mode, Reason, Verdict
from tests.integration.bench_line import BAD, Line1, facts, workbench

CONTRACT = Contract(profile="four-phase", phase_ns=150 * MS)


def line_of(contract: Contract = CONTRACT, **options: Any) -> AbstractAsyncContextManager[Line1]:
    return workbench(contract=contract, **options)


async def free(line: Line1) -> None:
    """Both handshakes are over."""
    names = ("Trigger", "TriggerAck", "ResultValid", "ResultAck")
    await line.until(lambda: not any(line.tags.values[name] for name in names), "all bits 0")


async def test_parts_are_answered_one_after_the_other_each_for_itself() -> None:
    async with line_of() as line:
        await line.ready()
        good = await line.trigger(4711)
        line.model.result = BAD
        bad = await line.trigger(4712)
        await free(line)
        assert line.tags.values["ResultToggle"] is False, "flipped twice"
    assert (good.part_id, good.action, good.reason) == (4711, Action.PASS, Reason.DECIDED)
    assert (bad.part_id, bad.action, bad.reason) == (4712, Action.REJECT, Reason.DECIDED)


async def test_the_steps_come_in_the_contracts_order() -> None:
    async with line_of() as line:
        await line.ready()
        line.plc.order.clear()
        await line.trigger()
        await free(line)
        steps = [step for step in line.plc.order if step != ("ResultValid", False)]
    assert steps == [
        ("TriggerIdAck", 1),
        ("TriggerAck", True),
        ("TriggerAck", False),
        ("Result.TriggerId", 1),
        ("ResultValid", True),
    ]


async def test_the_acknowledgement_waits_for_the_journals_commit_and_the_result_for_the_acknowledgement() -> None:
    contract = Contract(profile="four-phase", phase_ns=10_000 * MS)
    async with line_of(contract, recipe=facts(deadline_ms=5000)) as line:
        line.notes.hold = True
        await line.ready()
        number = line.plc.trigger(4711)
        await line.until(lambda: line.runtime.station.cycles != {}, "the part")
        await line.until(
            lambda: all(c.stage.value == "queued" for c in line.runtime.station.cycles.values()), "the decision"
        )
        assert line.tags.values["TriggerAck"] is False
        assert line.answers == []
        line.runtime.committed(tuple(line.notes.held))
        answer = await line.answer_for(number)
    assert answer.reason is Reason.DECIDED


async def test_a_result_waits_until_the_one_before_was_taken_and_the_order_is_that_of_the_triggers() -> None:
    contract = Contract(profile="four-phase", phase_ns=10_000 * MS)
    async with line_of(contract, recipe=facts(deadline_ms=5000)) as line:
        await line.ready()
        line.plc.acknowledges = False
        await line.trigger(1)
        for part_id in (2, 3):
            await line.until(lambda: line.tags.values["TriggerAck"] is False, "TriggerAck 0")
            number = line.plc.trigger(part_id)
            await line.until(lambda n=number: line.tags.values["TriggerIdAck"] == n, "TriggerIdAck")
        await line.until(lambda: line.tags.values["InFlight"] == 2, "two results in the queue")
        assert [answer.part_id for answer in line.answers] == [1]
        line.plc.acknowledges = True
        line.plc.set("ResultAck", True)
        await line.ended(3)
        await free(line)
    assert [(answer.part_id, answer.reason) for answer in line.answers] == [(n, Reason.DECIDED) for n in (1, 2, 3)]


async def test_a_result_that_waited_past_its_deadline_tells_the_plc_so() -> None:
    contract = Contract(profile="four-phase", phase_ns=10_000 * MS)
    async with line_of(contract, recipe=facts(deadline_ms=80)) as line:
        await line.ready()
        line.plc.acknowledges = False
        await line.trigger(1)
        await line.until(lambda: line.tags.values["TriggerAck"] is False, "TriggerAck 0")
        number = line.plc.trigger(2)
        await line.until(
            lambda: any(c.decision and c.decision.reason for c in line.runtime.station.cycles.values()), "the deadline"
        )
        line.plc.acknowledges = True
        line.plc.set("ResultAck", True)
        late = await line.answer_for(number)
        (_, outcome) = await line.ended(2)
    assert (late.verdict, late.reason, late.action) == (Verdict.NO_DECISION, Reason.DEADLINE, Action.REJECT)
    assert "OK" in outcome.why, "the journal still says what it was"


async def test_a_verdict_that_came_to_stand_on_the_plc_after_its_deadline_is_never_shown() -> None:
    async with line_of(recipe=facts(deadline_ms=80)) as line:
        await line.ready()
        blocks: list[object] = []

        def written(name: str, value: object) -> None:
            if name == "Result.TriggerId" and not blocks:
                deadline = next(iter(line.runtime.station.cycles.values())).deadline
                time.sleep(max(0, deadline + 1 - time.monotonic_ns()) / 1e9)
            if name == "Result.TriggerId":
                blocks.append(line.tags.values["Result.Verdict"])
            line.plc.written(name, value)

        line.tags.on_write = written
        late = await line.trigger(1)
        (outcome,) = await line.ended(1)
    assert blocks == [Verdict.OK, Verdict.NO_DECISION]
    assert [(answer.verdict, answer.reason) for answer in line.answers] == [(Verdict.NO_DECISION, Reason.DEADLINE)]
    assert late.action is Action.REJECT
    assert "OK" in outcome.why, "the journal still says what it was"


async def test_a_result_that_nobody_takes_makes_room_for_the_next_after_its_time() -> None:
    async with line_of() as line:
        await line.ready()
        line.plc.acknowledges = False
        await line.trigger(1)
        await line.until(lambda: line.tags.values["Overruns"] == 1, "the overrun")
        assert line.tags.values["ResultValid"] is False
        line.plc.acknowledges = True
        after = await line.trigger(2)
        assert line.notes.events("handshake")
    assert after.reason is Reason.DECIDED


async def test_a_result_ack_that_stays_1_stops_the_station_until_it_falls() -> None:
    async with line_of() as line:
        await line.ready()
        line.plc.releases = False
        await line.trigger(1)
        await line.until(lambda: line.tags.values["Ready"] is False, "Ready 0")
        await line.until(lambda: line.tags.values["TriggerAck"] is False, "TriggerAck 0")
        line.plc.trigger(2)
        await line.until(lambda: line.tags.values["MissedTrigger"] is True, "MissedTrigger")
        assert line.tags.values["TriggerAck"] is False
        line.plc.set("Trigger", False)
        line.plc.releases = True
        line.plc.set("ResultAck", False)
        await line.ready()
        after = await line.trigger(3)
        await line.until(lambda: line.tags.values["MissedTrigger"] is False, "MissedTrigger 0 again")
    assert [answer.part_id for answer in line.answers] == [1, 3]
    assert after.reason is Reason.DECIDED


async def test_an_early_result_ack_is_no_edge_after_the_result() -> None:
    async with line_of() as line:
        await line.ready()
        line.plc.set("ResultAck", True)
        number = line.plc.trigger(1)
        await line.until(lambda: line.tags.values["TriggerIdAck"] == number, "the part")
        line.plc.set("ResultAck", False)
        await line.answer_for(number)
        await line.ended(1)
    assert len(line.answers) == 1


async def test_a_trigger_that_stays_1_is_given_up_and_its_part_still_answered() -> None:
    async with line_of(recipe=facts(deadline_ms=80)) as line:
        await line.ready()
        line.plc.holds = False
        first = await line.answer_for(line.plc.trigger(1))
        await line.until(lambda: line.tags.values["Ready"] is False, "Ready 0")
        assert line.tags.values["TriggerAck"] is False
        line.plc.holds = True
        line.plc.set("Trigger", False)
        await line.ready()
        after = await line.trigger(2)
    assert first.reason is Reason.DEADLINE, "the PLC did not let it come in time"
    assert after.reason is Reason.DECIDED


async def test_the_same_trigger_id_again_is_acknowledged_and_not_answered_twice() -> None:
    async with line_of() as line:
        await line.ready()
        number = (await line.trigger(1)).seq
        await free(line)
        line.plc.order.clear()
        line.plc.trigger(1, trigger_id=number)
        await line.until(lambda: ("TriggerAck", True) in line.plc.order, "TriggerAck")
        await free(line)
        after = await line.trigger(2)
    assert [answer.part_id for answer in line.answers] == [1, 2]
    assert after.seq == number + 1
    assert len([r for r in line.notes.records if isinstance(r.fact, RecordTrigger)]) == 2


async def test_a_trigger_before_ready_is_counted_and_never_answered() -> None:
    async with line_of() as line:
        line.plc.trigger(1)
        await line.until(lambda: line.tags.values["MissedTriggers"] == 1, "MissedTriggers")
        assert line.tags.values["Ready"] is False
        assert line.tags.values["MissedTrigger"] is True
        line.plc.set("Trigger", False)
        await line.ready()
        after = await line.trigger(2)
        assert line.tags.values["MissedTriggers"] == 1
    assert [answer.part_id for answer in line.answers] == [2]
    assert after.reason is Reason.DECIDED


async def test_failsafe_takes_ready_away_and_no_trigger_is_taken() -> None:
    async with line_of() as line:
        await line.ready()
        line.runtime.post(FailsafeTripped(line.runtime.now(), FaultCode.OPERATOR, "test"))
        await line.until(lambda: line.tags.values["Ready"] is False, "Ready 0")
        line.plc.trigger(1)
        await line.until(lambda: line.tags.values["MissedTrigger"] is True, "MissedTrigger")
        assert line.tags.values["TriggerAck"] is False
        (missed,) = line.notes.events("missed")
    assert (missed.detail["part_id"], missed.detail["reason"]) == (1, "FAILSAFE")
    assert line.answers == []


async def test_failsafe_turns_what_waits_in_the_queue_into_no_decision() -> None:
    contract = Contract(profile="four-phase", phase_ns=10_000 * MS)
    async with line_of(contract, recipe=facts(deadline_ms=5000)) as line:
        await line.ready()
        line.plc.acknowledges = False
        await line.trigger(1)
        await line.until(lambda: line.tags.values["TriggerAck"] is False, "TriggerAck 0")
        number = line.plc.trigger(2)
        await line.until(lambda: line.tags.values["InFlight"] == 1 and not line.tags.values["Busy"], "the queue")
        line.runtime.post(FailsafeTripped(line.runtime.now(), FaultCode.OPERATOR, "test"))
        line.plc.acknowledges = True
        line.plc.set("ResultAck", True)
        answer = await line.answer_for(number)
    assert (answer.verdict, answer.reason) == (Verdict.NO_DECISION, Reason.FAILSAFE)


async def test_a_full_queue_takes_ready_away_and_the_trigger_beyond_is_an_overrun() -> None:
    contract = Contract(depth=2, profile="four-phase", phase_ns=10_000 * MS)
    async with line_of(contract, recipe=facts(deadline_ms=5000)) as line:
        await line.ready()
        line.plc.acknowledges = False
        await line.trigger(1)
        await line.until(lambda: line.tags.values["TriggerAck"] is False, "TriggerAck 0")
        line.plc.trigger(2)
        await line.until(lambda: line.tags.values["Ready"] is False, "Ready 0")
        await free_trigger(line)
        line.plc.trigger(3)
        await line.until(lambda: line.tags.values["Overruns"] == 1, "the overrun")
        assert line.tags.values["TriggerAck"] is False
        assert line.tags.values["MissedTrigger"] is True
        line.plc.set("Trigger", False)
        line.plc.acknowledges = True
        line.plc.set("ResultAck", True)
        await line.ready()
        await line.trigger(4)
        outcomes = {outcome.part_id: outcome for outcome in await line.ended(4)}
    assert [answer.part_id for answer in line.answers] == [1, 2, 4]
    assert (outcomes[3].answered, outcomes[3].verdict, outcomes[3].reason) == (
        False,
        Verdict.NO_DECISION,
        Reason.OVERRUN,
    )


async def free_trigger(line: Line1) -> None:
    await line.until(lambda: not (line.tags.values["Trigger"] or line.tags.values["TriggerAck"]), "the trigger's end")


async def test_enable_0_is_a_soft_reset() -> None:
    contract = Contract(profile="four-phase", phase_ns=10_000 * MS)
    async with line_of(contract, recipe=facts(deadline_ms=5000)) as line:
        await line.ready()
        line.plc.acknowledges = False
        await line.trigger(1)
        await line.until(lambda: line.tags.values["TriggerAck"] is False, "TriggerAck 0")
        line.plc.holds = False
        line.plc.trigger(2)
        await line.until(lambda: line.tags.values["TriggerAck"] is True, "TriggerAck 1")
        line.plc.set("Enable", False)
        bits = ("Ready", "TriggerAck", "ResultValid")
        await line.until(lambda: not any(line.tags.values[bit] for bit in bits), "the reset")
        (_, dropped) = await line.ended(2)
        line.plc.set("Trigger", False)
        line.plc.holds = line.plc.acknowledges = True
        line.plc.set("Enable", True)
        await line.ready()
        after = await line.trigger(3)
    assert (dropped.part_id, dropped.answered, dropped.reason) == (2, False, Reason.DISABLED)
    assert [answer.part_id for answer in line.answers] == [1, 3]
    assert after.session_id != line.answers[0].session_id


async def test_a_link_that_breaks_replays_nothing() -> None:
    async with line_of(recipe=facts(deadline_ms=5000)) as line:
        await line.ready()
        line.model.hang = True
        line.plc.trigger(1)
        await line.until(line.model.started.is_set, "the inference")
        await free_trigger(line)
        line.tags.fault = DeviceUnavailable("plc", "reset by peer")
        (lost,) = await line.ended(1)
        line.tags.fault = None
        line.model.hang = False
        line.model.release.set()
        await line.until(lambda: not line.tags.values["ResultValid"], "ResultValid 0")
        await line.ready()
        after = await line.trigger(2)
    assert (lost.answered, lost.reason) == (False, Reason.LOST)
    assert [(answer.seq, answer.part_id) for answer in line.answers] == [(2, 2)]
    assert after.reason is Reason.DECIDED


async def test_a_session_number_never_stands_beside_the_invitations_of_another() -> None:
    async with line_of() as line:
        await line.ready()
        await line.trigger(1)
        line.plc.order.clear()
        line.tags.values["PlcEpoch"] = 10
        await line.until(lambda: any(name == "SessionId" for name, _ in line.plc.order), "a new session")
        await line.ready()
        at = [name for name, _ in line.plc.order].index("SessionId")
    assert ("Ready", True) not in line.plc.order[:at]
    assert ("Ready", True) in line.plc.order[at:]


async def test_a_plc_whose_clock_stands_still_gets_a_new_session() -> None:
    async with line_of(plc_lost_ms=60) as line:
        await line.ready()
        moving, session = line.tags.clock_ms, line.tags.values["SessionId"]
        line.tags.clock_ms = None
        await line.until(lambda: line.tags.values["Online"] is False, "Online 0")
        line.plc.trigger(1)
        line.tags.clock_ms = moving
        await line.until(lambda: line.tags.values["SessionId"] != session, "a new session")
        await line.until(lambda: line.tags.values["MissedTriggers"] == 1, "the trigger it did not take")
        line.plc.set("Trigger", False)
        await line.ready()
        assert (await line.trigger(2)).part_id == 2
    assert [answer.part_id for answer in line.answers] == [2]


async def test_a_trigger_id_that_goes_backwards_opens_a_new_session() -> None:
    async with line_of() as line:
        await line.ready()
        await line.trigger(1)
        await free(line)
        session = line.tags.values["SessionId"]
        line.answers.clear()
        line.tags.values["TriggerId"] = 0
        await line.until(lambda: line.tags.values["SessionId"] != session, "a new session")
        await line.ready()
        answer = await line.trigger(2)
    assert (answer.seq, answer.part_id) == (1, 2)


async def test_a_trigger_id_that_jumps_counts_what_it_left_out() -> None:
    async with line_of() as line:
        await line.ready()
        answer = await line.answer_for(line.plc.trigger(1, trigger_id=5))
        await line.until(lambda: line.tags.values["MissedTriggers"] == 4, "four missed")
    assert answer.reason is Reason.DECIDED


async def test_another_recipe_is_answered_and_a_frozen_plc_ends_the_session() -> None:
    async with line_of() as line:
        await line.ready()
        other = await line.trigger(1, recipe_id=2)
        assert (other.verdict, other.reason) == (Verdict.NO_DECISION, Reason.RECIPE)
        await free(line)
        session = line.tags.values["SessionId"]
        line.tags.frozen = True
        await line.until(lambda: bool(line.notes.events("link")), "the link's end")
        line.tags.frozen = False
        await line.until(lambda: line.tags.values["SessionId"] != session, "a new session")
        await line.ready()
        assert (await line.trigger(2)).reason is Reason.DECIDED


async def test_shadow_never_acts() -> None:
    async with line_of(mode=Mode.SHADOW) as line:
        await line.ready()
        line.model.result = BAD
        answer = await line.trigger()
    assert (answer.verdict, answer.action) == (Verdict.NG, Action.NONE)


@pytest.mark.parametrize(
    ("pulse_ms", "warned"), [(None, False), (0, True), (5, True), (1000, False)], ids=["held", "unknown", "5", "1000"]
)
async def test_the_station_says_at_its_start_where_pulses_can_be_missed(pulse_ms: int | None, warned: bool) -> None:
    timing = PlcTiming(request=100 * MS, between_reads=10 * MS, pulse=None if pulse_ms is None else pulse_ms * MS)
    async with line_of(timing=timing) as line:
        await line.ready()
        told = [event for event in line.notes.events("health") if event.detail["source"] == "trigger pulses"]
        assert bool(told) is warned
        assert ("trigger pulses" in line.runtime.station.reports) is warned


async def test_a_pulse_too_short_to_read_is_counted_when_the_next_number_comes() -> None:
    async with line_of(poll_ms=20) as line:
        await line.ready()
        line.plc.trigger(1)
        line.tags.values["Trigger"] = False
        after = await line.answer_for(line.plc.trigger(2))
        await line.until(lambda: line.tags.values["MissedTriggers"] == 1, "the gap")
    assert (after.seq, after.part_id) == (2, 2)
    assert [answer.part_id for answer in line.answers] == [2]


async def held(poll_ms: int, parts: int) -> None:
    async with line_of(poll_ms=poll_ms, recipe=facts(deadline_ms=5000, window_ms=2000)) as line:
        line.plc.wakes = False
        await line.ready()
        for part_id in range(1, parts + 1):
            await line.trigger(part_id)
        assert line.tags.values["MissedTriggers"] == 0
    assert [(answer.part_id, answer.reason) for answer in line.answers] == [
        (part_id, Reason.DECIDED) for part_id in range(1, parts + 1)
    ]


async def pulses(parts: int) -> None:
    """Pulses of 30 ms every 70 ms, read every 100 ms: more than half fall between two reads."""
    async with line_of(poll_ms=100, recipe=facts(deadline_ms=5000, window_ms=2000)) as line:
        line.plc.wakes = line.plc.holds = False
        await line.ready()
        for part_id in range(1, parts + 1):
            line.plc.trigger(part_id)
            await asyncio.sleep(0.03)
            line.plc.set("Trigger", False)
            await asyncio.sleep(0.04)
        line.plc.holds = True
        await line.ready()
        await line.trigger(parts + 1)
        missed = {
            int(event.detail["first"]) + n
            for event in line.notes.events("missed")
            for n in range(int(event.detail["count"]))
        }
        answered = {answer.seq for answer in line.answers}
        assert line.tags.values["MissedTriggers"] == len(missed) > 0
    assert missed | answered == set(range(1, parts + 2))
    assert not missed & answered


@pytest.mark.parametrize("poll_ms", [10, 100])
async def test_no_held_trigger_is_missed_however_slow_the_polling(poll_ms: int) -> None:
    await held(poll_ms, 12)


async def test_every_pulse_between_two_reads_is_counted() -> None:
    await pulses(30)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("poll_ms", [10, 100])
async def test_none_of_a_thousand_held_triggers_is_missed(poll_ms: int) -> None:
    await held(poll_ms, 1000)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_gap_in_a_thousand_pulses_is_counted() -> None:
    await pulses(1000)
