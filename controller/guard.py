"""The guard of `linegate run`: a small parent that starts the station again when it asks for it or was killed.

systemd does the same for `linegate run --once`; this is for a console and for Windows.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from controller.exit_codes import RESTART

_FIRST_PAUSE_S, _LAST_PAUSE_S, _STABLE_S = 0.2, 10.0, 60.0
_STOP_S = 15.0
_SLICE_S = 0.1


def guard_station(station: Path) -> int:
    """Run `linegate run STATION --once` again and again until it ends in order (0) or needs a person (2)."""
    return guard([sys.executable, "-m", "controller", "run", str(station), "--once"])


def guard(command: Sequence[str]) -> int:
    """Keep a command running. Restarts it on exit code RESTART or death by signal; any other code is handed on.

    SIGINT and SIGTERM are passed on and end the guard, too.
    """
    stopping = False
    child: subprocess.Popen[bytes] | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        if child is not None and child.poll() is None:
            child.send_signal(signal.SIGTERM if number == signal.SIGTERM else number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    pause = _FIRST_PAUSE_S
    try:
        while True:
            started = time.monotonic()
            child = subprocess.Popen(command)
            code = _wait(child)
            if stopping or not _may_restart(code):
                return max(code, 0)
            pause = _FIRST_PAUSE_S if time.monotonic() - started > _STABLE_S else pause
            sys.stderr.write(f"the station ended with {_named(code)}; starting it again in {pause:g} s\n")
            begin = time.monotonic() + pause
            while not stopping and (left := begin - time.monotonic()) > 0:
                # In slices: Python sleeps on after a signal's handler has returned.
                time.sleep(min(left, _SLICE_S))
            pause = min(pause * 2, _LAST_PAUSE_S)
            if stopping:
                return 0
    finally:
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _wait(child: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


def _may_restart(code: int) -> bool:
    return code == RESTART or code < 0


def _named(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
