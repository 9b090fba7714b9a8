"""Classification: (1, classes) probabilities; every class but the good one is a defect type."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.decode.decoded import Decoded, finite, only
from models.errors import InferenceFailed
from models.finding import RawFinding
from models.package import Manifest


def decode(outputs: Mapping[str, NDArray[np.float32]], manifest: Manifest, width: int, height: int) -> Decoded:
    """Each defect class whose probability reaches `unsure_from` is a finding over the whole frame.

    A class has no place and no size: its finding is as large as the frame, so a catalogue for classifying models
    measures "count". Score: 1 - P(good).
    """
    probabilities = finite(only(outputs, "probabilities"), "the class probabilities").reshape(-1)
    if probabilities.shape != (len(manifest.classes),):
        raise InferenceFailed(f"{probabilities.size} probabilities for {len(manifest.classes)} classes")
    if not (probabilities.min() >= -1e-3 and probabilities.max() <= 1.001):
        raise InferenceFailed(
            "the class probabilities are not between 0 and 1: softmax or sigmoid belongs in the graph"
        )
    by_name = {name: float(np.clip(p, 0, 1)) for name, p in zip(manifest.classes, probabilities, strict=True)}
    good = by_name.pop(manifest.good_class or "", 0.0)
    whole = (0, 0, width, height)
    found = [
        RawFinding(name, p, whole, float(max(width, height)), float(min(width, height)), float(width * height))
        for name, p in by_name.items()
        if not p < manifest.output.unsure_from
    ]
    if not found and not good >= manifest.output.unsure_from:
        name, p = max(by_name.items(), key=lambda item: item[1])
        found = [
            RawFinding(name, p, whole, float(max(width, height)), float(min(width, height)), float(width * height))
        ]
    return Decoded(tuple(found), 1.0 - good)
