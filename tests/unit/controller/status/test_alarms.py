"""The alarms: their life as a table, their delays and dead bands, and the page that is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.status.alarms.machine import SHELVINGS, STAGES, Act, ActRefused, AlarmState, Shelving, Stage, step
from controller.status.alarms.table import ALARMS, Alarm, page
from controller.status.alarms.watch import Watch
from controller.status.messages import StationSnapshot
from tests.integration.status_server import part, report, snapshot

ROOT = Path(__file__).parents[4]


@given(st.lists(st.sampled_from(Act)))
def test_no_order_of_acts_breaks_an_alarm(acts: list[Act]) -> None:
    state, cause = AlarmState(), False
    for number, act in enumerate(acts):
        try:
            after = step(state, act, until=number + 1.0)
        except ActRefused:
            assert act not in (Act.RAISE, Act.CLEAR), "the station's own word is never refused"
            continue
        if act in (Act.RAISE, Act.CLEAR):
            cause = act is Act.RAISE
        assert after.stage.active is cause
        # Only a person makes it seen; only a new cause makes it unseen.
        if after.stage.acked and not state.stage.acked:
            assert act is Act.ACKNOWLEDGE
        if state.stage.acked and not after.stage.acked:
            assert act is Act.RAISE
        if after.stage.confirmed and not state.stage.confirmed:
            assert act in (Act.CONFIRM, Act.RAISE)
        assert (after.until == 0.0) is (after.shelving is Shelving.UNSHELVED)
        assert not after.retain or after.enabled
        state = after


def test_every_stage_and_shelving_is_reached_and_left() -> None:
    for table, kinds in ((STAGES, Stage), (SHELVINGS, Shelving)):
        for kind in kinds:
            assert any(after is kind and before is not kind for (before, _), after in table.items())
            assert any(before is kind and after is not kind for (before, _), after in table.items())
    for stage in Stage:
        assert (stage, Act.RAISE) in STAGES
        assert (stage, Act.CLEAR) in STAGES


def test_what_is_out_of_service_takes_nothing_from_people() -> None:
    state = step(step(AlarmState(), Act.RAISE), Act.DISABLE)
    for act in (Act.ACKNOWLEDGE, Act.CONFIRM, Act.SHELVE_ONCE, Act.DISABLE):
        with pytest.raises(ActRefused):
            step(state, act)
    assert step(step(state, Act.CLEAR), Act.ENABLE).stage is Stage.CLEARED


# --- from snapshots to acts -----------------------------------------------------------------------------------------

REASONS: dict[str, tuple[StationSnapshot | None, StationSnapshot]] = {
    "Failsafe": (snapshot(failsafe=True, fault_why="hung"), snapshot()),
    "FeedLost": (None, snapshot()),
    "PlcOffline": (snapshot(online=False), snapshot()),
    "ModeLowered": (snapshot(reports=[report("mode lowered")]), snapshot()),
    "ModeCeiling": (snapshot(reports=[report("mode ceiling")]), snapshot()),
    "Held": (snapshot(hold=2), snapshot()),
    "Camera": (snapshot(reports=[report("camera:top")]), snapshot()),
    "ImageDrift": (snapshot(reports=[report("image:top")]), snapshot()),
    "Calibration": (snapshot(reports=[report("calibration:top")]), snapshot()),
    "Undecided": (snapshot(last_parts=[part(n, "NO_DECISION") for n in range(10)]), snapshot()),
    "MissedTriggers": (snapshot(missed=1), snapshot(missed=1)),
    "Overruns": (snapshot(overruns=1), snapshot(overruns=1)),
    "LateResults": (snapshot(late=1), snapshot(late=1)),
    "LostParts": (snapshot(lost=1), snapshot(lost=1)),
    "Journal": (snapshot(reports=[report("journal")]), snapshot()),
    "JournalLoss": (snapshot(journal_dropped=1), snapshot(journal_dropped=1)),
    "Latch": (snapshot(reports=[report("failsafe latch")]), snapshot()),
    "LoopLag": (snapshot(loop_lag_ms=float("nan")), snapshot()),
    "Images": (snapshot(reports=[report("images")]), snapshot()),
    "ImagesLost": (snapshot(images_dropped=1), snapshot(images_dropped=1)),
    "Status": (snapshot(reports=[report("status")]), snapshot()),
    "Duty": (snapshot(reports=[report("the coffee machine")]), snapshot()),
}
"""What raises each alarm, and what clears it."""


def test_every_alarm_has_its_reason_here() -> None:
    assert list(REASONS) == [alarm.id for alarm in ALARMS]


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.id)
def test_an_alarm_is_raised_after_its_delay_and_cleared_after_its_own(alarm: Alarm) -> None:
    watch = Watch()
    bad, good = REASONS[alarm.id]
    assert watch.look(snapshot(), 0.0) == []
    acts = watch.look(bad, 10.0)
    if alarm.on_delay_s:
        assert acts == []
        acts = watch.look(bad, 10.0 + alarm.on_delay_s)
    assert [(found.id, act) for found, act, _ in acts] == [(alarm.id, Act.RAISE)]
    assert acts[0][2]
    if bad != good:
        # Not so for counters: they are quiet as soon as they stand still.
        assert watch.look(bad, 11.0 + alarm.on_delay_s) == []
    start = 20.0 + alarm.on_delay_s
    acts = watch.look(good, start)
    if alarm.off_delay_s:
        assert acts == []
        assert watch.look(good, start + alarm.off_delay_s - 0.1) == []
        acts = watch.look(good, start + alarm.off_delay_s)
    assert [(found.id, act) for found, act, _ in acts] == [(alarm.id, Act.CLEAR)]


def test_a_reason_that_flickers_faster_than_the_delay_raises_nothing() -> None:
    watch = Watch()
    for second in range(20):
        seen = snapshot(online=bool(second % 2))
        assert watch.look(seen, float(second)) == []


def test_dead_bands_hold_an_alarm_between_its_limits() -> None:
    watch = Watch()
    watch.look(snapshot(loop_lag_ms=30.0), 0.0)
    assert [act for _, act, _ in watch.look(snapshot(loop_lag_ms=30.0), 3.0)] == [Act.RAISE]
    for second in range(4, 40):
        assert watch.look(snapshot(loop_lag_ms=10.0), float(second)) == []


def test_while_nothing_is_known_nothing_is_cleared() -> None:
    watch = Watch()
    watch.look(snapshot(failsafe=True, fault_why="hung"), 0.0)
    watch.look(None, 1.0)
    assert [(alarm.id, act) for alarm, act, _ in watch.look(None, 5.0)] == [("FeedLost", Act.RAISE)]


def test_a_station_that_starts_is_not_told_as_one_that_lost_its_plc() -> None:
    watch = Watch()
    for second in range(20):
        assert watch.look(snapshot(state="starting", online=False), float(second)) == []


@pytest.mark.parametrize("hold", [1, 2])
def test_both_ways_out_of_inspection_are_told(hold: int) -> None:
    ((alarm, act, why),) = Watch().look(snapshot(hold=hold), 0.0)
    assert (alarm.id, act) == ("Held", Act.RAISE)
    assert why


def test_each_alarm_is_rationalised() -> None:
    assert len({alarm.id for alarm in ALARMS}) == len(ALARMS)
    for alarm in ALARMS:
        assert alarm.cause
        assert alarm.consequence
        assert alarm.action
        assert bool(alarm.band) is bool(alarm.off_delay_s)
        # Nobody puts a safety-relevant one on the shelf.
        assert not (alarm.shelf_min and alarm.priority.name == "CRITICAL")


def test_the_page_of_alarms_is_current() -> None:
    assert (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8") == page()
