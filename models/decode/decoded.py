"""What every decoder returns, and the checks that every decoder makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import InferenceFailed
from models.finding import RawFinding


@dataclass(frozen=True, slots=True)
class Decoded:
    """Findings in frame pixels, and how bad the frame is as a whole, 0 to 1."""

    findings: tuple[RawFinding, ...]
    score: float


def only(outputs: Mapping[str, NDArray[np.float32]], name: str) -> NDArray[np.float32]:
    """The output of this name, or the single output. Raises InferenceFailed."""
    if name in outputs:
        return outputs[name]
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    raise InferenceFailed(f"the model has no output {name!r}, only {', '.join(outputs)}")


def finite(values: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    """The same array, proven finite. A sum is not finite if any of its terms is not. Raises InferenceFailed.

    In single precision: five times as fast, and values whose sum overflows are no sane output either.
    """
    if not np.isfinite(values.sum()):
        raise InferenceFailed(f"{what} holds NaN or infinity")
    return values


def entire(defect: str, confidence: float, width: int, height: int) -> RawFinding:
    """A finding over the whole frame: what a model says that names no place."""
    length, breadth = float(max(width, height)), float(min(width, height))
    return RawFinding(defect, confidence, (0, 0, width, height), length, breadth, length * breadth)


def regions(
    weights: NDArray[np.float32],
    threshold: float,
    min_area: int,
    defect: str,
    scale: tuple[float, float],
) -> list[RawFinding]:
    """Connected regions of a map (h, w) above a threshold, measured in frame pixels. Costs about 0.1 ms even where
    nothing is above it: look at the maximum first.

    scale: frame pixels per map pixel in x and y. Length and width are the sides of the smallest turned rectangle,
    area the number of pixels.
    """
    mask = (weights > threshold).view(np.uint8)
    left, top, wide, high = cv2.boundingRect(mask)
    # Only what lies around the suspicious pixels is searched: most of a map is empty.
    mask = mask[top : top + high, left : left + wide]
    weights = weights[top : top + high, left : left + wide]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found: list[RawFinding] = []
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if area < min_area:
            continue
        inside = labels[y : y + h, x : x + w] == label
        corners = _outline(inside.view(np.uint8)) * np.array(scale, np.float32)
        _, (side_a, side_b), _ = cv2.minAreaRect(corners)
        region = (
            int((left + x) * scale[0]),
            int((top + y) * scale[1]),
            max(1, round(w * scale[0])),
            max(1, round(h * scale[1])),
        )
        confidence = float(weights[y : y + h, x : x + w][inside].max())
        found.append(
            RawFinding(
                defect,
                min(confidence, 1.0),
                region,
                float(max(side_a, side_b)),
                float(min(side_a, side_b)),
                float(area * scale[0] * scale[1]),
            )
        )
    return found


def _outline(inside: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The corners of a region's edge pixels, (n, 2), so that a region of one pixel is one pixel long."""
    # Every row's first and last pixel hold the region's hull.
    rows = np.flatnonzero(inside.any(axis=1))
    first = inside.argmax(axis=1)[rows]
    last = inside.shape[1] - inside[:, ::-1].argmax(axis=1)[rows]
    xs = np.concatenate([first, last, first, last])
    ys = np.concatenate([rows, rows, rows + 1, rows + 1])
    return np.stack([xs, ys], axis=1).astype(np.float32)
