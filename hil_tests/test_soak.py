"""When a soak calls an outage over: not before parts that came after it are answered."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from controller.sim.plc_commands import LineFinished, LiveTally
from controller.sim.tally import Tally
from hil_tests.rig import Rig
from hil_tests.soak import _works_again  # pyright: ignore[reportPrivateUsage]


def line(*events: object) -> Rig:
    return cast("Rig", SimpleNamespace(plc=SimpleNamespace(events=list(events))))


def live(answered: int, hindrance: str = "", at_ns: int | None = None) -> LiveTally:
    nothing = Tally(400_000_000).summary()
    return LiveTally(at_ns or time.monotonic_ns(), replace(nothing, answered=answered), 1, True, False, hindrance)


def test_a_session_that_only_looks_alive_is_no_end_of_an_outage() -> None:
    works = _works_again(line())
    assert not works(live(100))
    assert not works(live(108)), "as many as may have been on their way when the fault ended"
    assert not works(live(109, "station lost"))
    assert works(live(109))


def test_figures_from_before_the_end_of_the_fault_say_nothing() -> None:
    old = live(500)
    works = _works_again(line())
    assert not works(old)
    assert not works(live(505))
    assert works(live(514))


def test_a_line_that_has_finished_is_not_waited_for() -> None:
    assert _works_again(line(LineFinished()))(live(0, "station lost"))
