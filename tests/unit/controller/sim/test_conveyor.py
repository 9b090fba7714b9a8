"""The conveyor's schedule and its encoder."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.sim.conveyor import Encoder, arrivals, to_dint, travelled


def test_without_jitter_parts_come_evenly_and_the_first_after_one_spacing() -> None:
    assert arrivals(seed=1, rate_ppm=600, jitter_ms=0, parts=3) == [100_000_000, 200_000_000, 300_000_000]


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    schedule = arrivals(7, 120, 5, 50)
    assert schedule == arrivals(7, 120, 5, 50)
    assert schedule != arrivals(8, 120, 5, 50)


def test_each_part_is_within_the_jitter_of_its_even_place() -> None:
    schedule = arrivals(3, 600, 5, 500)
    deviations = [at - number * 100_000_000 for number, at in enumerate(schedule, start=1)]
    assert max(map(abs, deviations)) <= 5_000_000
    assert max(deviations) > 4_000_000
    assert min(deviations) < -4_000_000


@given(st.integers(0, 10_000), st.floats(1, 6000), st.floats(0, 2000), st.integers(0, 60))
def test_the_schedule_rises_strictly_whatever_the_jitter(seed: int, rate: float, jitter: float, parts: int) -> None:
    schedule = arrivals(seed, rate, jitter, parts)
    assert len(schedule) == parts
    assert all(before < after for before, after in pairwise([0, *schedule]))


def test_at_rate_0_no_part_comes_by_itself() -> None:
    assert arrivals(1, 0, 5, 10) == []


def test_negative_figures_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        arrivals(1, -1, 0, 1)


@given(st.integers(-(1 << 33), 1 << 33), st.integers(0, (1 << 31) - 1))
def test_distance_is_right_across_the_wrap(start: int, distance: int) -> None:
    assert travelled(to_dint(start), to_dint(start + distance)) == distance


def test_the_encoder_counts_evenly_from_its_offset_and_wraps() -> None:
    encoder = Encoder(counts_per_s=10_000, offset=(1 << 31) - 5)
    assert encoder.position(0) == (1 << 31) - 5
    assert encoder.position(1_000_000) == -(1 << 31) + 5
    assert encoder.counts(400) == 4000
