"""What reaches the platter, and when: group fsync and checkpoints of the journal's log, away from its writer.

A commit in WAL mode only writes to the log file; the operating system keeps it through `kill -9`. For a power cut the
log must be fsynced. WalKeeper does that at most once per `fsync_ms`, so a power cut takes at most the last
`fsync_ms` (plus the time of one fsync) of committed rows; the log's checksums make sure that what is left is whole.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from controller.drivers.record.schema import Connect, connect


class Duty:
    """What a thread says of itself to whoever watches it: an error that lasts, and since when it waits for the disk.

    Written by its own thread only; single attributes, so that reading needs no lock.
    """

    def __init__(self) -> None:
        self.error = ""
        self.busy_since = 0

    def begin(self) -> None:
        """The thread is about to touch the disk."""
        self.busy_since = time.monotonic_ns()

    def end(self, error: str = "") -> None:
        """The disk answered; `error` is what it said, empty for success."""
        self.error = error
        self.busy_since = 0

    def waiting_s(self) -> float:
        """For how long the thread has been inside the disk."""
        since = self.busy_since
        return (time.monotonic_ns() - since) / 1e9 if since else 0.0


def fsync_directory(path: Path) -> None:
    """Make a rename or a new file in this directory durable; nothing to do where directories cannot be opened."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lower_priority() -> None:
    """Let this thread run only when others leave the processor idle enough; Linux only, elsewhere it stays as it is."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


class WalKeeper:
    """The thread that fsyncs the journal's log and checkpoints it in idle moments.

    Checkpoints are PASSIVE: they never make the writer wait. After one the log begins anew, and SQLite fsyncs at the
    first commit after that; `turn_over` asks the writer for a housekeeping commit at once, while the line is idle, so
    that no trigger pays for it.
    """

    def __init__(self, path: Path, fsync_ms: int, turn_over: Callable[[], None], opener: Connect = connect) -> None:
        self._sync_duty, self._checkpoint_duty = Duty(), Duty()
        self.duties = (self._sync_duty, self._checkpoint_duty)
        self.misplaced = False
        self._path, self._wal = path, path.with_name(path.name + "-wal")
        self._period_s = fsync_ms / 1000
        self._turn_over = turn_over
        self._opener = opener
        self._file_id = (0, 0)
        self._commits = 0
        self._fresh = 0
        self._synced = 0
        self._checkpointed = 0
        self._last_commit_ns = 0
        self._stopping = threading.Event()
        self._dirty = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)

    @property
    def unsynced(self) -> int:
        """Commits that a power cut would take now."""
        return self._commits - self._synced

    def start(self) -> None:
        """Begin; the file exists by now."""
        self._file_id = _file_id(self._path)
        self._thread.start()

    def committed(self, housekeeping: bool) -> None:
        """The writer committed; called on its thread. A housekeeping commit asks for no checkpoint of its own."""
        self._commits += 1
        self._fresh += not housekeeping
        self._last_commit_ns = time.monotonic_ns()
        self._dirty.set()

    def stop(self, timeout: float) -> bool:
        """Sync once more and end. False when the disk did not answer in time."""
        self._stopping.set()
        self._dirty.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            # After the last commit it wakes once more for the checkpoint, then sleeps until there is work.
            self._dirty.wait(1.0 if self._checkpointed != self._fresh else None)
            self._dirty.clear()
            self._sync()
            if self._checkpoint_is_due():
                self._checkpoint()
            self._stopping.wait(self._period_s)
        self._sync()

    def _sync(self) -> None:
        commits = self._commits
        if commits == self._synced:
            return
        self._sync_duty.begin()
        try:
            # Only the log is opened, never the database file: closing that would release SQLite's locks on it (POSIX).
            with self._wal.open("r+b") as log:
                os.fsync(log.fileno())
            self.misplaced = _file_id(self._path) != self._file_id
        except OSError as error:
            self.misplaced = not self._path.exists()
            self._sync_duty.end(f"fsync of the log: {error}")
            return
        self._synced = commits
        self._sync_duty.end()

    def _checkpoint_is_due(self) -> bool:
        fresh = self._fresh - self._checkpointed
        idle_ns = time.monotonic_ns() - self._last_commit_ns
        return fresh > 0 and (fresh >= 500 or idle_ns >= 500_000_000) and not self._stopping.is_set()

    def _checkpoint(self) -> None:
        fresh = self._fresh
        self._checkpoint_duty.begin()
        try:
            # A connection per checkpoint costs under a millisecond every few seconds and has no stale state to heal.
            with contextlib.closing(self._opener(self._path)) as connection:
                _, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            self._checkpoint_duty.end(f"checkpoint: {error}")
            return
        self._checkpoint_duty.end()
        self._checkpointed = fresh
        if frames == moved:
            self._turn_over()


def _file_id(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
