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

    scale: frame pixels per map pixel in x and y. Length and width are the sides of the smallest turned rectangle
    around the line where the map crosses the threshold, area the number of pixels.
    """
    mask = (weights > threshold).view(np.uint8)
    left, top, wide, high = cv2.boundingRect(mask)
    # Only what lies around the suspicious pixels is searched: most of a map is empty.
    mask = mask[top : top + high, left : left + wide]
    weights = _with_rim(weights, left, top, wide, high)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found: list[RawFinding] = []
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if area < min_area:
            continue
        inside = labels[y : y + h, x : x + w] == label
        around = weights[y : y + h + 2, x : x + w + 2]
        points = (_outline(inside, around, threshold) + np.array((left + x, top + y), np.float32)) * np.array(
            scale, np.float32
        )
        rectangle = cv2.minAreaRect(points)
        # A single pixel's edge is a rhomb, whose sides are shorter than the pixel.
        sides = [max(side, min(scale)) for side in rectangle[1]]
        region = (
            int((left + x) * scale[0]),
            int((top + y) * scale[1]),
            max(1, round(w * scale[0])),
            max(1, round(h * scale[1])),
        )
        confidence = float(around[1:-1, 1:-1][inside].max())
        found.append(
            RawFinding(
                defect,
                min(confidence, 1.0),
                region,
                float(max(sides)),
                float(min(sides)),
                float(area * scale[0] * scale[1]),
                tuple((float(corner_x), float(corner_y)) for corner_x, corner_y in cv2.boxPoints(rectangle)),
            )
        )
    return found


def _with_rim(weights: NDArray[np.float32], left: int, top: int, wide: int, high: int) -> NDArray[np.float32]:
    """A part of the map and one pixel more on each side; beyond the map's edge it is 0."""
    rim = np.zeros((high + 2, wide + 2), np.float32)
    above, before = min(top, 1), min(left, 1)
    part = weights[top - above : top + high + 1, left - before : left + wide + 1]
    rim[1 - above :, 1 - before :][: part.shape[0], : part.shape[1]] = part
    return rim


def _outline(inside: NDArray[np.bool_], around: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Points (n, 2) on a region's edge, where the map crosses the threshold between two pixels; they hold its hull.

    around: the map, one pixel wider than `inside` on each side. Whole pixels would make a slanting line up to one and a
    half pixels too long.
    """
    # Every row's and every column's first and last pixel hold the region's hull.
    rows, left, right = _ends(inside, around, threshold)
    columns, top, bottom = _ends(inside.T, around.T, threshold)
    xs = np.concatenate([left, right, columns, columns])
    ys = np.concatenate([rows, rows, top, bottom])
    return (np.stack([xs, ys], axis=1) + 0.5).astype(np.float32)


def _ends(
    inside: NDArray[np.bool_], around: NDArray[np.float32], threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
    """Rows that hold any of the region, and where in each it begins and ends."""
    rows = np.flatnonzero(inside.any(axis=1))
    first = inside.argmax(axis=1)[rows]
    last = inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)[rows]

    def beyond(at: NDArray[np.intp], step: int) -> NDArray[np.float32]:
        inner, outer = around[rows + 1, at + 1], around[rows + 1, at + 1 + step]
        return ((inner - threshold) / (inner - outer)).astype(np.float32)

    left, right = first - beyond(first, -1), last + beyond(last, 1)
    return rows, left.astype(np.float32), right.astype(np.float32)
