"""Segmentation: (1, classes + 1, h, w) probabilities, background first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.decode.decoded import Decoded, only, regions
from models.errors import InferenceFailed
from models.finding import RawFinding
from models.package import Manifest


def decode(outputs: Mapping[str, NDArray[np.float32]], manifest: Manifest, width: int, height: int) -> Decoded:
    """Each connected region of a class is a finding; the score is the highest probability of any defect."""
    maps = only(outputs, "probabilities")
    if maps.ndim != 4 or maps.shape[:2] != (1, len(manifest.classes) + 1):
        raise InferenceFailed(f"the output is {maps.shape}, wanted (1, {len(manifest.classes) + 1}, h, w)")
    scale = (width / maps.shape[3], height / maps.shape[2])
    # One pass over the map: a maximum is not a number as soon as one value is not.
    peaks = maps[0].reshape(len(manifest.classes) + 1, -1).max(axis=1)
    if not (peaks.min() >= 0 and peaks.max() <= 1.001):
        raise InferenceFailed(f"the probability map holds NaN or values outside of 0 to 1: {peaks}")
    peaks = peaks[1:]
    threshold = manifest.output.pixel_threshold
    found: list[RawFinding] = []
    for index, (name, peak) in enumerate(zip(manifest.classes, peaks, strict=True), start=1):
        if not peak <= threshold:
            found += regions(maps[0, index], threshold, manifest.output.min_area_px, name, scale)
    return Decoded(tuple(found), float(np.clip(peaks.max(), 0.0, 1.0)))
