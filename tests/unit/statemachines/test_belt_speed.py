"""The belt's speed from what the PLC shows of its encoder."""

from __future__ import annotations

from statemachines.belt_speed import STALE_NS, BeltSpeed
from statemachines.vocabulary import MS, Ns


def seen(*readings: tuple[int, int]) -> BeltSpeed:
    belt = BeltSpeed()
    for at_ms, position in readings:
        belt = belt.seen(Ns(at_ms * MS), position)
    return belt


def test_distance_becomes_time() -> None:
    belt = seen((1000, 500), (1060, 1100))
    assert belt.delay(1000, Ns(1061 * MS)) == 100 * MS


def test_it_is_taken_over_a_span_and_not_from_one_scan_to_the_next() -> None:
    belt = seen((1000, 500), (1002, 500), (1004, 600))
    assert belt.delay(1000, Ns(1004 * MS)) is None


def test_a_belt_that_stands_or_is_not_watched_has_no_speed() -> None:
    assert seen((1000, 500), (1060, 500)).delay(1, Ns(1061 * MS)) is None
    belt = seen((1000, 500), (1060, 1100))
    assert belt.delay(1, Ns(1060 * MS + STALE_NS + 1)) is None
    assert belt.seen(Ns(2000 * MS), 7).delay(1, Ns(2000 * MS)) is None, "a gap begins anew"


def test_the_counter_wraps_and_a_belt_that_counts_down_runs_as_well() -> None:
    assert seen((1000, 2**31 - 100), (1060, -(2**31) + 500)).delay(1000, Ns(1061 * MS)) == 100 * MS
    assert seen((1000, 1100), (1060, 500)).delay(1000, Ns(1061 * MS)) == 100 * MS
