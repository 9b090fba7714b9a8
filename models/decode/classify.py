"""Classification: (1, classes) probabilities; every class but the good one is a defect type."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.decode.decoded import Decoded, entire, finite, only
from models.errors import InferenceFailed
from models.package import Manifest


def decode(outputs: Mapping[str, NDArray[np.float32]], manifest: Manifest, width: int, height: int) -> Decoded:
    """Each defect class whose probability reaches `unsure_from` is a finding over the whole frame.

    Where none does but the frame is not good either (the score is above `unsure_from`), the likeliest defect class
    stands for the doubt, as confident as the frame is not good: ten classes at 0.1 each are no good part. A class has
    no place and no size: its finding is as large as the frame, so a catalogue for classifying models measures "count".
    Score: 1 - P(good).
    """
    probabilities = finite(only(outputs, "probabilities"), "the class probabilities").reshape(-1)
    if probabilities.shape != (len(manifest.classes),):
        raise InferenceFailed(f"{probabilities.size} probabilities for {len(manifest.classes)} classes")
    if not (probabilities.min() >= -1e-3 and probabilities.max() <= 1.001):
        raise InferenceFailed(
            "the class probabilities are not between 0 and 1: softmax or sigmoid belongs in the graph"
        )
    if not probabilities.max() > 0:
        raise InferenceFailed("every class has probability 0: the model answers nothing")
    by_name = {name: float(np.clip(p, 0, 1)) for name, p in zip(manifest.classes, probabilities, strict=True)}
    score = 1.0 - by_name.pop(manifest.good_class or "", 0.0)
    found = [entire(name, p, width, height) for name, p in by_name.items() if not p < manifest.output.unsure_from]
    if not found and not score <= manifest.output.unsure_from:
        name = max(by_name, key=lambda name: by_name[name])
        found = [entire(name, score, width, height)]
    return Decoded(tuple(found), score)
