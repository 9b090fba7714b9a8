"""Decoders: from a model family's outputs to raw findings. One file per family.

Each is `decode(outputs, manifest, width, height) -> Decoded`; width and height are those of the frame (or of its region
of interest), in pixels. A shape that does not fit or a number that is not finite raises InferenceFailed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from models.decode import anomaly, classify, detect, segment
from models.decode.decoded import Decoded
from models.package import Manifest

Decoder = Callable[[Mapping[str, NDArray[np.float32]], Manifest, int, int], Decoded]

DECODERS: dict[str, Decoder] = {
    "classify": classify.decode,
    "detect": detect.decode,
    "segment": segment.decode,
    "anomaly": anomaly.decode,
}
"""By the manifest's task."""

__all__ = ["DECODERS", "Decoded", "Decoder"]
