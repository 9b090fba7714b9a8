"""The station's journal as a rig reads it: the file alone, with nothing of the station's code.

Tables used: `triggers` and `outcomes` (one row per part, joined by start_number, epoch, source, seq), `events` (kind,
detail as JSON). Codes are those of the PLC contract; from 20 on reasons are the journal's own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

VERDICTS = {0: "NONE", 1: "OK", 2: "NG", 3: "UNSURE", 4: "NO_DECISION"}
REASONS = {
    0: "DECIDED", 1: "DEADLINE", 2: "CAMERA", 3: "MODEL", 4: "IMAGE_QUALITY", 5: "OVERRUN", 6: "NOT_READY",
    7: "LATE_TRIGGER", 8: "RECIPE", 9: "FAILSAFE", 20: "DISABLED", 21: "LOST", 22: "MISSED", 23: "SUPERSEDED",
}  # fmt: skip
UNANSWERED_REASONS = frozenset({20, 21, 22, 23})

_ROW = (
    "SELECT t.part_id, t.plc_epoch, t.recipe_id, o.verdict, o.reason, o.action, coalesce(o.mode, t.mode), o.answered,"
    " o.why FROM triggers t LEFT JOIN outcomes o ON o.epoch = t.epoch AND o.source = t.source AND o.seq = t.seq"
    " AND o.start_number = t.start_number WHERE t.source = 'plc' AND "
)


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One part as the journal has it. verdict None: it has not ended yet. answered None: it is not known."""

    part_id: int | str
    plc_epoch: int | None
    recipe_id: int | None
    verdict: int | None
    reason: int | None
    action: int | None
    mode: int | None
    answered: bool | None
    why: str | None


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One event of the audit trail."""

    kind: str
    who: str
    detail: dict[str, Any]


class Journal:
    """A read-only look into a journal beside the station that writes it; use it with `with`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        self._connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def rows(self, session: int, seq: int) -> list[JournalRow]:
        """Every row of a part: one, unless something is very wrong."""
        return [_row(row) for row in self._ask(f"{_ROW} t.epoch = ? AND t.seq = ?", (session, seq))]

    def newest(self, after: int) -> list[tuple[int, JournalRow]]:
        """Parts that came after a row number, oldest first, with their numbers."""
        sql = _ROW.replace("SELECT ", "SELECT t.id, ", 1) + "t.id > ? ORDER BY t.id"
        return [(row[0], _row(row[1:])) for row in self._ask(sql, (after,))]

    def last_row(self) -> int:
        """Number of the newest part's row."""
        return int(self._ask("SELECT coalesce(max(id), 0) FROM triggers", ())[0][0])

    def triggers(self) -> int:
        """How many parts of the PLC it holds."""
        return int(self._ask("SELECT count(*) FROM triggers WHERE source = 'plc'", ())[0][0])

    def last_event(self) -> int:
        """Number of the newest event's row."""
        return int(self._ask("SELECT coalesce(max(id), 0) FROM events", ())[0][0])

    def events(self, kind: str, after: int = 0) -> list[JournalEvent]:
        """Events of a kind that came after a row number, oldest first. "kind:key": only those whose detail has this."""
        kind, _, key = kind.partition(":")
        found = self._ask("SELECT kind, who, detail FROM events WHERE kind = ? AND id > ? ORDER BY id", (kind, after))
        events = (JournalEvent(row[0], row[1], json.loads(row[2])) for row in found)
        return [event for event in events if not key or key in event.detail]

    def _ask(self, sql: str, values: Sequence[object]) -> list[Any]:
        assert self._connection is not None, "use it with `with`"
        return self._connection.execute(sql, values).fetchall()


def _row(row: Sequence[Any]) -> JournalRow:
    part_id, plc_epoch, recipe_id, verdict, reason, action, mode, answered, why = row
    known = None if answered is None else bool(answered)
    return JournalRow(part_id, plc_epoch, recipe_id, verdict, reason, action, mode, known, why)
