"""How good a detector is: mean average precision, by the area under the precision envelope of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.finding import RawFinding
from models.lifecycle.material import Boxes


def overlap(one: NDArray[np.floating], many: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of a box (4,) with boxes (n, 4), each left, top, right, bottom."""
    low, high = np.maximum(one[:2], many[:, :2]), np.minimum(one[2:], many[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    area = (one[2:] - one[:2]).prod() + (many[:, 2:] - many[:, :2]).prod(1) - shared
    return np.asarray(shared / np.maximum(area, 1e-9), np.float64)


def average_precisions(
    found: Sequence[Sequence[RawFinding]], truth: Sequence[Boxes], classes: Sequence[str], iou: float
) -> dict[str, float]:
    """AP of every class that occurs. found, truth: of each picture; a true box is hit once, by the surest that fits."""
    result: dict[str, float] = {}
    for number, name in enumerate(classes):
        boxes = [b[b[:, 0] == number, 1:] for b in truth]
        total = sum(len(b) for b in boxes)
        if total:
            result[name] = _average_precision(name, found, boxes, total, iou)
    return result


def mean_average_precision(
    found: Sequence[Sequence[RawFinding]], truth: Sequence[Boxes], classes: Sequence[str], iou: float
) -> float:
    """Mean over the classes that occur; NaN where none does."""
    values = list(average_precisions(found, truth, classes, iou).values())
    return float(np.mean(values)) if values else float("nan")


def _average_precision(
    name: str, found: Sequence[Sequence[RawFinding]], boxes: Sequence[NDArray[np.float32]], total: int, iou: float
) -> float:
    candidates = sorted(
        ((f.confidence, picture, f.region) for picture, fs in enumerate(found) for f in fs if f.defect == name),
        key=lambda row: -row[0],
    )
    taken = [np.zeros(len(b), bool) for b in boxes]
    hits = np.zeros(len(candidates))
    for place, (_, picture, (x, y, w, h)) in enumerate(candidates):
        if len(boxes[picture]):
            fits = overlap(np.array([x, y, x + w, y + h], np.float64), boxes[picture])
            fits[taken[picture]] = 0
            best = int(fits.argmax())
            if fits[best] >= iou:
                taken[picture][best] = True
                hits[place] = 1
    if not len(candidates):
        return 0.0
    right = np.cumsum(hits)
    recall, precision = right / total, right / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))
