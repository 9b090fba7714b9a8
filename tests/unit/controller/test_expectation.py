"""From round trips to what a line may expect: plain sums and the warnings that follow from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.plc_commands.expectation import OWN_MS, Line, RoundTrips, expect, round_trips

READ = RoundTrips(100, 1.0, 2.0, 3.0, 9.0)
FIELDS = RoundTrips(100, 2.0, 3.0, 4.0, 9.0)
NUMBER = RoundTrips(100, 0.5, 0.7, 1.0, 9.0)
LINE = Line("sequence", 10.0, 200.0, exposure_ms=2.0, inference_ms=4.0, deadline_ms=80.0, window_ms=40.0)


def test_percentiles_by_nearest_rank() -> None:
    assert round_trips(range(100, 0, -1)) == RoundTrips(100, 50, 95, 99, 100)
    assert round_trips([7.0]) == RoundTrips(1, 7.0, 7.0, 7.0, 7.0)


def test_half_a_poll_on_the_average_a_whole_one_at_worst() -> None:
    found = expect(LINE, READ, FIELDS, NUMBER, ())
    assert found.typical_ms == 5.0 + 1.0 + 6.0 + 2.0 + 0.5
    assert found.seen_within_ms == 10.0 + 3.0
    assert found.slow_ms == 13.0 + 6.0 + 4.0 + 1.0 + OWN_MS
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"profile": "four-phase"}, "a pulse shorter than 13.0 ms can be missed"),
        ({"deadline_ms": 25.0}, "deadline_ms is 25"),
        ({"window_ms": 14.0}, "late trigger"),
        ({"poll_ms": 0.5}, "polling every 0.5 ms is not reached"),
        ({"request_timeout_ms": 5.0}, "leaves little room"),
    ],
)
def test_warns(changes: dict[str, object], warning: str) -> None:
    line = replace(LINE, **changes)  # pyright: ignore[reportArgumentType]
    (found,) = expect(line, READ, FIELDS, NUMBER, ()).warnings
    assert warning in found


def test_what_the_link_noticed_comes_first() -> None:
    assert expect(LINE, READ, FIELDS, NUMBER, ("publishes every 100 ms",)).warnings == ("publishes every 100 ms",)


def test_without_a_recipe_nothing_is_said_of_its_limits() -> None:
    line = replace(LINE, deadline_ms=None, window_ms=None, inference_ms=1000.0)
    assert expect(line, READ, FIELDS, NUMBER, ()).warnings == ()
