"""Results out of a real journal, by the names that a client gave its measurements."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from controller.drivers.record.journal import SqliteJournal
from controller.status.vision import structures
from controller.status.vision.recipes import RecipeFolder
from controller.status.vision.results import Results, Wanted
from statemachines.commands import RecordTrigger
from tests.unit.controller.record.facts import Told, outcome, trigger


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Parts 1 to 3 have ended, 2 with a name; 4 has not."""
    path, told = tmp_path / "journal.db", Told()
    journal = SqliteJournal(path, told.committed, told.reported)
    journal.open()
    for seq in (1, 2, 3, 4):
        record = trigger(seq)
        assert isinstance(record.fact, RecordTrigger)
        named = "shift 2" if seq == 2 else ""
        journal.append(replace(record, fact=replace(record.fact, meas_id=named)))
        if seq < 4:
            journal.append(outcome(seq))
    assert journal.close()
    return Results(path, RecipeFolder(None))


def keys(results: Results, wanted: Wanted) -> list[str]:
    return [result.key for result in results.newest(wanted, math.inf)]


def test_results_are_found_by_what_the_client_called_its_measurement(results: Results) -> None:
    assert keys(results, Wanted()) == ["7/plc/3", "7/plc/2", "7/plc/1"]
    assert keys(results, Wanted(meas_id="shift 2")) == ["7/plc/2"]
    # One without a name is told with its number, and found by that.
    assert keys(results, Wanted(meas_id="3")) == ["7/plc/3"]
    assert keys(results, Wanted(meas_id="2")) == []
    assert keys(results, Wanted(meas_id="shift 2", key="7/plc/1")) == []


def test_a_result_says_what_the_event_said(results: Results) -> None:
    found = results.by_id("7/plc/2")
    assert found is not None
    assert structures.meas_name(found) == "shift 2"
    assert results.by_id("7/plc/4") is None
    assert results.by_id("shift 2") is None


def test_a_search_ends_with_its_time(results: Results) -> None:
    with pytest.raises(TimeoutError):
        next(results.newest(Wanted(meas_id="nothing"), 0.0))
