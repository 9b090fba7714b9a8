"""Whoever judges the trial of spoilt frames knows which parts may not be decided, and believes no part that was."""

from __future__ import annotations

import pytest

from controller.sim.frame_trial import MemoryWatch, judge, percentile
from controller.sim.light_barrier import COSTS_THE_FRAME, UNPLUGGED_FOR, BarrierSettings, fault_of
from controller.sim.tally import PartTally
from controller.sim.view_set import ViewSet
from statemachines.vocabulary import Reason, Verdict

VIEWS = ViewSet(2, redundant=True)
BARRIER = BarrierSettings(("top", "side", "spare"), share=0.2, seed=5)
NUMBERS = range(1, 2001)


def part(number: int, verdict: Verdict = Verdict.OK, reason: Reason = Reason.DECIDED, at_ns: int = 0) -> PartTally:
    return PartTally(number, number, 1, 1, at_ns, answered_ns=at_ns + 10, answers=1, verdict=verdict, reason=reason)


def gone(number: int) -> set[str]:
    """The cameras that give no usable frame of this part."""
    return {name for index, name in enumerate(VIEWS.cameras) if fault_of(BARRIER, index, number) in COSTS_THE_FRAME}


def test_a_part_is_spoilt_where_no_camera_of_a_view_is_left() -> None:
    spoilt = [n for n in NUMBERS if "side" in gone(n) or {"top", "spare"} <= gone(n)]
    judged = judge([part(n) for n in NUMBERS], BARRIER, VIEWS)
    assert judged.spoilt == judged.trusted == len(spoilt) > 100
    honest = [part(n, Verdict.NO_DECISION, Reason.CAMERA) if n in spoilt else part(n) for n in NUMBERS]
    judged = judge(honest, BARRIER, VIEWS)
    assert (judged.spoilt, judged.trusted, judged.wrong_reason, judged.lost) == (len(spoilt), 0, 0, {})


def test_a_reason_that_says_something_else_and_a_good_part_lost_are_told() -> None:
    spoilt = next(n for n in NUMBERS if "side" in gone(n))
    sound = next(n for n in NUMBERS if not gone(n))
    found = [part(spoilt, Verdict.NO_DECISION, Reason.MODEL), part(sound, Verdict.NO_DECISION, Reason.DEADLINE)]
    judged = judge(found, BARRIER, VIEWS)
    assert (judged.wrong_reason, judged.lost) == (1, {"DEADLINE": 1})


def test_the_time_to_come_back_counts_from_the_cable() -> None:
    barrier = BarrierSettings(("top",), unplug_every=40)

    def seen(number: int) -> PartTally:
        away = number >= 40 and number % 40 < UNPLUGGED_FOR + 4
        lost = (Verdict.NO_DECISION, Reason.CAMERA) if away else (Verdict.OK, Reason.DECIDED)
        return part(number, *lost, at_ns=number * 100_000_000)

    judged = judge([seen(number) for number in range(1, 171)], barrier, ViewSet())
    assert judged.lost == {}, "a camera that is away, or had a second to come back, is no loss"
    assert judged.replug_s == pytest.approx((0.4, 0.4, 0.4), abs=1e-6)
    assert percentile([3.0, 1.0, 2.0], 0.95) == 3.0


def watched(*totals: float) -> MemoryWatch:
    """Two processes that have so much together."""
    return MemoryWatch([{1: total - 20, 2: 20} for total in totals])


def test_memory_that_grows_is_seen_and_its_warm_up_is_not() -> None:
    assert watched(50, 80, *[100] * 8).growth == 0
    assert watched(*[100] * 6, *[110] * 6).growth == pytest.approx(0.1)
    assert watched().growth == 0
