"""How old a write is, told by the PLC's clock and the times at which writes arrived."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.drivers.plc.modbus_age import ArrivalClock
from statemachines.vocabulary import MS

START = 1_000_000 * MS
LOST = 500 * MS


def test_a_first_write_is_as_old_as_the_way_here() -> None:
    assert ArrivalClock(10 * MS, LOST).arrived(77, START) == START - 10 * MS


def test_a_write_that_was_held_up_is_as_old_as_it_is() -> None:
    clock = ArrivalClock(0, LOST)
    clock.arrived(1000, START)
    assert clock.arrived(1100, START + 400 * MS) == START + 100 * MS
    # What was held up with it comes in one burst, each of its own age.
    assert clock.arrived(1200, START + 400 * MS) == START + 200 * MS
    assert clock.arrived(1400, START + 400 * MS) == START + 400 * MS


def test_a_clock_that_stands_still_grows_older() -> None:
    clock = ArrivalClock(0, LOST)
    clock.arrived(5, START)
    assert clock.arrived(5, START + 300 * MS) == START


def test_a_clock_that_wraps_goes_on() -> None:
    clock = ArrivalClock(0, LOST)
    clock.arrived((1 << 31) - 10, START)
    assert clock.arrived(-(1 << 31) + 10, START + 50 * MS) == START + 20 * MS


def test_a_plc_that_started_anew_is_not_taken_for_a_late_one() -> None:
    clock = ArrivalClock(0, LOST)
    clock.arrived(90_000, START)
    assert clock.arrived(3, START + 100 * MS) == START + 100 * MS


def test_a_plc_that_was_lost_starts_afresh() -> None:
    clock = ArrivalClock(0, LOST)
    clock.arrived(1000, START)
    clock.arrived(1000, START + 400 * MS)
    assert clock.arrived(1010, START + 600 * MS) == START + 600 * MS


def test_clocks_that_drift_apart_do_not_make_every_part_old() -> None:
    clock = ArrivalClock(0, LOST)
    # 100 ppm slow, ten minutes long.
    arrivals = [(step * 100, START + step * 100 * MS + step * 10_000) for step in range(1, 6001)]
    assert max(at - clock.arrived(clock_ms, at) for clock_ms, at in arrivals) <= 2 * MS


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 300)), min_size=1, max_size=40))
def test_never_younger_than_it_is_and_never_older_than_its_delay(steps: list[tuple[int, int]]) -> None:
    """Each step: ms until the PLC writes again, ms that this write takes. Writes arrive in order."""
    clock, written_at, arrived_at, least = ArrivalClock(0, 10_000 * MS), 0, 0, 300
    for pause, delay in steps:
        written_at += pause
        arrived_at = max(arrived_at, written_at + delay)
        least = min(least, arrived_at - written_at)
        found = clock.arrived(written_at, START + arrived_at * MS) - START
        assert written_at * MS <= found <= arrived_at * MS
        assert found <= (written_at + least) * MS
