"""Segmentation: (1, classes + 1, h, w) probabilities, background first, adding up to 1 in each pixel (softmax)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.decode.decoded import Decoded, only, regions
from models.errors import InferenceFailed
from models.finding import RawFinding
from models.package import Manifest

_SUM_TOLERANCE = 0.02
"""A softmax adds up to 1 within 1e-6 in single precision, within 0.01 in bfloat16."""


def decode(outputs: Mapping[str, NDArray[np.float32]], manifest: Manifest, width: int, height: int) -> Decoded:
    """Each connected region of a class is a finding; the score is the highest probability of any defect."""
    maps = only(outputs, "probabilities")
    if maps.ndim != 4 or maps.shape[:2] != (1, len(manifest.classes) + 1):
        raise InferenceFailed(f"the output is {maps.shape}, wanted (1, {len(manifest.classes) + 1}, h, w)")
    if not maps.size:
        raise InferenceFailed(f"the output is {maps.shape}: it has no pixels")
    scale = (width / maps.shape[3], height / maps.shape[2])
    # One sum proves every pixel: NaN, infinity and a graph that answers 0 everywhere all miss 1.
    sums = maps[0].sum(axis=0)
    if not (sums.min() >= 1 - _SUM_TOLERANCE and sums.max() <= 1 + _SUM_TOLERANCE):
        raise InferenceFailed(
            f"the probabilities of a pixel add up to {sums.min():.3g} at least and {sums.max():.3g} at most, not to 1"
        )
    peaks = maps[0, 1:].reshape(len(manifest.classes), -1).max(axis=1)
    if not (peaks.min() >= 0 and peaks.max() <= 1.001):
        raise InferenceFailed(f"the probability map holds values outside of 0 to 1: {peaks}")
    threshold = manifest.output.pixel_threshold
    found: list[RawFinding] = []
    for index, (name, peak) in enumerate(zip(manifest.classes, peaks, strict=True), start=1):
        if not peak <= threshold:
            found += regions(maps[0, index], threshold, manifest.output.min_area_px, name, scale)
    return Decoded(tuple(found), float(np.clip(peaks.max(), 0.0, 1.0)))
