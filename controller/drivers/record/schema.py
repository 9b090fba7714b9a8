"""The journal's tables, their version, and opening the file that holds them.

The journal is one SQLite file. `user_version` is the schema's version; `application_id` tells a journal from any other
SQLite file. Rows are append-only: triggers inside the database refuse UPDATE and DELETE, so that a part's record can be
added to and never be rewritten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from controller.errors import RecordError

APPLICATION_ID = 0x4C474A52
"""'LGJR' in the file's header."""

Connect = Callable[[Path], sqlite3.Connection]
"""Opens the file without looking into it."""

# A part's key is (epoch, source, seq). It is an index and not a unique key: should a number ever come twice, both rows
# are worth more than the rule. `part_id` has no type, so that it is kept as given, number or text.
_KEY = "start_number INTEGER NOT NULL, epoch INTEGER NOT NULL, source TEXT NOT NULL, seq INTEGER NOT NULL"


def _append_only(*tables: str) -> tuple[str, ...]:
    return tuple(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
        for table in tables
        for verb in ("UPDATE", "DELETE")
    )


_VERSION_1 = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('settled', 0)",
    "CREATE TABLE starts (start_number INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, lost INTEGER NOT NULL)",
    f"CREATE TABLE triggers (id INTEGER PRIMARY KEY, {_KEY}, part_id, wall_ns INTEGER NOT NULL, seen_ns INTEGER,"
    " triggered_ns INTEGER, deadline_ns INTEGER, mode INTEGER NOT NULL, recipe_id INTEGER, recipe_hash TEXT,"
    " plc_epoch INTEGER, encoder_pos INTEGER, from_outcome INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX triggers_key ON triggers (epoch, source, seq)",
    "CREATE INDEX triggers_part_id ON triggers (part_id)",
    "CREATE INDEX triggers_wall ON triggers (wall_ns)",
    f"CREATE TABLE outcomes (id INTEGER PRIMARY KEY, {_KEY}, wall_ns INTEGER NOT NULL, at_ns INTEGER,"
    " verdict INTEGER NOT NULL, reason INTEGER NOT NULL, action INTEGER NOT NULL, mode INTEGER NOT NULL,"
    " answered INTEGER, score REAL, why TEXT NOT NULL, finding_count INTEGER NOT NULL, defect_code INTEGER NOT NULL,"
    " severity INTEGER NOT NULL, seen_us INTEGER, captured_us INTEGER, inferred_us INTEGER, handed_us INTEGER,"
    " published_us INTEGER, latency_us INTEGER)",
    "CREATE INDEX outcomes_key ON outcomes (epoch, source, seq)",
    "CREATE INDEX outcomes_verdict ON outcomes (verdict)",
    "CREATE TABLE findings (id INTEGER PRIMARY KEY, outcome_id INTEGER NOT NULL, defect TEXT NOT NULL,"
    " code INTEGER NOT NULL, severity INTEGER NOT NULL, confidence REAL, x INTEGER, y INTEGER, width INTEGER,"
    " height INTEGER, length_mm REAL, width_mm REAL, area_mm2 REAL, why TEXT NOT NULL)",
    "CREATE INDEX findings_outcome ON findings (outcome_id)",
    f"CREATE TABLE late (id INTEGER PRIMARY KEY, {_KEY}, wall_ns INTEGER NOT NULL, at_ns INTEGER, what TEXT NOT NULL)",
    "CREATE INDEX late_key ON late (epoch, source, seq)",
    "CREATE TABLE gate (id INTEGER PRIMARY KEY, start_number INTEGER NOT NULL, session_id INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, outcome INTEGER NOT NULL, wall_ns INTEGER NOT NULL, at_ns INTEGER)",
    "CREATE INDEX gate_key ON gate (session_id, seq)",
    "CREATE TABLE events (id INTEGER PRIMARY KEY, start_number INTEGER NOT NULL, wall_ns INTEGER NOT NULL,"
    " at_ns INTEGER, kind TEXT NOT NULL, who TEXT NOT NULL, detail TEXT NOT NULL)",
    "CREATE INDEX events_at ON events (start_number, at_ns)",
    f"CREATE TABLE images (id INTEGER PRIMARY KEY, {_KEY}, view TEXT NOT NULL, path TEXT NOT NULL,"
    " bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, kept_as TEXT NOT NULL, wall_ns INTEGER NOT NULL)",
    "CREATE INDEX images_key ON images (epoch, source, seq)",
    *_append_only("starts", "triggers", "outcomes", "findings", "late", "gate", "events", "images"),
)

