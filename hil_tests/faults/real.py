"""Faults that can be provoked on a real line: everything between station and PLC, and on the station's computer.

Each ends with its cause gone; the line must then decide parts again.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable

from hil_tests.real_rig import RealRig
from hil_tests.rig import dwell
from hil_tests.shaper import Shape

RealScript = Callable[[RealRig], None]
_BUSY_S = 3.0


def _shaped(shape: Shape, for_s: float) -> RealScript:
    def script(rig: RealRig) -> None:
        rig.the_shaper().shape(shape)
        dwell(for_s)
        rig.the_shaper().clear()

    return script


def _reset(rig: RealRig) -> None:
    rig.the_shaper().reset()


def _locked(rig: RealRig) -> None:
    connection = sqlite3.connect(rig.data / "journal.db", timeout=5.0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        dwell(_BUSY_S)
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _starved(_rig: RealRig) -> None:
    count = 3 * (os.cpu_count() or 1)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        dwell(_BUSY_S)
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _status_killed(rig: RealRig) -> None:
    os.kill(rig.the_station().status_pid(), signal.SIGKILL)


def _stopped(rig: RealRig) -> None:
    rig.the_station().pause()
    dwell(0.9)
    rig.the_station().resume()


def _killed(rig: RealRig) -> None:
    killed = rig.the_station().kill()
    rig.the_station().wait_pid(other_than=killed)


REAL_SCRIPTS: dict[str, RealScript] = {
    "cable-out": _shaped(Shape(frozen=True), 1.0),
    "cable-blip": _shaped(Shape(frozen=True), 0.12),
    "connection-half-open": _shaped(Shape(half_open=True), 1.0),
    "connection-reset": _reset,
    "network-slow": _shaped(Shape(delay_ms=10), _BUSY_S),
    "network-jitter": _shaped(Shape(jitter_ms=8), _BUSY_S),
    "network-narrow": _shaped(Shape(bytes_per_s=200_000), _BUSY_S),
    "database-locked": _locked,
    "cpu-starved": _starved,
    "status-process-killed": _status_killed,
    "station-stopped": _stopped,
    "station-killed": _killed,
}
