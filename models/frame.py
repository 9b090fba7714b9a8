"""A frame: the pixels of one view of one part, with the facts that prove whose it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
