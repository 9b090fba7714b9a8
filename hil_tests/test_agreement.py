"""The comparison of tally and journal, provoked one disagreement at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from controller.sim.tally import PartTally
from hil_tests.agreement import Agreement, Outage, compare
from hil_tests.journal import Journal

PART = PartTally("P1", 5, 77, 3, 1_000, answered_ns=2_000, answers=1, action=1, verdict=1, mode=3, outcome=1)
OUTAGE = Outage("cable", 900, 1_100)


class File:
    """A journal file made by hand: one trigger and, where wanted, its outcome."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with sqlite3.connect(path) as file:
            file.executescript(
                "CREATE TABLE triggers (id INTEGER PRIMARY KEY, start_number, epoch, source, seq, part_id, plc_epoch,"
                " recipe_id, mode);"
                "CREATE TABLE outcomes (id INTEGER PRIMARY KEY, start_number, epoch, source, seq, verdict, reason,"
                " action, mode, answered, why);"
            )

    def trigger(self, part_id: str = "P1", seq: int = 5) -> File:
        with sqlite3.connect(self.path) as file:
            file.execute("INSERT INTO triggers VALUES (NULL, 1, 77, 'plc', ?, ?, 3, 1, 3)", (seq, part_id))
        return self

    def outcome(self, answered: int | None = 1, verdict: int = 1, reason: int = 0, action: int = 1) -> File:
        with sqlite3.connect(self.path) as file:
            row = (verdict, reason, action, answered)
            file.execute("INSERT INTO outcomes VALUES (NULL, 1, 77, 'plc', 5, ?, ?, ?, 3, ?, 'why')", row)
        return self

    def compare(self, part: PartTally, *outages: Outage) -> Agreement:
        with Journal(self.path) as journal:
            return compare([part], journal, list(outages))


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "journal.db")


MISSING = replace(PART, answers=0, answered_ns=0, verdict=0, action=0)


def test_the_same_story_agrees(file: File) -> None:
    assert file.trigger().outcome().compare(PART).whole


def ended(file: File) -> File:
    return file.trigger().outcome()


def untouched(file: File) -> File:
    return file


def lost(file: File) -> File:
    return file.trigger().outcome(answered=0, reason=21)


DISAGREEMENTS: dict[str, tuple[Callable[[File], File], PartTally]] = {
    "not in the journal": (untouched, PART),
    "another part's name": (lambda file: file.trigger("P2").outcome(), PART),
    "never ended": (File.trigger, PART),
    "another verdict": (lambda file: file.trigger().outcome(verdict=2), PART),
    "another action": (lambda file: file.trigger().outcome(action=3), PART),
    "said to be unanswered": (lost, PART),
    "twice in the journal": (lambda file: ended(file).trigger(), PART),
    "answered twice": (ended, replace(PART, answers=2)),
    "missing without an outage": (lost, MISSING),
    "missing and unknown": (untouched, MISSING),
}


@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_every_disagreement_is_found(file: File, name: str) -> None:
    prepare, part = DISAGREEMENTS[name]
    assert not prepare(file).compare(part).whole


def test_an_outage_explains_a_gap_and_nothing_else(file: File) -> None:
    file.trigger().outcome(answered=0, reason=21)
    found = file.compare(MISSING, OUTAGE)
    assert found.whole
    assert found.missing_explained == {"cable": 1}
    assert not file.compare(replace(MISSING, trigger_ns=2_000), OUTAGE).whole
    assert file.compare(PART, OUTAGE).whole, "the confirmation may have been lost in the outage"


def test_an_outage_does_not_excuse_a_lost_acknowledgement(file: File) -> None:
    assert not file.compare(replace(MISSING, acknowledged=True), OUTAGE).whole
    assert not file.compare(replace(PART, acknowledged=True), OUTAGE).whole
    assert file.compare(PART, OUTAGE).whole, "answered, killed before the row was on disk, never acknowledged"


def test_an_outage_does_not_excuse_a_claim_to_have_answered(file: File) -> None:
    assert not file.trigger().outcome().compare(MISSING, OUTAGE).whole


def test_a_restarted_plc_may_have_forgotten_an_answer_that_it_confirmed(file: File) -> None:
    restart = replace(OUTAGE, forgets=True)
    assert file.trigger().outcome().compare(MISSING, restart).whole
    assert not file.compare(replace(MISSING, trigger_ns=2_000), restart).whole
