"""A frame: the pixels of one view of one part, with the facts that prove whose it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ImageBand:
    """What a usable frame of a view looks like: mean grey and standard deviation, 0 to 255, measured on every eighth
    pixel in both directions (about 30 µs for 1920×1200)."""

    darkest: float = 0.0
    brightest: float = 255.0
    flattest: float = 0.0

    def complaint(self, pixels: NDArray[np.uint8]) -> str | None:
        """What is wrong with these pixels, or None."""
        sample = pixels[::_STEP, ::_STEP]
        mean, deviation = float(sample.mean()), float(sample.std())
        if not self.darkest <= mean <= self.brightest:
            return f"mean grey {mean:.0f} is outside of {self.darkest:.0f} to {self.brightest:.0f}"
        if not deviation >= self.flattest:
            return f"contrast {deviation:.0f} is below {self.flattest:.0f}: nothing in view"
        return None


_STEP = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels of one view.

    pixels: (H, W) grey or (H, W, 3) RGB, uint8, C-contiguous, never written to again.
    exposed_at: start of exposure, monotonic ns; where the device has no time of its own, the time just before it was
    asked to expose. counter: the camera's frame counter, strictly rising. camera: its serial number or name.
    """

    view: str
    pixels: NDArray[np.uint8]
    exposed_at: int
    counter: int
    camera: str
