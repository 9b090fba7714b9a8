"""From facts to rows: what the journal's writer puts into which table.

Whatever a fact holds is made storable here (numbers that SQLite cannot hold, half characters, NaN), because a row that
cannot be written would otherwise stand in the way of all rows behind it.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from controller.ports import Record
from statemachines.commands import RecordEvent, RecordGate, RecordLate, RecordTrigger
from statemachines.vocabulary import Action, FrameFact, Outcome, PartKey, Reason, Verdict

LOST_WHY = "station stopped before the answer was recorded"

_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class ImageKept:
    """One image that the store wrote. kept_as: "png" (lossless) or "jpeg". sha256: of the file's bytes, in hex."""

    part: PartKey
    view: str
    path: str
    bytes: int
    sha256: str
    kept_as: str
    wall_ns: int


def insert(connection: sqlite3.Connection, start: int, item: Record | ImageKept) -> PartKey | None:
    """Add one item's rows within the open transaction; returns the part's key for a trigger.

    Raises sqlite3.Error, and whatever a fact that breaks its own types causes.
    """
    if isinstance(item, ImageKept):
        row = (*_key(start, item.part), _text(item.view), _text(item.path), item.bytes, item.sha256, item.kept_as)
        _add(connection, "images", (*row, item.wall_ns))
        return None
    match item.fact:
        case RecordTrigger() as fact:
            _trigger(connection, start, item.wall_ns, fact)
            return fact.part
        case Outcome() as fact:
            _outcome(connection, start, item.wall_ns, fact)
        case RecordLate() as fact:
            _add(connection, "late", (*_key(start, fact.part), item.wall_ns, fact.at, _text(fact.what)))
        case RecordGate() as fact:
            _add(connection, "gate", (start, fact.session_id, fact.seq, fact.outcome, item.wall_ns, fact.at))
        case RecordEvent() as fact:
            event(connection, start, item.wall_ns, fact.at, fact.kind, fact.who, fact.detail)
    return None


def event(
    connection: sqlite3.Connection,
    start: int,
    wall_ns: int,
    at: int | None,
    kind: str,
    who: str,
    detail: Mapping[str, int | float | str],
) -> None:
    """Add one row to the audit trail; `detail` becomes JSON, numbers that JSON lacks become text."""
    plain = {key: _json_value(value) for key, value in detail.items()}
    _add(connection, "events", (start, wall_ns, at, _text(kind), _text(who), json.dumps(plain, default=str)))


_UNANSWERED = (
    "FROM triggers t WHERE t.id > (SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'settled')"
    " AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.epoch = t.epoch AND o.source = t.source AND o.seq = t.seq"
    " AND o.start_number = t.start_number)"
)


def settle(connection: sqlite3.Connection) -> None:
    """Note up to which trigger every one has its outcome, so that the next start need not search the rows before it."""
    connection.execute(
        "UPDATE meta SET value = coalesce("
        f"(SELECT min(t.id) - 1 {_UNANSWERED}), (SELECT max(id) FROM triggers), 0) WHERE name = 'settled'"
    )


def close_lost(connection: sqlite3.Connection, wall_ns: int) -> int:
    """Give every trigger that has no outcome its outcome row LOST; returns how many there were.

    To be called before the new start takes its first trigger, in the same transaction.
    """
    cursor = connection.execute(
        "INSERT INTO outcomes (start_number, epoch, source, seq, wall_ns, verdict, reason, action, mode, answered,"
        " score, why, finding_count, defect_code, severity)"
        " SELECT t.start_number, t.epoch, t.source, t.seq, ?, ?, ?, ?, t.mode, NULL, NULL, ?, 0, 0, 0"
        f" {_UNANSWERED} ORDER BY t.id",
        (wall_ns, int(Verdict.NO_DECISION), int(Reason.LOST), int(Action.NONE), LOST_WHY),
    )
    settle(connection)
    return max(cursor.rowcount, 0)


