"""Detection, YOLOv8-type output: (1, 4 + classes, n): centre x, y, width, height in input pixels, then scores."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from models.decode.decoded import Decoded, finite, only
from models.errors import InferenceFailed
from models.finding import RawFinding
from models.package import Manifest


def decode(outputs: Mapping[str, NDArray[np.float32]], manifest: Manifest, width: int, height: int) -> Decoded:
    """Boxes above `unsure_from`, the best `max_candidates` of them, after non-maximum suppression within each class."""
    raw = finite(only(outputs, "output0"), "the boxes")
    rows = 4 + len(manifest.classes)
    if raw.ndim != 3 or raw.shape[:2] != (1, rows):
        raise InferenceFailed(f"the output is {raw.shape}, wanted (1, {rows}, n)")
    boxes, scores = raw[0, :4], raw[0, 4:]
    if not raw.shape[2]:
        raise InferenceFailed("the model proposes no boxes at all, not even unlikely ones")
    # A living model gives every anchor a size, however unlikely the box; one that answers zeros does not.
    if not boxes[2:].max() > 0:
        raise InferenceFailed("no box has a size: the model answers nothing")
    if not (scores.min() >= -1e-3 and scores.max() <= 1.001):
        raise InferenceFailed("the box scores are not between 0 and 1: sigmoid belongs in the graph")
    best = scores.max(axis=0)
    score = float(best.max())
    keep = np.flatnonzero(best >= manifest.output.unsure_from)
    if not keep.size:
        return Decoded((), min(max(score, 0.0), 1.0))
    # 2,100 candidates cost 8.7 ms in the suppression, so only the best go in.
    keep = keep[np.argsort(-best[keep])[: manifest.output.max_candidates]]
    scale_x, scale_y = width / manifest.input.width, height / manifest.input.height
    cx, cy, w, h = boxes[:, keep]
    if not (w.min() >= 0 and h.min() >= 0):
        raise InferenceFailed("a box has a negative size")
    left, top = (cx - w / 2) * scale_x, (cy - h / 2) * scale_y
    rectangles = np.stack([left, top, w * scale_x, h * scale_y], axis=1)
    kinds = scores[:, keep].argmax(axis=0)
    chosen = cv2.dnn.NMSBoxesBatched(
        rectangles.tolist(),
        best[keep].tolist(),
        kinds.tolist(),
        manifest.output.unsure_from,
        manifest.output.iou_threshold,
    )
    found = [
        _finding(manifest.classes[int(kinds[i])], float(best[keep][i]), rectangles[i], width, height)
        for i in np.asarray(chosen).reshape(-1)
    ]
    return Decoded(tuple(found), min(max(score, 0.0), 1.0))


def _finding(name: str, confidence: float, box: NDArray[np.float32], width: int, height: int) -> RawFinding:
    x, y, w, h = (float(value) for value in box)
    left, top = max(0, int(x)), max(0, int(y))
    right, bottom = min(width, round(x + w)), min(height, round(y + h))
    region = (left, top, max(1, right - left), max(1, bottom - top))
    return RawFinding(name, min(confidence, 1.0), region, max(w, h), min(w, h), w * h)
