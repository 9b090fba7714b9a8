"""Exact intervals against published values and against their own definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.lifecycle.validate.intervals import Rate, at_least, more_to_prove


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        (0, 10, 0.0, 0.30850),
        (1, 10, 0.00253, 0.44502),
        (9, 10, 0.55498, 0.99747),
        (10, 10, 0.69150, 1.0),
        (45, 50, 0.78186, 0.96673),
        (81, 263, 0.25274, 0.36764),
    ],
)
def test_clopper_pearson_against_tables(hits: int, total: int, low: float, high: float) -> None:
    assert (Rate(hits, total).low, Rate(hits, total).high) == (
        pytest.approx(low, abs=6e-5),
        pytest.approx(high, abs=6e-5),
    )


@settings(deadline=None)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_bounds_leave_two_and_a_half_percent_on_either_side(counts: tuple[int, int]) -> None:
    hits, total = counts
    rate = Rate(hits, total)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1
    if hits:
        assert at_least(hits, total, rate.low) == pytest.approx(0.025, abs=1e-6)
    if hits < total:
        assert 1 - at_least(hits + 1, total, rate.high) == pytest.approx(0.025, abs=1e-6)
    mirrored = Rate(total - hits, total)
    assert mirrored.low == pytest.approx(1 - rate.high, abs=1e-9)


def test_nothing_to_count_is_no_rate() -> None:
    rate = Rate(0, 0)
    assert math.isnan(rate.value) and (rate.low, rate.high) == (0, 1)
    assert str(rate) == "none to count"
    assert str(Rate(9, 10)) == "90.0% (9/10, 95 %: 55.5% to 99.7%)"
    with pytest.raises(ValueError, match="11 of 10"):
        Rate(11, 10)


def test_how_many_more_defects_it_takes() -> None:
    # 72 without a miss: 0.025 ** (1 / 72) = 0.950.
    assert more_to_prove(Rate(0, 0), 0.95) == 72
    assert more_to_prove(Rate(30, 30), 0.95) == 42
    assert more_to_prove(Rate(72, 72), 0.95) == 0
    assert more_to_prove(Rate(9, 10), 0.95) is None
    assert more_to_prove(Rate(9, 10), 0.90) is None
    more = more_to_prove(Rate(49, 50), 0.90)
    assert more is not None and more > 0
    misses = 1 + math.ceil(0.02 * more - 1e-9)
    assert Rate(50 + more - misses, 50 + more).low >= 0.90
    misses = 1 + math.ceil(0.02 * (more - 1) - 1e-9)
    assert Rate(50 + more - 1 - misses, 50 + more - 1).low < 0.90
    with pytest.raises(ValueError, match="between 0 and 1"):
        more_to_prove(Rate(9, 10), 1.0)
