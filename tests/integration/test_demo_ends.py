"""`linegate demo` that is asked to end: nothing that it started runs on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def started_for(folder: Path) -> list[str]:
    """Command lines of processes that name this folder."""
    lines: list[str] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{folder}/" in line:
            lines.append(line)
    return lines


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.timeout(120)
def test_a_demo_that_is_asked_to_end_takes_its_station_along(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "controller", "demo", "--parts", "1000", "--keep", str(tmp_path)]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not started_for(tmp_path):
            assert demo.poll() is None
            assert time.monotonic() < until, "the demo started no station"
            time.sleep(0.05)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 128 + signal.SIGTERM
    finally:
        demo.kill()
    assert started_for(tmp_path) == []
