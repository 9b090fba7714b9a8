"""The journal: every trigger, outcome and event of the station, in one SQLite file, written by a thread of its own.

`append` only puts the fact into a bounded queue. The writer takes what has gathered, writes it in one transaction and
tells whose triggers are durable. A disk that is full, locked or hanging leaves the rows in the queue; they are tried
again until they are in, and only a full queue drops any: events first, triggers and outcomes last.

What is lost when: `kill -9` takes nothing that was committed; a power cut takes at most the commits of the last
`fsync_ms` and of the fsync under way (see WalKeeper).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from controller.drivers.record import rows, schema
from controller.drivers.record.disk import Duty, WalKeeper, fsync_directory
from controller.drivers.record.rows import ImageKept
from controller.drivers.record.schema import Connect
from controller.drivers.record.watch import HealthCallback, HealthWatch
from controller.errors import RecordError
from controller.ports import CommittedCallback, Record
from statemachines.commands import RecordTrigger
from statemachines.vocabulary import Health, Outcome, PartKey

BATCH_ROWS = 500
"""Most records in one transaction: about 20 ms of writing, so that a trigger behind a backlog need not wait for all."""

HANGING_S = 1.0
"""From here on a disk that has not answered is reported."""

_FIRST_RETRY_S, _LAST_RETRY_S = 0.05, 2.0
_NEEDS_REOPEN = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_ROW_FAULTS = (
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What one unfit fact causes; the rows around it are well."""


@dataclass(frozen=True, slots=True)
class OpenedJournal:
    """What opening found. start_number: never used before in this file. lost: parts without an outcome, closed now."""

    start_number: int
    lost: int


@dataclass(frozen=True, slots=True)
class JournalStats:
    """The journal's state. queued: records not committed yet. unsynced: commits that a power cut would take now."""

    queued: int
    dropped: int
    committed: int
    unsynced: int
    commit_ms: float
    commit_ms_max: float
    last_error: str


class _TurnOver:
    """Ask the writer for a housekeeping commit."""


class _Stop:
    """Ask the writer to end."""