def _trigger(connection: sqlite3.Connection, start: int, wall_ns: int, fact: RecordTrigger) -> None:
    if _has_trigger(connection, fact.part):
        detail = {"part": str(fact.part), "part_id": _plain(fact.part_id)}
        event(connection, start, wall_ns, fact.at, "duplicate_key", "journal", detail)
    row = (*_key(start, fact.part), _plain(fact.part_id), wall_ns, fact.at, fact.triggered_at, fact.deadline)
    more = (
        int(fact.mode),
        fact.recipe_id,
        _text(fact.recipe_hash),
        fact.plc_epoch,
        fact.encoder_pos,
        0,
        _text(fact.meas_id) or None,
    )
    _add(connection, "triggers", row + more)


def _outcome(connection: sqlite3.Connection, start: int, wall_ns: int, fact: Outcome) -> None:
    triggered = fact.stamps.get("triggered")
    if not _has_trigger(connection, fact.part, start):
        # The trigger's own row was dropped (queue full) or never asked for. The part is listed all the same.
        row = (*_key(start, fact.part), _plain(fact.part_id), wall_ns, fact.stamps.get("seen"), triggered, None)
        _add(connection, "triggers", (*row, int(fact.mode), None, None, None, None, 1, None))
    worst = max(fact.findings, key=lambda finding: (finding.severity, finding.confidence), default=None)
    stamps = tuple(
        _microseconds(triggered, fact.stamps.get(name))
        for name in ("seen", "captured", "inferred", "handed", "published")
    )
    cursor = _add(
        connection,
        "outcomes",
        (
            *_key(start, fact.part),
            wall_ns,
            fact.at,
            int(fact.verdict),
            int(fact.reason),
            int(fact.action),
            int(fact.mode),
            int(fact.answered),
            fact.score,
            _text(fact.why),
            len(fact.findings),
            worst.code if worst else 0,
            int(worst.severity) if worst else 0,
            *stamps,
            _microseconds(fact.stamps.get("seen"), fact.stamps.get("published")),
        ),
    )
    for finding in fact.findings:
        sizes = (finding.length_mm, finding.width_mm, finding.area_mm2)
        row = (cursor.lastrowid, _text(finding.defect), finding.code, int(finding.severity), finding.confidence)
        _add(connection, "findings", (*row, *finding.region, *sizes, _text(finding.why), _text(finding.view)))
    for frame in fact.frames:
        _frame(connection, start, fact.part, triggered, frame)


def _frame(connection: sqlite3.Connection, start: int, part: PartKey, triggered: int | None, frame: FrameFact) -> None:
    """Begin and end of the exposure in µs from the trigger, and the monotonic clock's own figure."""
    ended = None if frame.exposure_ns is None else frame.exposed_at + frame.exposure_ns
    times = _microseconds(triggered, frame.exposed_at), _microseconds(triggered, ended)
    row = (*_key(start, part), _text(frame.view), _text(frame.camera), frame.counter, *times)
    _add(connection, "frames", (*row, int(frame.used), frame.exposed_at))


def _add(connection: sqlite3.Connection, table: str, row: tuple[object, ...]) -> sqlite3.Cursor:
    # The first column is always the row id, which SQLite counts up by itself: rows keep the order in which they came,
    # whatever the wall clock does.
    marks = ", ".join("?" * len(row))
    return connection.execute(f"INSERT INTO {table} VALUES (NULL, {marks})", row)


def _has_trigger(connection: sqlite3.Connection, part: PartKey, start: int | None = None) -> bool:
    found = connection.execute(
        "SELECT 1 FROM triggers WHERE epoch = ? AND source = ? AND seq = ?"
        " AND start_number = coalesce(?, start_number)",
        (part.epoch, _text(part.source), part.seq, start),
    )
    return found.fetchone() is not None


def _key(start: int, part: PartKey) -> tuple[int, int, str, int]:
    return start, part.epoch, _text(part.source), part.seq


def _plain(value: int | str) -> int | str:
    if isinstance(value, str):
        return _text(value)
    return value if -_INT64 <= value < _INT64 else str(value)


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _json_value(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _microseconds(begin: int | None, end: int | None) -> int | None:
    return None if begin is None or end is None else (end - begin) // 1000
