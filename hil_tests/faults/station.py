"""Faults of the station's own computer: disk, clock, processor, memory, processes."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from controller.sim.belt import ExposureFault
from hil_tests.faults.bench import NEVER_EXPOSED, Bench, RigTooSlow, dwell
from hil_tests.faults.disk import filled
from hil_tests.faults.wall_clock import WallClock
from hil_tests.rig import State
from statemachines.vocabulary import Reason

CONFIG_ERROR = 2
"""Exit code: a person must mend a file first."""


def disk_full(bench: Bench) -> None:
    """The data disk has no byte left: parts are answered, rows wait, and are written once there is room."""
    rig = bench.rig
    with filled(rig.data):
        bench.begin()
        for _ in range(3):
            _exposed_black(bench)
    bench.end()


def disk_read_only(bench: Bench) -> None:
    """Every write is refused, as on a disk that was remounted read-only after an error."""
    station = bench.rig.the_station()
    bench.begin()
    station.limit(resource.RLIMIT_FSIZE, 0)
    try:
        for _ in range(3):
            _exposed_black(bench)
    finally:
        station.unlimit()
    bench.end()


def disk_slow(bench: Bench) -> None:
    """The disk takes an image and does not come back for a second."""
    rig = bench.rig
    live = rig.plc.live
    assert live is not None
    seq, session = rig.good_part().seq + 1, live.session_id
    day = Path(time.strftime("%Y-%m-%d", time.gmtime()))
    part_id = rig.next_part()
    pipe = rig.data / "images" / day / f"{session}-plc-{seq}-{part_id}-top.png.tmp"
    pipe.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(pipe)
    bench.begin()
    rig.belt.set_fault(ExposureFault.BLACK, 1)
    from controller.sim.plc_commands import TriggerNow

    rig.plc.command(TriggerNow(part_id))
    bench.brought.append(part_id)
    caught = rig.seen(part_id)
    if caught.reason != Reason.IMAGE_QUALITY:
        # Nobody writes an image of a part that was not exposed, and nobody would come to the other end of the pipe.
        pipe.unlink()
        assert caught.answers and caught.reason in NEVER_EXPOSED, f"a black picture ended in {caught.reason}"
        raise RigTooSlow(f"the part whose image was to hang got none: {Reason(caught.reason).name}")
    # The writer of images hangs in this file now; nobody else may notice.
    for _ in range(4):
        _exposed_black(bench)
    with pipe.open("rb") as hanging:
        assert hanging.read(8) == b"\x89PNG\r\n\x1a\n", "the image writer did not hang in the pipe"
        while hanging.read(65536):
            pass
    bench.end()


def database_locked(bench: Bench) -> None:
    """Another program holds the journal: parts are answered, and acknowledged only once they are on record."""
    rig = bench.rig
    with locked(rig.data / "journal.db"):
        bench.begin()
        for _ in range(3):
            bench.inspect()
        assert not any(rig.seen(part).acknowledged for part in bench.brought), "acknowledged what is not on record"
    bench.end()
    if rig.file.plc.profile == "four-phase":
        # TriggerAck answers a Trigger that still stands; the PLC took these back.
        return
    for _ in range(250):
        if rig.seen(bench.brought[-1]).acknowledged:
            return
        dwell(0.02)
    raise AssertionError("the trigger was never acknowledged after the lock was gone")


def journal_corrupted(bench: Bench) -> None:
    """The journal's file is damaged: the station refuses to start, and says what to do."""
    rig = bench.rig
    bench.begin()
    rig.the_station().stop()
    bench.wait_hindered()
    journal = rig.data / "journal.db"
    whole = {path: path.read_bytes() for path in rig.data.glob("journal.db*")}
    for path in whole:
        path.unlink()
    journal.write_bytes(b"\x00damaged" * 1024)
    log_at = rig.workspace.log.stat().st_size
    rig.start_station()
    code = rig.the_station().wait_end(30)
    said = rig.workspace.log.read_bytes()[log_at:].decode(errors="replace")
    assert code == CONFIG_ERROR, f"the station ended with {code}, not with {CONFIG_ERROR}"
    assert "journal.db" in said and "move it" in said, "the log names neither file nor cure"
    bench.inspect()
    for path, content in whole.items():
        path.write_bytes(content)
    rig.start_station()
    bench.end()
    bench.fresh_station = True


