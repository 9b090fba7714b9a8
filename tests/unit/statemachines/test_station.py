"""The station as a whole: accepting, refusing, modes, recipes, failsafe; values in, values out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from statemachines import health
from statemachines.checkword import trigger_check
from statemachines.commands import (
    Capture,
    Command,
    LoadRecipe,
    PersistLatch,
    Publish,
    RecordEvent,
    RecordGate,
    RecordOutcome,
    RecordTrigger,
    Release,
)
from statemachines.events import (
    ActNoted,
    CauseCleared,
    Event,
    FailsafeTripped,
    FrameCaptured,
    HealthReported,
    Inferred,
    LinkLost,
    LinkUp,
    ModeRequested,
    PlcRead,
    Published,
    RecipeLoaded,
    RecipeRefused,
    ResetRequested,
    Stopped,
    TriggerCommitted,
)
from statemachines.handshake.state import Handshake, Link
from statemachines.line import Line
from statemachines.station.modes import MODE_LOWERED
from statemachines.station.state import RECIPE_LOADED, RECIPE_REFUSED, Rules, Station
from statemachines.station.step import step
from statemachines.station.tags import outputs
from statemachines.vocabulary import (
    MS,
    Action,
    Assessment,
    Fallback,
    FaultCode,
    Health,
    Mode,
    Ns,
    PartKey,
    PlcHead,
    Policy,
    Reason,
    RecipeFacts,
    TriggerSlot,
    Verdict,
)

NOW = Ns(10_000 * MS)
NG = Assessment(Verdict.NG, (), 0.9, "scratch 2.4 mm > 2.0 mm: major")


def recipe(number: int = 1, fallback: Fallback = Fallback.REJECT, stop_after: int = 0) -> RecipeFacts:
    policy = Policy(fallback, divert_lane=False, stop_after_passes=stop_after)
    return RecipeFacts(number, f"p{number}", f"{number:02x}" * 32, ("top",), 80 * MS, 40 * MS, policy)


def running(mode: Mode = Mode.AUTO_REJECT, facts: RecipeFacts | None = None) -> Station:
    return Station(
        rules=Rules(max_in_flight=3),
        line=Line("running_" + mode.name.lower(), mode),
        recipe=facts or recipe(),
        ceiling=3,
        handshake=Handshake(Link.IN_SESSION, session_id=5, plc_epoch=9, clock_ms=100, clock_moved_at=NOW),
        fault_reset_seen_low=True,
    )


def head(**changes: int | bool) -> PlcHead:
    return replace(PlcHead(100, 5, True, 0, 3, 9, False, 0, 0), **changes)  # type: ignore[arg-type]


def slot(seq: int, recipe_id: int = 1, clock_ms: int = 100) -> TriggerSlot:
    part_id = 4700 + seq
    return TriggerSlot(seq, part_id, clock_ms, recipe_id, trigger_check(seq, part_id, clock_ms, recipe_id, 0))


def reading(plc: PlcHead, *slots: TriggerSlot, at: int = NOW) -> PlcRead:
    return PlcRead(Ns(at), Ns(at), plc, slots, next_session_id=6)


def play(station: Station, *events: Event) -> tuple[Station, list[Command]]:
    commands: list[Command] = []
    for event in events:
        station, more = step(station, event)
        commands += more
    return station, commands


def trigger(seq: int = 1) -> PlcRead:
    return reading(head(trigger_seq=seq), slot(seq))


def publishes(commands: list[Command]) -> list[Publish]:
    return [c for c in commands if isinstance(c, Publish)]


def key(seq: int = 1) -> PartKey:
    return PartKey(5, "plc", seq)


def test_a_trigger_is_recorded_before_anything_else_is_done() -> None:
    _, commands = play(running(), trigger())
    assert isinstance(commands[0], RecordTrigger)
    assert isinstance(commands[1], Capture)


def test_a_bad_part_is_rejected_and_its_life_ends() -> None:
    station, commands = play(
        running(),
        trigger(),
        FrameCaptured(key(), "top", NOW, NOW, 1, "cam"),
        Inferred(key(), "top", NOW, NG),
        Published(key(), NOW),
    )
    (publish,) = publishes(commands)
    assert (publish.answer.action, publish.answer.part_id) == (Action.REJECT, 4701)
    assert isinstance(commands[-1], Release)
    assert not station.cycles
    assert (station.counters.ng, station.counters.answered) == (1, 1)


def test_the_acknowledgement_waits_for_the_journal() -> None:
    station, _ = play(running(), trigger())
    assert outputs(station)["TriggerAckSeq"] == 0
    station, _ = play(station, TriggerCommitted(key(), NOW))
    assert outputs(station)["TriggerAckSeq"] == 1
    station, _ = play(station, TriggerCommitted(PartKey(4, "plc", 7), NOW))
    assert outputs(station)["TriggerAckSeq"] == 1, "an old session's commit acknowledges nothing"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"recipe_wanted": True}, Reason.NOT_READY),
        ({"recipe": None}, Reason.NOT_READY),
        ({"line": Line("starting", Mode.ALERT)}, Reason.NOT_READY),
        ({"latch": health.FailsafeLatch(FaultCode.TASK_DIED, "x")}, Reason.FAILSAFE),
        ({"recipe": recipe(2)}, Reason.RECIPE),
    ],
    ids=["loading", "no recipe", "starting", "failsafe", "other recipe"],
)
def test_a_trigger_while_not_ready_is_answered_at_once(change: dict[str, object], reason: Reason) -> None:
    station = replace(running(), **change)  # type: ignore[arg-type]
    _, commands = play(station, trigger())
    (publish,) = publishes(commands)
    assert (publish.answer.verdict, publish.answer.reason) == (Verdict.NO_DECISION, reason)
    assert publish.answer.part_id == 4701
    assert not any(isinstance(c, Capture) for c in commands)


def test_an_invalid_ceiling_takes_ready_away() -> None:
    station, commands = play(running(), reading(head(trigger_seq=1, mode_ceiling=0), slot(1)))
    assert publishes(commands)[0].answer.reason is Reason.NOT_READY
    assert outputs(station)["Ready"] is False


def test_a_trigger_seen_too_late_captures_nothing() -> None:
    old = reading(head(trigger_seq=1, clock_ms=141), slot(1))
    _, commands = play(running(), old)
    assert publishes(commands)[0].answer.reason is Reason.LATE_TRIGGER
    assert not any(isinstance(c, Capture) for c in commands)


def test_of_several_triggers_in_one_read_only_the_newest_is_captured() -> None:
    _, commands = play(running(), reading(head(trigger_seq=2), slot(1), slot(2)))
    assert [(p.answer.seq, p.answer.reason) for p in publishes(commands)] == [(1, Reason.LATE_TRIGGER)]
    assert [c.part.seq for c in commands if isinstance(c, Capture)] == [2]


def test_more_parts_than_allowed_are_an_overrun_and_still_answered() -> None:
    station, commands = play(running(), *(trigger(seq) for seq in (1, 2, 3, 4)))
    (publish,) = publishes(commands)
    assert (publish.answer.seq, publish.answer.reason) == (4, Reason.OVERRUN)
    assert outputs(station)["Overruns"] == 1


def test_the_same_frame_twice_is_the_cameras_fault() -> None:
    first = FrameCaptured(key(1), "top", NOW, NOW, 17, "cam")
    again = FrameCaptured(key(2), "top", NOW, NOW, 17, "cam")
    _, commands = play(running(), trigger(1), first, trigger(2), again)
    (publish,) = publishes(commands)
    assert (publish.answer.seq, publish.answer.reason) == (2, Reason.CAMERA)


def test_a_mode_change_counts_from_the_next_part() -> None:
    station, commands = play(
        running(Mode.SHADOW),
        trigger(1),
        ModeRequested(NOW, Mode.AUTO_REJECT, "anna", "gate passed"),
        trigger(2),
        *(FrameCaptured(key(n), "top", NOW, NOW, n, "cam") for n in (1, 2)),
        *(Inferred(key(n), "top", NOW, NG) for n in (1, 2)),
    )
    assert [p.answer.action for p in publishes(commands)] == [Action.NONE, Action.REJECT]
    (event,) = [c for c in commands if isinstance(c, RecordEvent) and c.kind == "mode"]
    assert (event.who, event.detail["to"], event.detail["why"]) == ("anna", "AUTO_REJECT", "gate passed")
    assert outputs(station)["Mode"] == Mode.AUTO_REJECT


def test_a_lowered_mode_is_a_bypass_until_it_is_back() -> None:
    station, _ = play(running(Mode.AUTO_REJECT), ModeRequested(NOW, Mode.ALERT, "olga", "new product"))
    health, why = station.reports[MODE_LOWERED]
    assert (health, why) == (Health.CHECK_FUNCTION, "olga lowered the mode from AUTO_REJECT to ALERT: new product")
    station, _ = play(station, ModeRequested(NOW, Mode.SHADOW, "olga", "still new"))
    assert "from AUTO_REJECT to SHADOW" in station.reports[MODE_LOWERED][1]
    station, _ = play(station, ModeRequested(NOW, Mode.ALERT, "emil", "half way"))
    assert MODE_LOWERED in station.reports
    station, _ = play(station, ModeRequested(NOW, Mode.AUTO_REJECT, "emil", "proven"))
    assert MODE_LOWERED not in station.reports
    raised, _ = play(running(Mode.SHADOW), ModeRequested(NOW, Mode.ALERT, "emil", "first step"))
    assert MODE_LOWERED not in raised.reports


def test_what_a_person_did_elsewhere_is_recorded_and_changes_nothing() -> None:
    before = running()
    station, commands = play(before, ActNoted(NOW, "access", "anna", {"act": "logged in"}))
    assert station == before
    assert commands == [RecordEvent(NOW, "access", "anna", {"act": "logged in"})]


def test_the_plc_may_lower_the_mode_never_raise_it() -> None:
    station, _ = play(running(), reading(head(mode_ceiling=1)))
    assert (station.mode, station.health[0]) == (Mode.SHADOW, Health.CHECK_FUNCTION)
    assert outputs(station)["Fallback"] == Action.NONE
    lowered, _ = play(running(Mode.SHADOW), reading(head(mode_ceiling=3)))
    assert lowered.mode is Mode.SHADOW


def test_fallback_pass_becomes_stop_in_tag_and_answer() -> None:
    station = running(facts=recipe(fallback=Fallback.PASS, stop_after=2))
    assert outputs(station)["Fallback"] == Action.PASS
    refused = [reading(head(trigger_seq=n), slot(n, recipe_id=99)) for n in (1, 2, 3)]
    station, commands = play(station, *refused)
    assert [p.answer.action for p in publishes(commands)] == [Action.PASS, Action.PASS, Action.STOP]
    assert outputs(station)["Fallback"] == Action.STOP
    assert outputs(station)["LineStopRequest"] is True


def test_failsafe_takes_back_what_is_in_flight_and_latches() -> None:
    station, commands = play(running(), trigger(), FailsafeTripped(NOW, FaultCode.INFERENCE_HUNG, "stuck"))
    (publish,) = publishes(commands)
    assert publish.answer.reason is Reason.FAILSAFE
    assert PersistLatch(FaultCode.INFERENCE_HUNG, "stuck") in commands
    tags = outputs(station)
    assert (tags["Failsafe"], tags["Ready"], tags["FaultCode"]) == (True, False, FaultCode.INFERENCE_HUNG)


def test_failsafe_is_left_only_by_cause_gone_operator_and_enable_in_this_order() -> None:
    off, on = reading(head(enable=False)), reading(head())
    tripped, _ = play(running(), FailsafeTripped(NOW, FaultCode.INFERENCE_HUNG, "stuck"))
    too_early, _ = play(tripped, ResetRequested(NOW, "anna"), CauseCleared(NOW), off, on)
    assert too_early.latch.latched, "the operator asked before the cause was gone"
    no_edge, _ = play(tripped, CauseCleared(NOW), ResetRequested(NOW, "anna"), on)
    assert no_edge.latch.latched, "Enable did not go 0→1"
    nobody, _ = play(tripped, CauseCleared(NOW), off, on)
    assert nobody.latch.latched, "nobody asked"
    station, commands = play(tripped, CauseCleared(NOW), ResetRequested(NOW, "anna"), off, on)
    assert not station.latch.latched
    assert PersistLatch(FaultCode.NONE, "") in commands
    assert station.line.running
    assert any(isinstance(c, RecordEvent) and c.kind == "failsafe" and c.who == "anna" for c in commands)


def test_a_new_trip_takes_a_granted_reset_back() -> None:
    station, _ = play(
        running(),
        FailsafeTripped(NOW, FaultCode.INFERENCE_HUNG, "stuck"),
        CauseCleared(NOW),
        ResetRequested(NOW, "anna"),
        FailsafeTripped(NOW, FaultCode.TASK_DIED, "again"),
        reading(head(enable=False)),
        reading(head()),
    )
    assert station.latch.latched


def test_fault_reset_from_the_plc_must_be_allowed_and_seen_low_first() -> None:
    def after(allowed: bool, *reset: bool) -> Station:
        station = replace(running(), rules=Rules(fault_reset_from_plc=allowed), fault_reset_seen_low=False)
        station, _ = play(station, FailsafeTripped(NOW, FaultCode.OPERATOR, "x"), CauseCleared(NOW))
        station, _ = play(station, *(reading(head(fault_reset=level)) for level in reset))
        return play(station, reading(head(enable=False)), reading(head()))[0]

    assert after(False, False, True).latch.latched
    assert after(True, True).latch.latched
    assert not after(True, False, True).latch.latched


def test_the_latch_survives_a_restart() -> None:
    latch = health.restored(FaultCode.INFERENCE_HUNG, "stuck", NOW)
    station = Station(latch=latch, line=Line("failsafe", Mode.AUTO_REJECT))
    station, _ = play(station, RecipeLoaded(NOW, recipe(), 0))
    assert station.latch.latched
    assert not station.line.running


def test_link_lost_abandons_what_is_in_flight() -> None:
    station, commands = play(running(), trigger(), LinkLost(NOW, "reset by peer"))
    (record,) = [c for c in commands if isinstance(c, RecordOutcome)]
    assert (record.outcome.answered, record.outcome.reason) == (False, Reason.LOST)
    assert outputs(station)["Online"] is False


def test_stop_abandons_and_stays_stopped() -> None:
    station, commands = play(running(), trigger(), Stopped(NOW))
    assert any(isinstance(c, RecordOutcome) for c in commands)
    assert station.line.state == "stopped"


@pytest.mark.parametrize(
    "event", [reading(head(trigger_seq=1, plc_epoch=10), slot(1)), LinkUp(NOW)], ids=["read", "up"]
)
def test_what_the_link_still_brings_after_a_stop_changes_nothing(event: Event) -> None:
    station, _ = play(running(), Stopped(NOW))
    assert step(station, event) == (station, ())
    assert not station.latch.latched


def test_missed_triggers_are_counted_and_told() -> None:
    slots = [slot(n) for n in range(4, 11)]
    station, commands = play(running(), reading(head(trigger_seq=10), *slots))
    assert outputs(station)["MissedTriggers"] == 3
    assert station.health[0] is Health.OUT_OF_SPEC
    (event,) = [c for c in commands if isinstance(c, RecordEvent) and c.kind == "missed"]
    assert (event.detail["first"], event.detail["count"]) == (1, 3)


def test_recipe_change_by_the_plc() -> None:
    asked = reading(head(trigger_seq=1, recipe_request=2, recipe_request_seq=8))
    station, commands = play(running(), trigger(1), asked, asked)
    (load,) = [c for c in commands if isinstance(c, LoadRecipe)]
    assert (load.recipe_id, load.request_seq) == (2, 8)
    assert outputs(station)["Ready"] is False
    refused, _ = play(station, RecipeRefused(NOW, 8, "no such recipe"))
    tags = outputs(refused)
    assert (tags["RecipeAckSeq"], tags["RecipeStatus"], tags["RecipeActive"]) == (8, RECIPE_REFUSED, 1)
    loaded, _ = play(station, RecipeLoaded(NOW, recipe(2), 8))
    tags = outputs(loaded)
    assert (tags["RecipeAckSeq"], tags["RecipeStatus"], tags["RecipeActive"]) == (8, RECIPE_LOADED, 2)
    assert loaded.cycles[key()].recipe.id == 1, "a part keeps the recipe of its trigger"


def test_gate_reports_are_journalled() -> None:
    _, commands = play(running(), reading(head(gate_seq=1, gate_outcome=3)))
    assert [c for c in commands if isinstance(c, RecordGate)] == [RecordGate(1, 5, 3, NOW)]


def test_health_is_the_gravest_report_and_clears() -> None:
    station, commands = play(
        running(),
        HealthReported(NOW, "images", Health.MAINTENANCE, "disk 90 % full"),
        HealthReported(NOW, "journal", Health.FAILURE, "disk full"),
        HealthReported(NOW, "journal", Health.FAILURE, "disk full"),
    )
    assert station.health == (Health.FAILURE, "journal: disk full")
    assert len(commands) == 2, "an unchanged report is not told twice"
    station, _ = play(station, HealthReported(NOW, "journal", Health.NORMAL, ""))
    assert station.health == (Health.MAINTENANCE, "images: disk 90 % full")


# --- recipe change-over by the PLC ----------------------------------------------------------------------------


def asked(seq: int, recipe_id: int, **changes: int) -> PlcRead:
    return reading(head(recipe_request=recipe_id, recipe_request_seq=seq, **changes))


def loads(commands: list[Command]) -> list[tuple[int, int]]:
    return [(c.recipe_id, c.request_seq) for c in commands if isinstance(c, LoadRecipe)]


def test_a_request_number_read_beside_the_old_request_is_no_request_yet() -> None:
    station, commands = play(running(), asked(8, 1), asked(8, 2))
    assert loads(commands) == []
    assert outputs(station)["RecipeAckSeq"] == 0, "recipe 1 is loaded, but nobody asked for it"
    station, commands = play(station, asked(8, 2))
    assert loads(commands) == [(2, 8)]


def test_asked_for_what_is_loaded_the_plc_is_told_so() -> None:
    station, commands = play(running(), asked(8, 1), asked(8, 1))
    assert loads(commands) == []
    assert (outputs(station)["RecipeAckSeq"], outputs(station)["RecipeStatus"]) == (8, RECIPE_LOADED)
    assert outputs(station)["RecipeHash"] == recipe().hash_word


def test_a_request_that_comes_while_another_loads_is_taken_afterwards() -> None:
    station, commands = play(running(), asked(8, 2), asked(8, 2), asked(9, 3), asked(9, 3))
    assert loads(commands) == [(2, 8)]
    station, commands = play(station, RecipeLoaded(NOW, recipe(2), 8), asked(9, 3))
    assert loads(commands) == [(3, 9)]
    assert (outputs(station)["RecipeActive"], outputs(station)["Ready"]) == (2, False)


def test_a_refusal_names_its_reason_and_leaves_the_recipe_before_in_force() -> None:
    station, _ = play(running(), asked(8, 77), asked(8, 77), RecipeRefused(NOW, 8, "no recipe has this number"))
    tags = outputs(station)
    assert (tags["RecipeAckSeq"], tags["RecipeStatus"], tags["RecipeActive"]) == (8, RECIPE_REFUSED, 1)
    assert tags["Ready"] is True
    assert station.health == (Health.CHECK_FUNCTION, "recipe: recipe refused: no recipe has this number")
    station, commands = play(station, asked(8, 77))
    assert loads(commands) == [], "a refused request is not tried again by itself"
    station, _ = play(station, asked(9, 2), asked(9, 2), RecipeLoaded(NOW, recipe(2), 9))
    assert station.health[0] is Health.NORMAL


def test_a_restarted_plc_may_use_its_numbers_again() -> None:
    station, _ = play(running(), asked(1, 2), asked(1, 2), RecipeLoaded(NOW, recipe(2), 1))
    restarted = {"plc_epoch": 10, "session_ack": 6}
    station, _ = play(station, asked(0, 0, plc_epoch=10, session_ack=0), asked(0, 0, **restarted))
    assert outputs(station)["RecipeAckSeq"] == 0, "what the PLC before was told is no answer to this one"
    _, commands = play(station, asked(1, 3, **restarted), asked(1, 3, **restarted))
    assert loads(commands) == [(3, 1)]


def test_a_load_that_ends_after_the_plcs_restart_answers_none_of_its_requests() -> None:
    station, _ = play(running(), asked(1, 2), asked(1, 2))
    restarted = {"plc_epoch": 10, "session_ack": 6}
    station, _ = play(station, asked(0, 0, plc_epoch=10, session_ack=0), asked(0, 0, **restarted))
    station, _ = play(station, RecipeLoaded(NOW, recipe(2), 1))
    assert (outputs(station)["RecipeAckSeq"], outputs(station)["RecipeActive"]) == (0, 2)
    _, commands = play(station, asked(1, 3, **restarted), asked(1, 3, **restarted))
    assert loads(commands) == [(3, 1)]
