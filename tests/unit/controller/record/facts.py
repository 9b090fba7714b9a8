"""Facts to put on record, and waiting for what threads do."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from controller.ports import Record
from statemachines.commands import RecordTrigger
from statemachines.vocabulary import (
    Action,
    Finding,
    FrameFact,
    Health,
    Mode,
    Ns,
    Outcome,
    PartId,
    PartKey,
    Reason,
    Severity,
    Verdict,
)

WALL = 1_800_000_000_000_000_000
MS = 1_000_000
HANGS_S = 600.0
"""How long a pretended disk hangs where nobody ends it: beyond the end of any test."""


def trigger(seq: int, part_id: PartId | None = None, *, epoch: int = 7, wall: int = WALL, recipe: int = 3) -> Record:
    at = seq * 100 * MS
    key = PartKey(epoch, "plc", seq)
    name = seq if part_id is None else part_id
    fact = RecordTrigger(key, name, Ns(at + MS), Ns(at), Ns(at + 80 * MS), Mode.AUTO_REJECT, recipe, "abcdef12", 5, 44)
    return Record(wall, fact)


def outcome(
    seq: int, verdict: Verdict = Verdict.OK, part_id: PartId | None = None, *, epoch: int = 7, score: float = 0.25
) -> Record:
    at = seq * 100 * MS
    scratch = Finding(
        "scratch", 11, Severity.MAJOR, 0.9, (1, 2, 3, 4), 2.4, 0.2, 0.5, "scratch 2.4 mm > 2.0 mm: major", "top"
    )
    dent = Finding("dent", 12, Severity.MINOR, 0.99, (5, 6, 7, 8), 0.4, 0.3, 0.1, "dent 0.4 mm: minor")
    stamps = {"triggered": at, "seen": at + MS, "captured": at + 3 * MS, "published": at + 9 * MS}
    bad = verdict is Verdict.NG
    fact = Outcome(
        part=PartKey(epoch, "plc", seq),
        part_id=seq if part_id is None else part_id,
        at=Ns(at + 9 * MS),
        verdict=verdict,
        reason=Reason.DEADLINE if verdict is Verdict.NO_DECISION else Reason.DECIDED,
        action=Action.REJECT if bad else Action.PASS,
        mode=Mode.AUTO_REJECT,
        answered=True,
        findings=(dent, scratch) if bad else (),
        score=score,
        why="scratch 2.4 mm > 2.0 mm: major" if bad else "",
        stamps=stamps,
        frames=(
            FrameFact("top", "cam-1", seq, Ns(at + MS), 200_000, used=True),
            FrameFact("side", "2", seq, Ns(at), None),
        ),
    )
    return Record(WALL, fact)


class Told:
    """Collects what callbacks tell from other threads; `wait` until it satisfies."""

    def __init__(self) -> None:
        self.keys: list[PartKey] = []
        self.health: list[tuple[Health, str]] = []
        self._changed = threading.Condition()

    def committed(self, keys: tuple[PartKey, ...]) -> None:
        with self._changed:
            self.keys.extend(keys)
            self._changed.notify_all()

    def reported(self, health: Health, why: str) -> None:
        with self._changed:
            self.health.append((health, why))
            self._changed.notify_all()

    def wait(self, satisfied: Callable[[], bool], timeout: float = 10.0) -> None:
        with self._changed:
            assert self._changed.wait_for(satisfied, timeout), (len(self.keys), self.health)

    def levels(self) -> list[Health]:
        return [health for health, _ in self.health]


def eventually(satisfied: Callable[[], bool], timeout: float = 10.0) -> None:
    """Wait for something that tells nobody, such as a file that a thread writes."""
    until = time.monotonic() + timeout
    tick = threading.Event()
    while not satisfied():
        assert time.monotonic() < until, "it never came true"
        tick.wait(0.005)


def ask(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()
