"""The belt's speed from what the PLC shows of its encoder."""

from __future__ import annotations

import pytest

from statemachines.belt_speed import GAP_NS, STALE_NS, BeltSpeed
from statemachines.vocabulary import MS, Ns


def watched(
    until_ms: int, counts_per_ms: float = 10.0, *, scan_ms: int = 10, poll_ms: int = 2, start: int = 500
) -> BeltSpeed:
    """Readings of a PLC that writes the position once per scan, in the middle between two polls at the earliest."""
    belt = BeltSpeed()
    for at in range(1000, 1000 + until_ms, poll_ms):
        written = (at - 1) // scan_ms * scan_ms - 1000
        position = round(start + counts_per_ms * written)
        belt = belt.seen(Ns(at * MS), (position + 2**31) % 2**32 - 2**31)
    return belt


@pytest.mark.parametrize("scan_ms", [2, 7, 10, 19])
@pytest.mark.parametrize("until_ms", range(450, 480, 6))
def test_distance_becomes_time_whatever_the_plcs_scan(scan_ms: int, until_ms: int) -> None:
    """500 ms of way, five parts on: a fiftieth of it is the most that one may be off."""
    delay = watched(until_ms, scan_ms=scan_ms).delay(5000, Ns((1000 + until_ms) * MS))
    assert delay == pytest.approx(500 * MS, rel=0.02)


def test_it_is_taken_over_a_span_and_not_from_one_scan_to_the_next() -> None:
    assert watched(200).delay(1000, Ns(1200 * MS)) is None


def test_a_belt_that_stands_or_is_not_watched_has_no_speed() -> None:
    assert watched(900, 0.0).delay(1, Ns(1900 * MS)) is None
    belt = watched(450)
    assert belt.delay(1, Ns(1450 * MS)) is not None
    assert belt.delay(1, Ns(belt.measured_at + STALE_NS + 1)) is None
    assert belt.seen(Ns(2500 * MS), 7).delay(1, Ns(2500 * MS)) is None, "a gap begins anew"


def test_a_belt_that_stops_has_no_speed_while_it_is_watched_either() -> None:
    belt = watched(450)
    for at in range(1450, 1450 + 510, 2):
        belt = belt.seen(Ns(at * MS), belt.seen_position)
    assert not belt.counts_per_ns


def test_a_change_that_was_not_seen_when_it_happened_is_no_measure() -> None:
    belt = watched(450)
    after = belt.seen(Ns(belt.seen_at + GAP_NS + 1), belt.seen_position + 90_000)
    assert after.counts_per_ns == belt.counts_per_ns


def test_the_counter_wraps_and_a_belt_that_counts_down_runs_as_well() -> None:
    for start, counts_per_ms in ((2**31 - 1000, 10.0), (5000, -10.0)):
        assert watched(450, counts_per_ms, start=start).delay(1000, Ns(1450 * MS)) == pytest.approx(100 * MS, rel=0.02)
