"""Segmentation: (1, classes + 1, h, w) probabilities, background first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.decode.decoded import Decoded, finite, only, regions
from models.errors import InferenceFailed
from models.finding import RawFinding
from models.package import Manifest


def decode(outputs: Mapping[str, NDArray[np.float32]], manifest: Manifest, width: int, height: int) -> Decoded:
    """Each connected region of a class is a finding; the score is the highest probability of any defect."""
    maps = finite(only(outputs, "probabilities"), "the probability map")
    if maps.ndim != 4 or maps.shape[:2] != (1, len(manifest.classes) + 1):
        raise InferenceFailed(f"the output is {maps.shape}, wanted (1, {len(manifest.classes) + 1}, h, w)")
    scale = (width / maps.shape[3], height / maps.shape[2])
    found: list[RawFinding] = []
    score = 0.0
    for index, name in enumerate(manifest.classes, start=1):
        weights = maps[0, index]
        score = max(score, float(weights.max()))
        found += regions(weights, manifest.output.pixel_threshold, manifest.output.min_area_px, name, scale)
    return Decoded(tuple(found), min(max(score, 0.0), 1.0))
