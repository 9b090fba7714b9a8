"""Chooses the pictures of a calibration while a person moves the target: still, and each from another side."""

from __future__ import annotations

import numpy as np

from models.optics.figures import Pixels
from models.optics.solve import LEAST_SPREAD, LEAST_TILTED, Sighting, find_target
from models.optics.target import Target

POSES = LEAST_TILTED + 3
"""In place, and tilted a little more often than is needed."""

STILL_PX = 0.5
"""Between two pictures corners may move so much on average: more, and the person has not come to rest."""

APART = 0.01
"""A pose is a new one when corners moved by so much of the frame's width on average."""

_COMMON = 8


class PoseCollector:
    """Shown one picture after the other. kept: the target in place first, then tilted."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._last: Sighting | None = None
        self.kept: list[Sighting] = []

    @property
    def complete(self) -> bool:
        return len(self.kept) >= POSES

    def show(self, pixels: Pixels) -> str:
        """Take or leave this picture; what the person should do now."""
        last, self._last = self._last, find_target(self._target, pixels)
        seen = self._last
        what = "tilt the target to another side" if self.kept else "lay the target flat on the inspection plane"
        if seen is None:
            return f"{what}: it is not seen"
        if last is None or not _moved(last, seen) <= STILL_PX:
            return f"{what}, then hold it still"
        if not self.kept and min(seen.spread) < LEAST_SPREAD:
            return (
                f"the target spans {seen.spread[0]:.0%} x {seen.spread[1]:.0%} of the frame: too small, or too far off"
            )
        if any(_moved(known, seen) < APART * seen.frame_px[0] for known in self.kept):
            return what
        self.kept.append(seen)
        return "done" if self.complete else "kept"


def _moved(one: Sighting, other: Sighting) -> float:
    """Mean distance in pixels of the corners that both show; far where they have few in common."""
    _, first, second = np.intersect1d(one.numbers, other.numbers, return_indices=True)
    if len(first) < _COMMON:
        return float("inf")
    return float(np.linalg.norm(one.corners[first] - other.corners[second], axis=1).mean())
