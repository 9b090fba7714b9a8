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
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found: list[RawFinding] = []
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if area < min_area:
            continue
        inside = labels[y : y + h, x : x + w] == label
        ys, xs = np.nonzero(inside)
        corners = _outline(xs + x, ys + y) * np.array(scale, np.float32)
        _, (side_a, side_b), _ = cv2.minAreaRect(corners)
        region = (
            int(x * scale[0]),
            int(y * scale[1]),
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


def _outline(xs: NDArray[np.intp], ys: NDArray[np.intp]) -> NDArray[np.float32]:
    """The four corners of each pixel, so that a region of one pixel is one pixel long."""
    corners = [np.stack([xs + dx, ys + dy], axis=1) for dx in (0, 1) for dy in (0, 1)]
    return np.concatenate(corners).astype(np.float32)
