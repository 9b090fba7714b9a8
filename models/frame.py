"""A frame: the pixels of one view of one part, with the facts that prove whose it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ImageBand:
    """What a usable frame of a view looks like: mean grey and standard deviation, 0 to 255.

    Measured on the model's input, on a grid of about 64 × 64 of its pixels (of green in colour): some 15 µs.
    """

    darkest: float = 0.0
    brightest: float = 255.0
    flattest: float = 0.0

    def complaint(self, pixels: NDArray[np.uint8]) -> str | None:
        """What is wrong with these pixels, or None."""
        rows, columns = max(1, pixels.shape[0] // _GRID), max(1, pixels.shape[1] // _GRID)
        sample = pixels[::rows, ::columns]
        if sample.ndim == 3:
            sample = sample[..., sample.shape[2] // 2]
        means, deviations = cv2.meanStdDev(np.ascontiguousarray(sample))
        mean, deviation = float(means[0, 0]), float(deviations[0, 0])
        if not self.darkest <= mean <= self.brightest:
            return f"mean grey {mean:.0f} is outside of {self.darkest:.0f} to {self.brightest:.0f}"
        if not deviation >= self.flattest:
            return f"contrast {deviation:.0f} is below {self.flattest:.0f}: nothing in view"
        return None


_GRID = 64


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels of one view.

    pixels: (H, W) grey or (H, W, 3) RGB, uint8, C-contiguous, never written to again.
    exposed_at: start of exposure, monotonic ns; where the device has no time of its own, the time just before it was
    asked to expose. counter: the camera's frame counter, strictly rising. camera: its serial number or name.
    exposure_ns: how long it was exposed, None where the device does not say.
    """

    view: str
    pixels: NDArray[np.uint8]
    exposed_at: int
    counter: int
    camera: str
    exposure_ns: int | None = None