def clock_set_back(bench: Bench) -> None:
    """The wall clock jumps back by a day."""
    _clock(bench, -86_400)


def clock_set_forward(bench: Bench) -> None:
    """The wall clock jumps forward by a day."""
    _clock(bench, 86_400)


def cpu_starved(bench: Bench) -> None:
    """Three programs per processor take all the time they get."""
    count = 3 * (os.cpu_count() or 1)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        bench.begin()
        for _ in range(5):
            bench.inspect()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    bench.end()


def memory_short(bench: Bench) -> None:
    """The station gets no more memory: it may fail, loudly, and must not answer wrongly."""
    rig = bench.rig
    station = rig.the_station()
    old = station.wait_pid()
    bench.begin()
    station.limit(resource.RLIMIT_AS, station.memory_bytes() - 1)
    for _ in range(3):
        bench.inspect()
    station.unlimit()
    if station.pid != old:
        bench.note("the station gave up and was started again")
        station.wait_pid(other_than=old)
        dwell(0.2)
    bench.latch, bench.may_latch = rig.latch(), True
    if bench.latch:
        bench.note(f"failsafe {bench.latch} was latched")
        rig.reset_failsafe()
    bench.end()
    bench.fresh_station = True


def status_process_killed(bench: Bench) -> None:
    """The status server dies: the line must not notice."""
    bench.begin()
    os.kill(bench.rig.the_station().status_pid(), signal.SIGKILL)
    for _ in range(3):
        bench.inspect()
    bench.end()


def station_killed(bench: Bench) -> None:
    """`kill -9` while a part is being captured: the guard starts the station anew, nothing is replayed."""
    rig = bench.rig
    old = bench.session
    rig.belt.set_fault(ExposureFault.SLOW, 1, 60)
    bench.part()
    dwell(0.02)
    bench.begin()
    killed = rig.the_station().kill()
    rig.belt.set_fault(ExposureFault.NONE)
    bench.wait_hindered()
    bench.end()
    rig.the_station().wait_pid(other_than=killed)
    bench.wait_new_session(old)
    bench.fresh_station = True


def station_stopped(bench: Bench) -> None:
    """The station's process stands still for a while, then goes on as if nothing had been."""
    rig = bench.rig
    bench.begin()
    rig.the_station().pause()
    try:
        bench.part()
        bench.wait_hindered(by="station lost")
        bench.part()
        dwell(0.3)
    finally:
        rig.the_station().resume()
    bench.end()


def station_hung(bench: Bench) -> None:
    """The station's process stands still for longer than its own watchdog allows: failsafe, and a new process."""
    rig = bench.rig
    station = rig.the_station()
    old = station.wait_pid()
    bench.begin()
    station.pause()
    try:
        bench.part()
        bench.wait_hindered(by="station lost")
        dwell(2.2)
    finally:
        station.resume()
    station.wait_pid(other_than=old)
    for _ in range(250):
        if rig.latch():
            break
        dwell(0.02)
    bench.latch = rig.latch()
    rig.wait_live(lambda live: live.session_id != 0, 30)
    rig.reset_failsafe()
    bench.end()
    bench.fresh_station = True


def _exposed_black(bench: Bench) -> None:
    """A part whose image is kept, since it could not be decided."""
    bench.rig.belt.set_fault(ExposureFault.BLACK, 1)
    bench.inspect()


def _clock(bench: Bench, seconds: float) -> None:
    rig = bench.rig
    clock = WallClock(rig.folder)
    rig.stop_station()
    rig.start_station(clock.environment)
    rig.bring(State.STATION_READY)
    bench.inspect()
    bench.begin()
    clock.shift(seconds)
    dwell(_CLOCK_S)
    for _ in range(3):
        bench.inspect()
    clock.shift(0)
    dwell(_CLOCK_S)
    bench.end()
    bench.inspect()
    bench.fresh_station = True


_CLOCK_S = 0.3
"""Heartbeats and time-outs of the PLC link go on under the other time."""


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Another program holds this database and lets nobody write."""
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()
