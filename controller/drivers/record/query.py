"""Questions to the journal, read-only and beside a running station.

Parts come in the order in which the journal took them (its row numbers), which a wall clock that was set back does not
disturb. All answers are plain values that JSON can hold: enumerations by name, times as ISO 8601 in UTC.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controller.drivers.record.schema import open_for_reading
from controller.errors import RecordError
from statemachines.vocabulary import Action, Mode, PartKey, Reason, Severity, Verdict

Part = dict[str, Any]
"""One part as plain values; the keys are PART_FIELDS."""

_COLUMNS = {
    "row": "t.id",
    "part_id": "t.part_id",
    "epoch": "t.epoch",
    "source": "t.source",
    "seq": "t.seq",
    "time": "t.wall_ns",
    "verdict": "o.verdict",
    "reason": "o.reason",
    "action": "o.action",
    "mode": "coalesce(o.mode, t.mode)",
    "answered": "o.answered",
    "score": "o.score",
    "why": "o.why",
    "finding_count": "o.finding_count",
    "defect_code": "o.defect_code",
    "severity": "o.severity",
    "recipe_id": "t.recipe_id",
    "recipe_hash": "t.recipe_hash",
    "plc_epoch": "t.plc_epoch",
    "encoder_pos": "t.encoder_pos",
    "start_number": "t.start_number",
    "meas_id": "t.meas_id",
    "trigger_recorded": "NOT t.from_outcome",
    "seen_us": "o.seen_us",
    "captured_us": "o.captured_us",
    "inferred_us": "o.inferred_us",
    "handed_us": "o.handed_us",
    "published_us": "o.published_us",
    "latency_us": "o.latency_us",
}
PART_FIELDS = tuple(_COLUMNS)
_ENUMS: dict[str, type[IntEnum]] = {
    "verdict": Verdict,
    "reason": Reason,
    "action": Action,
    "mode": Mode,
    "severity": Severity,
}
_PARTS = (
    "SELECT " + ", ".join(f"{sql} AS {name}" for name, sql in _COLUMNS.items()) + ", o.id AS outcome_id,"
    " t.seen_ns AS seen_ns, t.deadline_ns AS deadline_ns, o.at_ns AS at_ns FROM triggers t LEFT JOIN outcomes o"
    " ON o.epoch = t.epoch AND o.source = t.source AND o.seq = t.seq AND o.start_number = t.start_number"
)
_CONTEXT_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class PartFilter:
    """Which parts; None asks for nothing in particular.

    part_id: as a person types it, found as number or text. since_ns, until_ns: wall clock, Unix ns, half open.
    recipe: its number, or the beginning of its hash. limit: the newest so many, 0 for all.
    """

    part_id: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    recipe: str | None = None
    verdict: Verdict | None = None
    reason: Reason | None = None
    limit: int = 0


class JournalReader:
    """A read-only connection to a journal; use it with `with`. Raises RecordError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_for_reading(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def parts(self, wanted: PartFilter) -> Iterator[Part]:
        """Parts that match, newest first."""
        clauses, values = _where(wanted)
        sql = f"{_PARTS}{' WHERE ' + ' AND '.join(clauses) if clauses else ''} ORDER BY t.id DESC, o.id DESC LIMIT ?"
        for row in self._rows(sql, (*values, wanted.limit or -1)):
            yield _part(row)

    def details(self, name: str, limit: int = 10) -> list[Part]:
        """All that is known of the parts of this name, newest first: a part id, or a key "epoch/source/seq".

        Adds to PART_FIELDS: findings, frames (used: the verdict rests on it; begin_us, end_us: exposure after the
        trigger), images (present: the file still lies there), late, gate, events (of 10 s before the trigger to 10 s
        after the end).
        """
        key = _key(name)
        if key is None:
            clauses, values = _where(PartFilter(part_id=name))
        else:
            clauses, values = ["t.epoch = ? AND t.source = ? AND t.seq = ?"], [key.epoch, key.source, key.seq]
        sql = f"{_PARTS} WHERE {' AND '.join(clauses)} ORDER BY t.id DESC, o.id DESC LIMIT ?"
        return [self._detail(row) for row in self._rows(sql, (*values, limit))]

    def events(self, kind: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """The newest events of the audit trail, newest first. limit: 0 for all."""
        sql = "SELECT * FROM events WHERE kind = coalesce(?, kind) ORDER BY id DESC LIMIT ?"
        return [_event(row) for row in self._rows(sql, (kind, limit or -1))]

    def _detail(self, row: sqlite3.Row) -> Part:
        key = (row["epoch"], row["source"], row["seq"], row["start_number"])
        same = "epoch = ? AND source = ? AND seq = ? AND start_number = ? ORDER BY id"
        images = [_named(image) for image in self._rows(f"SELECT * FROM images WHERE {same}", key)]
        for image in images:
            image["present"] = Path(image["path"]).is_file()
        gate = "SELECT * FROM gate WHERE session_id = ? AND seq = ? AND start_number = ? AND ? = 'plc' ORDER BY id"
        begin = row["seen_ns"] or row["at_ns"] or 0
        span = (row["start_number"], begin - _CONTEXT_NS, (row["at_ns"] or row["deadline_ns"] or begin) + _CONTEXT_NS)
        events = "SELECT * FROM events WHERE start_number = ? AND at_ns BETWEEN ? AND ? ORDER BY id LIMIT 100"
        found = self._rows("SELECT * FROM findings WHERE outcome_id = ? ORDER BY id", (row["outcome_id"],))
        return {
            **_part(row),
            "findings": [_named(finding) for finding in found],
            "frames": [_named(frame) for frame in self._rows(f"SELECT * FROM frames WHERE {same}", key)],
            "images": images,
            "late": [_named(late) for late in self._rows(f"SELECT * FROM late WHERE {same}", key)],
            "gate": [_named(gated) for gated in self._rows(gate, (row["epoch"], row["seq"], key[3], row["source"]))],
            "events": [_event(event) for event in self._rows(events, span)],
        }

    def _rows(self, sql: str, values: Sequence[object]) -> Iterator[sqlite3.Row]:
        try:
            yield from self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise RecordError(f"{self._path}: {error}: the journal cannot be read") from error


def _where(wanted: PartFilter) -> tuple[list[str], list[object]]:
    clauses: list[str] = []
    values: list[object] = []

    def add(clause: str, *more: object) -> None:
        clauses.append(clause)
        values.extend(more)

    if wanted.part_id is not None:
        text = wanted.part_id
        number = int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
        add("t.part_id IN (?, ?)", text.encode("utf-8", "backslashreplace").decode(), number)
    if wanted.since_ns is not None:
        add("t.wall_ns >= ?", wanted.since_ns)
    if wanted.until_ns is not None:
        add("t.wall_ns < ?", wanted.until_ns)
    if wanted.recipe is not None:
        number = int(wanted.recipe) if re.fullmatch(r"[0-9]{1,10}", wanted.recipe) else -1
        add("(t.recipe_id = ? OR (length(?) >= 4 AND substr(t.recipe_hash, 1, length(?)) = ?))", number)
        values.extend([wanted.recipe] * 3)
    if wanted.verdict is not None:
        add("o.verdict = ?", int(wanted.verdict))
    if wanted.reason is not None:
        add("o.reason = ?", int(wanted.reason))
    return clauses, values


def _key(name: str) -> PartKey | None:
    match = re.fullmatch(r"([0-9]{1,18})/([A-Za-z0-9_]+)/([0-9]{1,18})", name)
    return PartKey(int(match[1]), match[2], int(match[3])) if match else None


def _part(row: sqlite3.Row) -> Part:
    part: Part = {name: _value(name, row[name]) for name in PART_FIELDS}
    for name in ("answered", "trigger_recorded"):
        part[name] = None if part[name] is None else bool(part[name])
    return part


def _named(row: sqlite3.Row) -> dict[str, Any]:
    hidden = {"id", "outcome_id", "start_number", "epoch", "source", "seq"}
    return {_field(name): _value(_field(name), row[name]) for name in row.keys() if name not in hidden}  # noqa: SIM118


def _event(row: sqlite3.Row) -> dict[str, Any]:
    return {**_named(row), "detail": json.loads(row["detail"])}


def _field(name: str) -> str:
    return "time" if name == "wall_ns" else name


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "time":
        return datetime.fromtimestamp(value / 1e9, UTC).isoformat(timespec="milliseconds")
    if name in _ENUMS:
        kind = _ENUMS[name]
        return kind(value).name if value in {member.value for member in kind} else value
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value
