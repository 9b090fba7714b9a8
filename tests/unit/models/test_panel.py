"""Several models for one view: the worst counts, and one that fails is never a good part."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import InferenceFailed
from models.frame import Frame
from models.panel import Panel
from statemachines.vocabulary import Assessment, Verdict

FRAME = Frame("top", np.zeros((2, 2), np.uint8), 1, 1, "cam")
GOOD = Assessment(Verdict.OK, (), 0.1, "nothing found")
BAD = Assessment(Verdict.NG, (), 0.9, "scratch")


class Says:
    """A judge that says what it was given."""

    def __init__(self, result: Assessment | Exception) -> None:
        self.result = result
        self.cancelled = False
        self.panel: Panel | None = None

    def inspect(self, frame: Frame) -> Assessment:
        if self.panel is not None:
            self.panel.cancel()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def cancel(self) -> None:
        self.cancelled = True


def test_the_worst_counts() -> None:
    assert Panel([Says(GOOD), Says(BAD)]).inspect(FRAME) == BAD
    assert Panel([Says(GOOD), Says(GOOD)]).inspect(FRAME).verdict is Verdict.OK


def test_one_that_fails_fails_the_view() -> None:
    with pytest.raises(InferenceFailed, match="NaN"):
        Panel([Says(BAD), Says(InferenceFailed("NaN"))]).inspect(FRAME)
    with pytest.raises(InferenceFailed, match="none"):
        Panel([Says(GOOD), Says(Assessment(Verdict.OK, (), float("nan"), ""))]).inspect(FRAME)


def test_a_cancelled_panel_asks_nobody_further() -> None:
    first, second = Says(GOOD), Says(BAD)
    panel = Panel([first, second])
    first.panel = panel
    with pytest.raises(InferenceFailed, match="cancelled"):
        panel.inspect(FRAME)
    assert first.cancelled and second.cancelled
