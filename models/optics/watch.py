"""Looks at every frame of a view: is this one fit to be judged, and does the view change over time?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from models.frame import Frame
from models.optics.bands import MEASURES, ImageBands, drift_scale
from models.optics.figures import CELLS, Figures, measure, sample

WINDOW = 32
"""A drift shows in the mean of so many frames: a single part that differs is none."""

DRIFT, RECOVERED = 1.5, 1.0
"""Spreads of good images by which that mean must lie off, and to which it must come back."""

COVERED, UNCOVERED = 0.10, 0.05
"""Loss of light at one place, beyond what chance does, that counts as something on the lens, and as gone again."""

_CHANCE = 5.0
"""Standard errors of a cell's mean: with 256 cells, one in a million windows by chance."""


class ImageWatch:
    """One view's. Used by one thread, that of the inference; `drift` may be read from any.

    wall: the time for people.
    """

    def __init__(self, bands: ImageBands, wall: Callable[[], datetime]) -> None:
        self._bands, self._wall = bands, wall
        self.drift = ""
        """How the view differs from what was learned, each with since when; empty where it does not."""
        self._last: tuple[str, NDArray[np.uint8]] | None = None
        self._measures = np.zeros((WINDOW, len(MEASURES)), np.float64)
        self._cells = np.zeros((WINDOW, CELLS**2), np.float32)
        self._noted = 0
        self._usual = np.array(bands.cells, np.float32)
        spreads = np.array(bands.spreads, np.float32)
        # Both the window's mean and the learned one are uncertain.
        self._chance = _CHANCE * spreads * float(np.sqrt(1 / WINDOW + 1 / bands.frames))
        self._off: dict[str, str] = {}

    def complaint(self, frame: Frame) -> str | None:
        """What makes this frame unfit to be judged, or None. Takes note of it for the drift."""
        few = sample(frame.pixels)
        last, self._last = self._last, (frame.camera, few)
        if last is not None and last[0] == frame.camera and np.array_equal(last[1], few):
            # A sensor's noise makes every picture different.
            return "stuck: the frame is the same as the one before it, pixel by pixel"
        figures = measure(frame.pixels, few)
        self._note(figures)
        patch = self._bands.patch
        if patch is not None and not (seen := patch.correlation(frame.pixels)) >= patch.least:
            return f"covered: the reference patch looks {seen:.2f} like itself, at least {patch.least:.2f} are needed"
        return self._bands.complaint(figures)

    def _note(self, figures: Figures) -> None:
        row = self._noted % WINDOW
        self._measures[row] = [drift_scale(name, float(getattr(figures, name))) for name in MEASURES]
        self._cells[row] = np.log(figures.thumbnail.ravel() + np.float32(1e-3))
        self._noted += 1
        if self._noted < WINDOW:
            return
        for name, mean in zip(MEASURES, self._measures.mean(axis=0), strict=True):
            self._judge_measure(name, float(mean))
        self._judge_cells(self._cells.mean(axis=0))
        self.drift = "; ".join(self._off.values())

    def _judge_measure(self, name: str, mean: float) -> None:
        band = self._bands.band(name)
        off = abs(mean - band.mean) / band.spread
        now, usual = (value if name == "saturated" else float(np.exp(value)) for value in (mean, band.mean))
        self._judge(name, off > DRIFT, off < RECOVERED, f"{name} {now:.3g}, usually {usual:.3g}")

    def _judge_cells(self, means: NDArray[np.float32]) -> None:
        lost = self._usual - means - self._chance
        worst = int(lost.argmax())
        across, down = ((index + 0.5) / CELLS for index in (worst % CELLS, worst // CELLS))
        where = f"something covers the view at {across:.0%} of its width and {down:.0%} of its height"
        self._judge("cover", bool(lost[worst] > COVERED), bool(lost[worst] < UNCOVERED), f"{where}: clean the window")

    def _judge(self, name: str, off: bool, back: bool, what: str) -> None:
        """A state that is entered and left at different limits, and keeps the words and the time of its beginning."""
        if off and name not in self._off:
            self._off[name] = f"{what}, since {self._wall():%Y-%m-%d %H:%M}"
        elif back:
            self._off.pop(name, None)
