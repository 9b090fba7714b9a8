"""Latency figures against sorted lists."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.latency import LONGEST_US, LatencyBook
from controller.stage_latency import StageLatency


def nearest_rank(values: list[int], permille: int) -> int:
    return sorted(values)[max(1, -(-len(values) * permille // 1000)) - 1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, LONGEST_US), min_size=1, max_size=300))
def test_percentiles_are_those_of_the_sorted_durations(durations_us: list[int]) -> None:
    book = LatencyBook()
    for duration in durations_us:
        book.record("total", duration * 1000)
    figures = book.summary()["total"]
    assert figures.count == len(durations_us)
    assert figures.p50_us == pytest.approx(nearest_rank(durations_us, 500), rel=0.001)
    assert figures.p99_us == pytest.approx(nearest_rank(durations_us, 990), rel=0.001)
    assert figures.p999_us == pytest.approx(nearest_rank(durations_us, 999), rel=0.001)
    assert figures.max_us == pytest.approx(max(durations_us), rel=0.001)


def test_each_percentile_is_the_one_that_its_name_says() -> None:
    book = LatencyBook()
    for duration_us in range(1, 1001):
        book.record("total", duration_us * 1000)
    assert book.summary()["total"] == StageLatency(1000, 500, 990, 999, 1000)


def test_stages_are_kept_apart_and_summaries_add_up() -> None:
    book = LatencyBook()
    book.record("capture", 1_000_000)
    assert book.summary() == {"capture": StageLatency(1, 1000, 1000, 1000, 1000)}
    book.record("capture", 1_000_000)
    book.record("total", 7_000_000)
    summary = book.summary()
    assert (summary["capture"].count, summary["total"].count) == (2, 1)
    assert book.summary() == summary


def test_nothing_recorded_is_no_stage() -> None:
    assert LatencyBook().summary() == {}


def test_what_cannot_be_is_kept_at_the_ends() -> None:
    book = LatencyBook()
    for ns in (-5, 0, 10**15):
        book.record("total", ns)
    figures = book.summary()["total"]
    assert (figures.count, figures.p50_us) == (3, 1)
    assert figures.max_us == pytest.approx(LONGEST_US, rel=0.001)


def test_a_book_that_nobody_reads_stays_small_and_counts_what_it_left_out() -> None:
    book = LatencyBook(limit=10)
    for _ in range(25):
        book.record("total", 1000)
    assert book.skipped == 15
    assert book.summary()["total"].count == 10