_VERSION_2 = (
    "ALTER TABLE findings ADD COLUMN view TEXT NOT NULL DEFAULT ''",
    f"CREATE TABLE frames (id INTEGER PRIMARY KEY, {_KEY}, view TEXT NOT NULL, camera TEXT NOT NULL,"
    " counter INTEGER NOT NULL, begin_us INTEGER, end_us INTEGER, used INTEGER NOT NULL, exposed_ns INTEGER NOT NULL)",
    "CREATE INDEX frames_key ON frames (epoch, source, seq)",
    *_append_only("frames"),
)

# What an OPC UA client calls the measurement that it asked for.
_VERSION_3 = ("ALTER TABLE triggers ADD COLUMN meas_id TEXT",)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2, _VERSION_3)
"""Statements that lead from version n to n + 1; entry 0 makes the tables. Entries are added, never changed."""

SCHEMA_VERSION = len(MIGRATIONS)


def connect(path: Path) -> sqlite3.Connection:
    """Open read-write, creating the file. Waits at most 250 ms for another process's write lock."""
    return sqlite3.connect(path, timeout=0.25, isolation_level=None, check_same_thread=False)


def open_for_writing(path: Path, opener: Connect = connect) -> sqlite3.Connection:
    """Open the journal in WAL mode at the present schema version; make or migrate it where needed.

    Raises RecordError, naming file and cure, for whatever makes the file unusable.
    """
    connection: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = opener(path)
        _refuse_foreign(path, connection)
        if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise RecordError(f"{path}: this file system cannot hold the journal (no shared memory): use a local disk")
        # NORMAL: a commit writes to the log without fsync, a checkpoint syncs what it must. OFF would let a power cut
        # corrupt the file. Checkpoints are made by WalKeeper, never in the middle of a commit.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        _migrate(connection)
    except (sqlite3.Error, OSError) as error:
        _close(connection)
        raise RecordError(_unusable(path, error)) from error
    except RecordError:
        _close(connection)
        raise
    return connection


def reopen(path: Path, start_number: int, opener: Connect = connect) -> sqlite3.Connection:
    """Open the same journal again after I/O errors; raises RecordError where another file, or none, is in its place."""
    if not path.is_file():
        raise RecordError(f"{path}: the journal is gone: put the disk or the file back")
    connection = open_for_writing(path, opener)
    known = connection.execute("SELECT 1 FROM starts WHERE start_number = ?", (start_number,)).fetchone()
    if known is None:
        connection.close()
        raise RecordError(f"{path}: another file lies in the journal's place: restart the station to use it")
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open read-only, beside a station that writes. Raises RecordError."""
    if not path.is_file():
        raise RecordError(f"{path}: no such journal: name the file that the station's configuration names")
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0, isolation_level=None)
        version = _refuse_foreign(path, connection)
        if version < SCHEMA_VERSION:
            raise RecordError(
                f"{path}: schema version {version} is older than {SCHEMA_VERSION}: start the station once to migrate it"
            )
    except sqlite3.Error as error:
        _close(connection)
        raise RecordError(_unusable(path, error)) from error
    except RecordError:
        _close(connection)
        raise
    connection.row_factory = sqlite3.Row
    return connection


def _refuse_foreign(path: Path, connection: sqlite3.Connection) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    identity = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if identity != APPLICATION_ID and (tables or version):
        raise RecordError(f"{path}: an SQLite file, but not a Linegate journal: name another file")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{path}: schema version {version} is newer than {SCHEMA_VERSION}, the newest that this Linegate knows: "
            "update Linegate, or move the file away to begin a new journal"
        )
    return version


def _migrate(connection: sqlite3.Connection) -> None:
    # Tables, version and identity change in one transaction: a crash in between leaves the file as it was.
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        if version < SCHEMA_VERSION:
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _unusable(path: Path, error: Exception) -> str:
    text = str(error)
    if "not a database" in text or "malformed" in text:
        cure = "the file is damaged: move it (with its -wal and -shm) away and start again; a new journal begins"
    elif "locked" in text:
        cure = "another program holds the file: end it"
    elif "full" in text:
        cure = "free space on this disk"
    else:
        cure = "check that the folder exists and that this user may write to it"
    return f"{path}: {text}: {cure}"


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()
