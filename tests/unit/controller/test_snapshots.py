"""What people ask for through the status process: the station itself decides, whatever that process says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from controller.snapshots import SnapshotDuty
from controller.status.messages import ChangeRecipe, ResetFailsafe, SetMode
from statemachines import health
from statemachines.commands import RecordEvent
from statemachines.line import Line
from statemachines.station.state import Station
from statemachines.vocabulary import FaultCode, Mode
from tests.unit.controller.test_job_duty import Feed, Loop, duty
from tests.unit.statemachines.test_jobs import NOW, idle


def station(tmp_path: Path, mode: Mode, **changes: Any) -> tuple[SnapshotDuty, Loop, Feed]:
    """One that runs in this mode."""
    now: Station = replace(idle(), line=Line(f"running_{mode.name.lower()}", mode), **changes)
    jobs, loop, feed = duty(now, tmp_path)
    return SnapshotDuty(cast(Any, loop), "press 3", 100, lambda: 0.0, lambda: (0, 0), jobs), loop, feed


@pytest.mark.parametrize(("before", "wanted"), [(1, 2), (1, 3), (2, 3)])
def test_a_raise_that_nobody_signed_is_refused_and_changes_nothing(tmp_path: Path, before: int, wanted: int) -> None:
    snapshots, loop, feed = station(tmp_path, Mode(before))
    unchanged = loop.station
    snapshots.obey(cast(Any, feed), SetMode(7, wanted, "emil", "the model is proven"))
    assert feed.answers == [(7, False, "raising the mode needs an engineer on an encrypted session", "")]
    assert loop.station is unchanged
    assert loop.commands == []


@pytest.mark.parametrize(
    ("before", "wanted", "signed"), [(1, 3, True), (1, 2, True), (3, 1, False), (2, 1, False), (2, 2, False)]
)
def test_a_signed_raise_is_obeyed_and_so_is_every_other_change(
    tmp_path: Path, before: int, wanted: int, *, signed: bool
) -> None:
    snapshots, loop, feed = station(tmp_path, Mode(before))
    snapshots.obey(cast(Any, feed), SetMode(7, wanted, "emil", "the model is proven", signed))
    assert feed.answers[-1][:2] == (7, True)
    assert loop.station.line.mode is Mode(wanted)
    if before != wanted:
        (row,) = [c for c in loop.commands if isinstance(c, RecordEvent) and c.kind == "mode" and c.who]
        assert (row.who, row.detail["why"]) == ("emil", "the model is proven")


@pytest.mark.parametrize("number", [0, 4, -1])
def test_a_mode_that_is_none_is_refused(tmp_path: Path, number: int) -> None:
    snapshots, loop, feed = station(tmp_path, Mode.SHADOW)
    snapshots.obey(cast(Any, feed), SetMode(7, number, "emil", "why", True))
    assert feed.answers[-1][:2] == (7, False)
    assert loop.commands == []


def test_a_reset_needs_something_to_reset(tmp_path: Path) -> None:
    snapshots, loop, feed = station(tmp_path, Mode.SHADOW)
    snapshots.obey(cast(Any, feed), ResetFailsafe(1, "olga"))
    assert feed.answers == [(1, False, "failsafe is not latched", "")]
    assert loop.commands == []
    latch = health.restored(FaultCode.OPERATOR, "stopped", NOW)
    snapshots, loop, feed = station(tmp_path, Mode.SHADOW, latch=latch)
    snapshots.obey(cast(Any, feed), ResetFailsafe(2, "olga"))
    assert feed.answers[-1][:2] == (2, True)
    assert loop.station.latch.reset_by == "olga"


def test_one_recipe_is_loaded_at_a_time(tmp_path: Path) -> None:
    snapshots, _, feed = station(tmp_path, Mode.SHADOW)
    snapshots.obey(cast(Any, feed), ChangeRecipe(1, "ring", "emil"))
    snapshots.obey(cast(Any, feed), ChangeRecipe(2, "washer", "emil"))
    assert [answer[:2] for answer in feed.answers] == [(1, True), (2, False)]
