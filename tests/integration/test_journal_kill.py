"""The journal under `kill -9`: what was told as committed is there, and no part is left without an end."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from controller.drivers.record.journal import SqliteJournal
from statemachines.vocabulary import Reason

ROOT = Path(__file__).resolve().parents[2]

CHILD = """
import os, sys, time
from pathlib import Path
from controller.drivers.record.journal import SqliteJournal
from controller.ports import Record
from statemachines.commands import RecordTrigger
from statemachines.vocabulary import Action, Mode, Ns, Outcome, PartKey, Reason, Verdict

def committed(keys):
    # One write for all keys of the commit: shorter than a pipe's buffer, so never torn.
    os.write(1, "".join(f"{key.epoch} {key.seq}\\n" for key in keys).encode())

journal = SqliteJournal(Path(sys.argv[1]), committed, lambda health, why: None, fsync_ms=10)
epoch = journal.open().start_number
for seq in range(1, 1_000_000):
    key, now = PartKey(epoch, "plc", seq), Ns(time.monotonic_ns())
    fact = RecordTrigger(key, seq, now, now, Ns(now + 10**8), Mode.AUTO_REJECT, 1, "abcdef12", 1, 0)
    journal.append(Record(time.time_ns(), fact))
    if seq % 3:
        end = Outcome(key, seq, now, Verdict.OK, Reason.DECIDED, Action.PASS, Mode.AUTO_REJECT, True, (), 0.1, "")
        journal.append(Record(time.time_ns(), end))
    time.sleep(0.0005)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_every_committed_trigger_survives_kill_9_and_ends(tmp_path: Path) -> None:
    path, chance = tmp_path / "journal.db", random.Random(20)
    told: set[tuple[int, int]] = set()
    for _ in range(12):
        told |= _run_and_kill(path, chance.randint(1, 400))
        with closing(sqlite3.connect(path)) as connection:
            held = set(connection.execute("SELECT epoch, seq FROM triggers").fetchall())
        assert told <= held
    assert len({epoch for epoch, _ in told}) == 12
    last = SqliteJournal(path, lambda keys: None, lambda health, why: None)
    opened = last.open()
    assert last.close()
    assert (opened.start_number, opened.lost > 0) == (13, True)
    with closing(sqlite3.connect(path)) as connection:
        parts, ends = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("triggers", "outcomes")
        )
        keys = connection.execute("SELECT epoch, seq FROM triggers EXCEPT SELECT epoch, seq FROM outcomes").fetchall()
        lost = connection.execute("SELECT count(*) FROM outcomes WHERE reason = ?", (Reason.LOST,)).fetchone()[0]
        gaps = connection.execute(
            "SELECT sum(json_extract(detail, '$.lost')) FROM events WHERE kind = 'gap'"
        ).fetchone()[0]
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert keys == [] and parts == ends
    assert lost == gaps > 0


def _run_and_kill(path: Path, after: int) -> set[tuple[int, int]]:
    """Run the child, kill it once it told `after` keys; returns all that it told."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert child.stdout is not None
    stuck = threading.Timer(30, child.kill)
    stuck.start()
    told: set[tuple[int, int]] = set()
    with child, child.stdout:
        for line in child.stdout:
            epoch, seq = line.split()
            told.add((int(epoch), int(seq)))
            if len(told) == after:
                child.kill()
    stuck.cancel()
    assert child.returncode == -signal.SIGKILL and len(told) >= after
    return told
