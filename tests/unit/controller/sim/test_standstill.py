"""The watch sees that a computer stood still, and which parts it touched."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from controller.sim.standstill import Standstill, Standstills, StandstillWatch


@pytest.mark.parametrize(
    ("began", "ended", "touched"), [(0, 9, False), (0, 11, True), (12, 13, True), (15, 30, True), (20, 30, False)]
)
def test_which_parts_it_touched(began: int, ended: int, touched: bool) -> None:
    assert Standstills((Standstill(0, 10, 20),)).touch(began, ended) is touched


def test_no_standstill_is_zero() -> None:
    assert Standstills().as_json() == {"standstills": 0, "longest_ms": 0.0, "sum_ms": 0.0}


def test_what_all_processors_lost_counts_together() -> None:
    both = Standstills((Standstill(0, 0, 30_000_000), Standstill(1, 10_000_000, 20_000_000)))
    assert both.as_json() == {"standstills": 2, "longest_ms": 30.0, "sum_ms": 40.0}


@pytest.mark.skipif(sys.platform != "linux", reason="processors are watched on Linux only")
def test_sees_a_processor_that_did_not_run_it() -> None:
    with StandstillWatch() as watch:
        if not all(watch.watching.values()):
            pytest.skip("no right to real-time priority")
        processor, pid = next(iter(watch.pids.items()))
        began = time.monotonic_ns()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(pid, signal.SIGCONT)
        ended = time.monotonic_ns()
    assert watch.result.touch(began, ended)
    assert watch.so_far_ms() >= 150
    seen = max((one for one in watch.result.found if one.processor == processor), key=lambda one: one.ms)
    assert seen.ms >= 150
    assert seen.began_ns < ended and seen.ended_ns > began