class SqliteJournal:
    """The port `Journal` on an SQLite file. Make, `open`, `append` from any thread, `close`.

    on_committed: called on the writer's thread after each commit with triggers in it. on_health: called on a watching
    thread, once per change: MAINTENANCE while records wait for the disk, FAILURE when records were dropped or the
    writer died, NORMAL when well again.
    """

    def __init__(
        self,
        path: Path,
        on_committed: CommittedCallback,
        on_health: HealthCallback,
        *,
        queue_rows: int = 20_000,
        fsync_ms: int = 100,
        opener: Connect = schema.connect,
    ) -> None:
        self._path: Final = path
        self._opener: Final = opener
        self._on_committed = on_committed
        self._limit, self._event_limit = queue_rows, queue_rows - queue_rows // 10
        self._queue: SimpleQueue[Record | ImageKept | _TurnOver | _Stop] = SimpleQueue()
        self._batch: deque[Record | ImageKept] = deque()
        self._duty = Duty()
        self._lock = threading.Lock()
        self._dropped = self._told_dropped = 0
        self._committed = 0
        self._commit_ms = self._commit_ms_max = 0.0
        self._last_error = ""
        self._failures = 0
        self._losing = False
        self._reopen = False
        self._opened = self._closing = False
        self._give_up = threading.Event()
        self._turn_over = False
        self._start = 0
        self._connection: sqlite3.Connection | None = None
        self._keeper = WalKeeper(path, fsync_ms, lambda: self._queue.put(_TurnOver()), opener)
        self._watch = HealthWatch("journal-watch", self._probe, on_health)
        self._writer = threading.Thread(target=self._write, name="journal-writer", daemon=True)

    def open(self, at_least: int = 1) -> OpenedJournal:
        """Open or make the file, take a new start number, close what the last run left open, start writing.

        Blocks for disk time. at_least: the lowest start number wanted, for a station that began a new file.
        Raises RecordError when the file cannot be used.
        """
        connection = schema.open_for_writing(self._path, self._opener)
        try:
            opened = self._begin(connection, at_least)
            fsync_directory(self._path.parent)
        except (sqlite3.Error, OSError) as error:
            connection.close()
            raise RecordError(
                f"{self._path}: {error}: it cannot take a new start: mend the disk or free space"
            ) from error
        self._connection, self._start = connection, opened.start_number
        self._opened = True
        for thread in (self._writer, self._keeper, self._watch):
            thread.start()
        return opened

    def append(self, record: Record) -> bool:
        """Queue one record; False when the queue is full and the record was dropped. Never raises.

        2 to 6 µs in a stream of records; about 15 µs when the writer sleeps, nearly all of it the wake-up.
        """
        waiting = self._queue.qsize()
        if waiting >= self._event_limit and (
            waiting >= self._limit or not isinstance(record.fact, RecordTrigger | Outcome)
        ):
            self._drop(1)
            return False
        self._queue.put(record)
        return True

    def image_kept(self, image: ImageKept) -> bool:
        """Queue the row of an image that the store wrote; False when it was dropped."""
        if self._queue.qsize() >= self._event_limit:
            self._drop(1)
            return False
        self._queue.put(image)
        return True

    def stats(self) -> JournalStats:
        """The figures of now; from any thread."""
        return JournalStats(
            queued=self._queue.qsize() + len(self._batch),
            dropped=self._dropped,
            committed=self._committed,
            unsynced=self._keeper.unsynced,
            commit_ms=self._commit_ms,
            commit_ms_max=self._commit_ms_max,
            last_error=self._last_error,
        )

    def close(self, timeout: float = 5.0) -> bool:
        """Write what is queued, sync, end. False when the disk did not take everything within `timeout` seconds."""
        if not self._opened or self._closing:
            return True
        self._closing = True
        until = time.monotonic() + timeout
        self._queue.put(_Stop())
        self._writer.join(timeout)
        # Past the time the writer ends at its next failure; where it hangs in the disk it is left behind (daemon).
        self._give_up.set()
        self._writer.join(0.1)
        synced = self._keeper.stop(max(0.1, until - time.monotonic()))
        self._watch.stop()
        if self._writer.is_alive() or not synced:
            return False
        if self._connection is not None:
            self._connection.close()
        return not self._batch

    def _begin(self, connection: sqlite3.Connection, at_least: int) -> OpenedJournal:
        wall_ns = time.time_ns()
        # The start number must not come back after a power cut: this one commit is synced.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        last = connection.execute("SELECT coalesce(max(start_number), 0) FROM starts").fetchone()[0]
        start = max(int(last) + 1, at_least)
        lost = rows.close_lost(connection, wall_ns)
        connection.execute("INSERT INTO starts VALUES (?, ?, ?)", (start, wall_ns, lost))
        if lost:
            detail = {"lost": lost, "previous_start": int(last), "why": rows.LOST_WHY}
            rows.event(connection, start, wall_ns, time.monotonic_ns(), "gap", "journal", detail)
        connection.execute("COMMIT")
        connection.execute("PRAGMA synchronous=NORMAL")
        return OpenedJournal(start, lost)

    def _write(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._take()
            while self._batch or self._turn_over:
                if self._commit():
                    continue
                if self._give_up.wait(min(_FIRST_RETRY_S * 2 ** (self._failures - 1), _LAST_RETRY_S)):
                    self._drop(len(self._batch))
                    return

    def _take(self) -> bool:
        """Wait for work and move it into the batch; True when the writer shall end after it."""
        item = self._queue.get()
        while True:
            if isinstance(item, _Stop):
                return True
            if isinstance(item, _TurnOver):
                self._turn_over = True
            else:
                self._batch.append(item)
            if len(self._batch) >= BATCH_ROWS:
                return False
            try:
                item = self._queue.get_nowait()
            except Empty:
                return False

    def _commit(self) -> bool:
        """Write the batch in one transaction. On failure it stays for the next attempt."""
        self._duty.begin()
        began = time.perf_counter()
        try:
            connection = self._usable_connection()
            connection.execute("BEGIN IMMEDIATE")
            keys: list[PartKey] = []
            unfit = sum(not self._insert(connection, item, keys) for item in self._batch)
            if self._turn_over:
                rows.settle(connection)
            connection.execute("COMMIT")
        except (sqlite3.Error, RecordError, OSError, MemoryError) as error:
            self._failed(error)
            return False
        self._commit_ms = (time.perf_counter() - began) * 1000
        self._commit_ms_max = max(self._commit_ms_max, self._commit_ms)
        self._committed += len(self._batch) - unfit
        self._drop(unfit)
        self._failures = 0
        housekeeping = not self._batch
        self._batch.clear()
        self._turn_over = False
        self._duty.end()
        self._keeper.committed(housekeeping)
        if keys:
            # The loop that waits for this is gone at shutdown, and says so with a RuntimeError.
            with contextlib.suppress(RuntimeError):
                self._on_committed(tuple(keys))
        return True

    def _insert(self, connection: sqlite3.Connection, item: Record | ImageKept, keys: list[PartKey]) -> bool:
        try:
            key = rows.insert(connection, self._start, item)
        except _ROW_FAULTS as error:
            # One unfit fact must not stand in the way of all others; what is known of it goes to the audit trail.
            detail = {"error": str(error), "fact": repr(item)[:500]}
            rows.event(connection, self._start, time.time_ns(), None, "unwritable", "journal", detail)
            return False
        if key is not None:
            keys.append(key)
        return True

    def _usable_connection(self) -> sqlite3.Connection:
        if self._reopen or self._connection is None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._connection = schema.reopen(self._path, self._start, self._opener)
            self._reopen = False
        return self._connection

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._last_error = f"{type(error).__name__}: {error}"
        if self._connection is not None and self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
        # After a disk was away and came back, the old connection may never be well again.
        code = error.sqlite_errorcode & 0xFF if isinstance(error, sqlite3.Error) else 0
        self._reopen = self._reopen or (self._failures >= 3 and code in _NEEDS_REOPEN)
        self._duty.end(str(error) or type(error).__name__)

    def _probe(self) -> tuple[Health, str]:
        lately = self._dropped - self._told_dropped
        self._told_dropped += lately
        if not self._writer.is_alive() and not self._closing:
            return Health.FAILURE, "the journal's writer died: restart the station"
        if self._keeper.misplaced:
            return (
                Health.FAILURE,
                f"{self._path} was moved or removed while in use: put it back and restart the station",
            )
        trouble = self._trouble()
        self._losing = bool(lately or (self._losing and trouble))
        if self._losing:
            return Health.FAILURE, f"{self._dropped} records dropped since the start; {trouble or 'writing again'}"
        if trouble:
            return Health.MAINTENANCE, trouble
        return Health.NORMAL, "every record is written"

    def _trouble(self) -> str:
        waiting = f"{self._queue.qsize() + len(self._batch)} records wait"
        for duty in (self._duty, *self._keeper.duties):
            if duty.waiting_s() >= HANGING_S:
                return f"the disk has not answered for more than {HANGING_S:.0f} s, {waiting}"
            if duty.error:
                return f"{duty.error}, {waiting}"
        return f"the disk is too slow, {waiting}" if self._queue.qsize() >= self._event_limit else ""

    def _drop(self, count: int) -> None:
        with self._lock:
            self._dropped += count
