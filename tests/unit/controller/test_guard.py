"""The guard restarts what asks for it and what was killed, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from controller.guard import guard

COUNTING = """
import pathlib, os, signal, sys
path = pathlib.Path(sys.argv[1])
runs = int(path.read_text()) + 1 if path.exists() else 1
path.write_text(str(runs))
codes = [int(code) for code in sys.argv[2].split(",")]
code = codes[runs - 1]
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def run(path: Path, codes: str) -> int:
    return guard([sys.executable, "-c", COUNTING, str(path), codes])


@pytest.mark.parametrize(
    ("codes", "ends_with", "runs"), [("0", 0, 1), ("2,0", 2, 1), ("1,0", 1, 1), ("70,70,0", 0, 3), ("-9,0", 0, 2)]
)
def test_which_ends_are_restarted(tmp_path: Path, codes: str, ends_with: int, runs: int) -> None:
    if sys.platform == "win32" and "-" in codes:
        pytest.skip("no signals between processes on Windows")
    counter = tmp_path / "runs"
    assert run(counter, codes) == ends_with
    assert int(counter.read_text()) == runs


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_stop_is_passed_on_and_is_no_reason_to_restart(tmp_path: Path) -> None:
    started = tmp_path / "started"
    child = f"import pathlib, signal; pathlib.Path({str(started)!r}).touch(); signal.pause()"
    program = f"import sys; from controller.guard import guard; sys.exit(guard([sys.executable, '-c', {child!r}]))"
    parent = subprocess.Popen([sys.executable, "-c", program])
    waited = threading.Event()
    while not started.exists():
        assert not waited.wait(0.02)
        assert parent.poll() is None
    os.kill(parent.pid, signal.SIGTERM)
    assert parent.wait(15) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_stop_during_the_pause_before_a_restart_is_heard(tmp_path: Path) -> None:
    started = tmp_path / "started"
    child = f"import pathlib, sys; pathlib.Path({str(started)!r}).touch(); sys.exit(70)"
    program = (
        "import sys; from controller import guard; guard._FIRST_PAUSE_S = guard._LAST_PAUSE_S = 600.0; "
        f"sys.exit(guard.guard([sys.executable, '-c', {child!r}]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    with parent:
        assert parent.stderr is not None
        assert "starting it again in 600 s" in parent.stderr.readline()
        os.kill(parent.pid, signal.SIGTERM)
        assert parent.wait(15) == 0
    assert started.exists()
