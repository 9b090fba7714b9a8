"""The rig's wall clock: it shifts the time of day of a process and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hil_tests.faults.wall_clock import WallClock, can_shift

pytestmark = pytest.mark.skipif(not can_shift(), reason="needs Linux and a C compiler")

TELL = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), time.time_ns(), flush=True)"


@pytest.mark.parametrize("seconds", [86_400, -86_400, 0.75, -0.25])
def test_shifts_the_time_of_day_and_nothing_else(tmp_path: Path, seconds: float) -> None:
    clock = WallClock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", TELL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **clock.environment},
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def off() -> tuple[float, float]:
            """How far the child's wall clock and monotonic clock are from ours, at the least."""
            assert child.stdin is not None
            assert child.stdout is not None
            wall, steady = time.time(), time.monotonic()
            child.stdin.write("\n")
            child.stdin.flush()
            theirs = child.stdout.readline().split()
            late = time.monotonic() - steady
            assert float(theirs[2]) / 1e9 == pytest.approx(float(theirs[0]), abs=0.05)
            assert 0 <= float(theirs[1]) - steady <= late
            return float(theirs[0]) - wall, late

        for expected in (0.0, seconds, 0.0):
            clock.shift(expected)
            found, late = off()
            assert expected - 0.001 <= found <= expected + late + 0.001
        child.stdin.close()
