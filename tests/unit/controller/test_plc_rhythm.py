"""When no part is due: foretold from sixteen parts, and never beyond the shortest of their distances."""

from __future__ import annotations

from controller.plc_rhythm import Rhythm
from statemachines.vocabulary import Ns


def regular(parts: int, gap: int = 100) -> Rhythm:
    rhythm = Rhythm()
    for number in range(parts):
        rhythm.seen(1, Ns(1000 + number * gap))
    return rhythm


def test_nothing_is_foretold_before_seventeen_parts() -> None:
    assert regular(16).quiet_until == 0
    assert regular(17).quiet_until == 1000 + 16 * 100 + 75


def test_the_shortest_distance_counts_until_sixteen_longer_ones_came() -> None:
    rhythm = regular(17)
    rhythm.seen(1, Ns(2600 + 40))
    assert rhythm.quiet_until == 2640 + 30
    for number in range(1, 17):
        rhythm.seen(1, Ns(2640 + number * 100))
    assert rhythm.quiet_until == 2640 + 1600 + 75


def test_two_parts_in_one_read_may_come_at_once_again() -> None:
    rhythm = regular(17)
    rhythm.seen(2, Ns(2700))
    assert rhythm.quiet_until == 2700


def test_a_new_session_knows_nothing() -> None:
    rhythm = regular(17)
    rhythm.restart()
    assert rhythm.quiet_until == 0
    rhythm.seen(1, Ns(9000))
    assert rhythm.quiet_until == 0
