"""Which way of running a package is chosen: by figures given, and on a tiny package."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.benchmark import Timing, benchmark, choose
from tests.unit.models.graphs import package


def timing(precision: str, threads: int, p50: float) -> Timing:
    return Timing(precision, threads, p50, p50, p50)


def test_the_fastest_that_may_ship_with_one_thread() -> None:
    timings = [timing("int8", 1, 3.0), timing("int8", 2, 2.2), timing("fp32", 1, 6.0), timing("fp32", 2, 4.0)]
    assert choose(timings, "int8") == timings[0]
    assert choose(timings, "fp32") == timings[2], "INT8 was refused by the gate, however fast"
    assert choose([*timings, timing("bf16", 1, 2.5)], "int8").precision == "bf16", (
        "a graph of more digits may be faster"
    )


def test_two_threads_where_they_save_a_third() -> None:
    timings = [timing("int8", 1, 3.0), timing("int8", 2, 1.9)]
    assert choose(timings, "int8").threads == 2


def test_every_graph_and_number_of_threads_is_timed(tmp_path: Path) -> None:
    found = benchmark(package(tmp_path), runs=3, threads=(1, 2))
    assert [(t.precision, t.threads) for t in found.timings] == [("int8", 1), ("int8", 2)]
    assert all(0 < t.p50_ms <= t.p99_ms <= t.max_ms for t in found.timings)
    assert "chosen" in found.table() and found.facts()["chosen"]["precision"] == "int8"
    with pytest.raises(ValueError, match="runs is 0"):
        benchmark(package(tmp_path, name="other"), runs=0)
