"""The loop with real tables, a real inference lane and PLC tags in this process: every fault ends in its reason."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controller.errors import DeviceUnavailable
from controller.lane_watch import LaneWatch
from controller.plc_duty import PlcTiming
from models.errors import ImageUnfit, InferenceFailed
from statemachines.commands import RecordTrigger
from statemachines.events import FailsafeTripped, ModeRequested, RecipeRequested, ResetRequested
from statemachines.handshake.state import Contract
from statemachines.vocabulary import MS, Action, FaultCode, Mode, Reason, Verdict
from tests.integration.bench_line import BAD, GOOD, Memory, facts, workbench


async def test_good_and_bad_parts_are_answered_each_for_itself() -> None:
    async with workbench() as line:
        await line.ready()
        good = await line.trigger(4711)
        line.model.result = BAD
        bad = await line.trigger(4712)
    assert (good.part_id, good.action, good.reason) == (4711, Action.PASS, Reason.DECIDED)
    assert (bad.part_id, bad.action, bad.reason) == (4712, Action.REJECT, Reason.DECIDED)
    assert [a.seq for a in line.answers] == [1, 2]


async def test_the_acknowledgement_waits_for_the_journals_commit() -> None:
    async with workbench() as line:
        line.notes.hold = True
        await line.ready()
        await line.trigger()
        await line.ended(1)
        assert line.tags.values["TriggerAckSeq"] == 0, "answered, but not acknowledged: the disk is slow"
        line.runtime.committed(tuple(line.notes.held))
        await line.until(lambda: line.tags.values["TriggerAckSeq"] == 1, "TriggerAckSeq")


async def test_shadow_never_acts() -> None:
    async with workbench(Mode.SHADOW) as line:
        await line.ready()
        line.model.result = BAD
        answer = await line.trigger()
        assert line.tags.values["Fallback"] == Action.NONE
    assert (answer.verdict, answer.action, answer.mode) == (Verdict.NG, Action.NONE, Mode.SHADOW)


async def test_a_silent_camera_is_answered_at_the_deadline_and_the_line_goes_on() -> None:
    async with workbench(recipe=facts(deadline_ms=60, window_ms=40)) as line:
        await line.ready()
        line.eye.silent = True
        answer = await line.trigger()
        line.eye.silent = False
        after = await line.trigger(4712)
    assert answer.verdict is Verdict.NO_DECISION
    assert answer.reason in (Reason.CAMERA, Reason.DEADLINE)
    assert answer.action is Action.REJECT
    assert after.reason is Reason.DECIDED


async def test_a_slow_camera_is_answered_at_the_deadline_and_its_frame_is_only_recorded() -> None:
    async with workbench(recipe=facts(deadline_ms=60, window_ms=40)) as line:
        await line.ready()
        line.eye.gate = asyncio.Event()
        answer = await line.trigger()
        assert answer.reason in (Reason.CAMERA, Reason.DEADLINE)
        line.eye.gate.set()
        line.eye.gate = None
        after = await line.trigger(4712)
    assert after.reason is Reason.DECIDED
    assert [a.seq for a in line.answers] == [1, 2]


async def test_the_same_frame_twice_is_refused() -> None:
    async with workbench() as line:
        await line.ready()
        await line.trigger()
        line.eye.repeat = True
        again = await line.trigger(4712)
        line.eye.repeat = False
        after = await line.trigger(4713)
    assert (again.verdict, again.reason) == (Verdict.NO_DECISION, Reason.CAMERA)
    assert after.reason is Reason.DECIDED


@pytest.mark.parametrize(
    ("shift_ms", "reason"), [(-10_000, Reason.CAMERA), (10_000, Reason.LATE_TRIGGER)], ids=["older", "younger"]
)
async def test_another_parts_frame_is_refused(shift_ms: int, reason: Reason) -> None:
    async with workbench() as line:
        await line.ready()
        line.eye.exposure_shift_ns = shift_ms * MS
        answer = await line.trigger()
    assert (answer.verdict, answer.reason) == (Verdict.NO_DECISION, reason)


async def test_two_triggers_in_one_read_capture_only_the_newest() -> None:
    async with workbench() as line:
        await line.ready()
        line.tags.trigger(4711)
        line.tags.trigger(4712)
        first, second = await line.answer_for(1), await line.answer_for(2)
        assert [part.seq for part in line.eye.captured] == [2]
    assert (first.part_id, first.reason) == (4711, Reason.LATE_TRIGGER)
    assert (second.part_id, second.reason) == (4712, Reason.DECIDED)


async def test_a_model_that_fails_is_no_decision() -> None:
    async with workbench() as line:
        await line.ready()
        line.model.result = InferenceFailed("output is NaN")
        answer = await line.trigger()
        line.model.result = replace(GOOD, score=float("nan"))
        nan = await line.trigger(4712)
        line.model.result = ValueError("not foreseen")
        odd = await line.trigger(4713)
        line.model.result = GOOD
        after = await line.trigger(4714)
    for failed in (answer, nan, odd):
        assert (failed.verdict, failed.reason) == (Verdict.NO_DECISION, Reason.MODEL)
    assert after.reason is Reason.DECIDED


async def test_an_unfit_image_is_no_decision_image_quality() -> None:
    async with workbench() as line:
        await line.ready()
        line.model.result = ImageUnfit("mean grey 0 is outside of 40 to 200")
        answer = await line.trigger()
    assert (answer.verdict, answer.reason) == (Verdict.NO_DECISION, Reason.IMAGE_QUALITY)


async def test_a_slow_model_is_answered_at_the_deadline_and_its_verdict_only_recorded() -> None:
    async with workbench(recipe=facts(deadline_ms=60, window_ms=40)) as line:
        await line.ready()
        line.model.hang = True
        answer = await line.trigger()
        line.model.hang = False
        line.model.release.set()
        await line.until(lambda: bool(line.notes.late()), "the late verdict in the journal")
        assert len(line.answers) == 1
        assert line.tags.values["LateResults"] == 0 or line.runtime.station.counters.late == 1
    assert (answer.verdict, answer.reason) == (Verdict.NO_DECISION, Reason.DEADLINE)


async def test_a_hung_model_latches_failsafe_and_asks_for_a_new_process() -> None:
    async with workbench(recipe=facts(deadline_ms=60, window_ms=40)) as line:
        await line.ready()
        line.model.hang = True
        watch = LaneWatch(line.runtime, line.lane, hard_limit=80 * MS, grace=40 * MS)
        answer = await line.trigger()
        await watch.run()
        assert line.runtime.ending.is_set()
        assert line.runtime.exit_code == 70
        await line.until(lambda: line.latch.code is FaultCode.INFERENCE_HUNG, "the latch on disk")
        await line.until(lambda: line.tags.values["Failsafe"] is True, "the Failsafe tag")
        refused = await line.trigger(4712)
    assert answer.reason is Reason.DEADLINE
    assert refused.reason is Reason.FAILSAFE


async def test_the_latch_survives_a_restart_and_takes_operator_and_enable_to_leave() -> None:
    async with workbench(latch=Memory(FaultCode.INFERENCE_HUNG, "stuck")) as line:
        await line.until(lambda: line.tags.values["Failsafe"] is True, "the Failsafe tag")
        refused = await line.trigger()
        assert refused.reason is Reason.FAILSAFE
        line.runtime.post(ResetRequested(line.runtime.now(), "anna"))
        line.tags.values["Enable"] = False
        await line.until(lambda: line.tags.values["Online"] is False, "the station to see Enable 0")
        line.tags.values["Enable"] = True
        await line.ready()
        await line.until(lambda: line.latch.code is FaultCode.NONE, "the latch's end on disk")
        after = await line.trigger(4712)
    assert after.reason is Reason.DECIDED


async def test_a_latch_that_cannot_be_written_stays_latched_and_says_so() -> None:
    async with workbench() as line:
        await line.ready()
        line.latch.broken = True
        line.runtime.post(FailsafeTripped(line.runtime.now(), FaultCode.TASK_DIED, "test"))
        await line.until(lambda: "failsafe latch" in line.runtime.station.reports, "the health report")
        answer = await line.trigger()
    assert answer.reason is Reason.FAILSAFE


async def test_a_frozen_plc_ends_the_session_and_a_thawed_one_starts_clean() -> None:
    async with workbench() as line:
        await line.ready()
        session = line.tags.values["SessionId"]
        line.model.hang = True
        line.tags.trigger(4711)
        await line.until(line.model.started.is_set, "the inference")
        line.tags.frozen = True
        await line.until(lambda: bool(line.notes.outcomes()), "the part's end")
        line.tags.frozen = False
        line.model.hang = False
        line.model.release.set()
        await line.until(lambda: line.tags.values["SessionId"] != session, "a new session")
        await line.ready()
        assert line.answers == [], "nothing is replayed"
        after = await line.trigger(4712)
        (lost, _) = await line.ended(2)
    assert (lost.answered, lost.reason) == (False, Reason.LOST)
    assert (after.seq, after.reason) == (2, Reason.DECIDED)


async def test_a_link_that_breaks_is_made_anew_with_a_new_session() -> None:
    async with workbench() as line:
        await line.ready()
        session = line.tags.values["SessionId"]
        line.tags.fault = DeviceUnavailable("plc", "reset by peer")
        await line.until(lambda: bool(line.notes.events("link")), "the link's end in the journal")
        line.tags.fault = None
        await line.until(lambda: line.tags.values["SessionId"] != session, "a new session")
        await line.ready()
        assert (await line.trigger()).reason is Reason.DECIDED


async def test_a_plc_whose_clock_stands_still_gets_no_answers_and_a_new_session_afterwards() -> None:
    async with workbench(plc_lost_ms=60) as line:
        await line.ready()
        moving, session = line.tags.clock_ms, line.tags.values["SessionId"]
        line.tags.clock_ms = None
        await line.until(lambda: line.tags.values["Online"] is False, "Online 0")
        line.tags.trigger(4711)
        line.tags.clock_ms = moving
        await line.until(lambda: line.tags.values["SessionId"] != session, "a new session")
        await line.ready()
        assert line.answers == []
        assert (await line.trigger(4712)).part_id == 4712


async def test_a_plc_restarted_with_equal_numbers_is_never_answered_for_the_old_part() -> None:
    async with workbench(recipe=facts(deadline_ms=1000)) as line:
        await line.ready()
        line.model.hang = True
        line.tags.trigger(4711)
        await line.until(line.model.started.is_set, "the inference")
        line.tags.values.update({"PlcEpoch": 10, "SessionAck": 0, "TriggerSeq": 0})
        line.tags.changed.set()
        await line.until(lambda: bool(line.notes.outcomes()), "the old part's end")
        line.model.hang = False
        line.model.release.set()
        await line.ready()
        await line.until(lambda: line.tags.values["SessionAck"] == line.tags.values["SessionId"], "the new session")
        answer = await line.trigger(5000)
    assert [(a.seq, a.part_id, a.epoch_echo) for a in line.answers] == [(1, 5000, 10)]
    assert answer.reason is Reason.DECIDED


async def test_disable_abandons_the_parts_in_flight() -> None:
    async with workbench(recipe=facts(deadline_ms=1000)) as line:
        await line.ready()
        line.model.hang = True
        line.tags.trigger(4711)
        await line.until(line.model.started.is_set, "the inference")
        line.tags.values["Enable"] = False
        (outcome,) = await line.ended(1)
        line.model.release.set()
        await line.until(lambda: bool(line.notes.late()), "the late verdict")
        assert line.answers == []
    assert (outcome.answered, outcome.reason) == (False, Reason.DISABLED)


async def test_a_trigger_of_another_recipe_is_refused() -> None:
    async with workbench() as line:
        await line.ready()
        answer = await line.trigger(recipe_id=2)
    assert (answer.verdict, answer.reason) == (Verdict.NO_DECISION, Reason.RECIPE)


async def test_the_plc_changes_the_recipe() -> None:
    async with workbench() as line:
        await line.ready()
        line.tags.values.update({"RecipeRequest": 2, "RecipeRequestSeq": 1})
        await line.until(lambda: line.tags.values["RecipeAckSeq"] == 1, "RecipeAckSeq")
        await line.ready()
        assert line.tags.values["RecipeActive"] == 2
        assert (await line.trigger(recipe_id=2)).reason is Reason.DECIDED
        line.tags.values.update({"RecipeRequest": 77, "RecipeRequestSeq": 2})
        await line.until(lambda: line.tags.values["RecipeAckSeq"] == 2, "the refusal")
        await line.ready()
        assert (line.tags.values["RecipeActive"], line.tags.values["RecipeStatus"]) == (2, 2)


async def test_a_person_changes_recipe_and_mode_and_the_journal_names_them() -> None:
    async with workbench(Mode.SHADOW) as line:
        await line.ready()
        line.runtime.post(ModeRequested(line.runtime.now(), Mode.AUTO_REJECT, "anna", "gate passed"))
        line.runtime.post(RecipeRequested(line.runtime.now(), "p2", "anna"))
        await line.until(lambda: line.tags.values["RecipeActive"] == 2, "the recipe")
        (mode,) = line.notes.events("mode")
    assert (mode.who, mode.detail["to"]) == ("anna", "AUTO_REJECT")


async def test_sessions_never_write_ready_of_the_old_beside_the_new_number() -> None:
    async with workbench() as line:
        await line.ready()
        seen: list[tuple[object, object]] = []
        written = line.tags.on_write

        def note(name: str, value: object) -> None:
            if name == "SessionId":
                seen.append((value, line.tags.values["Ready"]))
            if written is not None:
                written(name, value)  # type: ignore[arg-type]

        line.tags.on_write = note
        line.tags.values["SessionAck"] = 0
        await line.until(lambda: bool(seen), "a new session")
        await line.ready()
    assert [ready for _, ready in seen] == [False]


async def test_an_unfinished_recipe_load_keeps_ready_low_and_answers_not_ready() -> None:
    async with workbench() as line:
        await line.ready()
        line.runtime.station = replace(line.runtime.station, recipe_wanted=True)
        line.runtime.changed.set()
        await line.until(lambda: line.tags.values["Ready"] is False, "Ready 0")
        assert (await line.trigger()).reason is Reason.NOT_READY


async def test_every_trigger_is_recorded_before_its_answer() -> None:
    async with workbench() as line:
        await line.ready()
        for number in range(1, 21):
            await line.trigger(4700 + number)
        await line.ended(20)
    triggers = [r.fact for r in line.notes.records if isinstance(r.fact, RecordTrigger)]
    assert [t.part.seq for t in triggers] == list(range(1, 21))
    assert {o.part for o in line.notes.outcomes()} == {t.part for t in triggers}
    assert len({a.seq for a in line.answers}) == len(line.answers) == 20


async def test_slow_reconnects_do_not_stop_the_deadlines() -> None:
    timing = PlcTiming(request=100 * MS, reconnect=20 * MS)
    async with workbench(recipe=facts(deadline_ms=60, window_ms=40), timing=timing) as line:
        await line.ready()
        line.model.hang = True
        line.tags.trigger(4711)
        await line.until(line.model.started.is_set, "the inference")
        line.tags.fault = DeviceUnavailable("plc", "gone")
        (outcome,) = await line.ended(1)
    assert outcome.reason in (Reason.LOST, Reason.DEADLINE)
    assert not outcome.answered or outcome.verdict is Verdict.NO_DECISION


@pytest.mark.parametrize("contract", [Contract(), Contract(profile="four-phase")], ids=["sequence", "four-phase"])
async def test_a_part_in_flight_keeps_its_recipe_over_a_change(contract: Contract) -> None:
    async with workbench(recipe=facts(deadline_ms=5000), contract=contract) as line:
        await line.ready()
        line.model.hang = True
        seq = line.tags.trigger(4711) if line.hand is None else line.hand.trigger(4711)
        await line.until(line.model.started.is_set, "the inference")
        line.tags.values.update({"RecipeRequest": 2, "RecipeRequestSeq": 1})
        await line.until(lambda: line.tags.values["RecipeActive"] == 2, "the new recipe")
        line.model.hang = False
        line.model.release.set()
        before = await line.answer_for(seq)
        await line.ready()
        after = await line.trigger(4712, recipe_id=2)
        outcomes = await line.ended(2)
    assert [answer.reason for answer in (before, after)] == [Reason.DECIDED] * 2
    triggers = {r.fact.part: r.fact for r in line.notes.records if isinstance(r.fact, RecordTrigger)}
    assert [triggers[outcome.part].recipe_hash for outcome in outcomes] == [facts(1).hash, facts(2).hash]


async def test_the_plc_never_sees_one_requests_number_beside_anothers_status() -> None:
    async with workbench() as line:
        await line.ready()
        seen: list[tuple[object, object, object]] = []
        written = line.tags.on_write

        def note(name: str, value: object) -> None:
            values = line.tags.values
            seen.append((values["RecipeAckSeq"], values["RecipeStatus"], values["RecipeActive"]))
            if written is not None:
                written(name, value)  # type: ignore[arg-type]

        line.tags.on_write = note
        for number, recipe_id in ((1, 2), (2, 77), (3, 1)):
            line.tags.values.update({"RecipeRequest": recipe_id, "RecipeRequestSeq": number})
            await line.until(lambda n=number: line.tags.values["RecipeAckSeq"] == n, "RecipeAckSeq")
    assert {(status, active) for ack, status, active in seen if ack == 1} <= {(1, 2), (0, 2), (2, 2)}
    first_of = {ack: (status, active) for ack, status, active in reversed(seen)}
    assert (first_of[1], first_of[2], first_of[3]) == ((1, 2), (2, 2), (1, 1))
