"""Anomaly models: a map (1, 1, h, w), a scalar score, or both; higher is worse unless the manifest says otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.decode.decoded import Decoded, entire, finite, regions
from models.errors import InferenceFailed
from models.finding import RawFinding
from models.package import Manifest, OutputSpec


def decode(outputs: Mapping[str, NDArray[np.float32]], manifest: Manifest, width: int, height: int) -> Decoded:
    """Raw values become 0 to 1 with the threshold at 0.5; each region of the map above `pixel_threshold` is a finding.

    A frame whose score is above `unsure_from` has at least one finding, over the whole frame if the map shows none.
    """
    spec = manifest.output
    heat = next((value for value in outputs.values() if value.ndim == 4), None)
    single = next((value for value in outputs.values() if value.size == 1), None)
    if heat is None and single is None:
        raise InferenceFailed(f"an anomaly model gives a map or a score, not {[v.shape for v in outputs.values()]}")
    found: list[RawFinding] = []
    score = 0.0
    if heat is not None:
        if heat.shape[:2] != (1, 1) or not heat.size:
            raise InferenceFailed(f"the anomaly map is {heat.shape}, wanted (1, 1, h, w)")
        scaled = _scaled(finite(heat[0, 0], "the anomaly map"), spec)
        score = float(scaled.max())
        scale = (width / heat.shape[3], height / heat.shape[2])
        if not score <= spec.pixel_threshold:
            found = regions(scaled, spec.pixel_threshold, spec.min_area_px, manifest.classes[0], scale)
    if single is not None:
        score = float(_scaled(finite(single.reshape(1), "the anomaly score"), spec)[0])
    if not score <= spec.unsure_from and not found:
        found = [entire(manifest.classes[0], score, width, height)]
    return Decoded(tuple(found), score)


def _scaled(raw: NDArray[np.float32], spec: OutputSpec) -> NDArray[np.float32]:
    turned = raw if spec.score_orientation == "high_is_bad" else -raw
    return np.clip((turned - np.float32(spec.score_offset)) * np.float32(spec.score_scale), 0.0, 1.0)
