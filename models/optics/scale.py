"""From pixels to mm: one number for a whole view, or a calibrated plane where perspective and lens are taken out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.finding import RawFinding

Points = NDArray[np.float64]
"""(n, 2): pixels counted from the corner of the first one, or mm."""


class Scale(Protocol):
    """How large a finding is on the inspection plane."""

    def size(self, found: RawFinding) -> tuple[float, float, float]:
        """Length and width in mm, area in mm²."""
        ...


@dataclass(frozen=True, slots=True)
class UniformScale:
    """The same mm per pixel everywhere, as a recipe states it."""

    mm_per_px: float

    def size(self, found: RawFinding) -> tuple[float, float, float]:
        mm = self.mm_per_px
        return found.length_px * mm, found.width_px * mm, found.area_px * mm * mm


@dataclass(frozen=True, slots=True)
class PlaneScale:
    """A camera that was calibrated over the inspection plane.

    camera, distortion: OpenCV's pinhole model, 3 x 3 and (k1, k2, p1, p2, k3). plane: 3 x 3, from normalised image
    coordinates without distortion to mm on the plane.
    """

    camera: NDArray[np.float64]
    distortion: NDArray[np.float64]
    plane: NDArray[np.float64]

    def to_plane(self, points: Points) -> Points:
        """Where these points of the frame lie on the inspection plane, in mm."""
        # OpenCV counts from the middle of the first pixel.
        centred = (points - 0.5).reshape(-1, 1, 2)
        straight = cv2.undistortPoints(centred, self.camera, self.distortion)
        on_plane = np.c_[np.asarray(straight, np.float64).reshape(-1, 2), np.ones(len(points))] @ self.plane.T
        # Beyond the horizon there is no plane: what comes of it is not finite, and refused as a size.
        with np.errstate(divide="ignore", invalid="ignore"):
            return on_plane[:, :2] / on_plane[:, 2:]

    def mm_per_px(self, x: float, y: float) -> float:
        """At one place of the frame: side of a square with the area that the pixel there shows."""
        step = np.array([[x + 0.5, y], [x - 0.5, y], [x, y + 0.5], [x, y - 0.5]], np.float64)
        right, left, below, above = self.to_plane(step)
        along, down = right - left, below - above
        return math.sqrt(abs(float(along[0] * down[1] - along[1] * down[0])))

    def size(self, found: RawFinding) -> tuple[float, float, float]:
        corners = np.array(found.corners, np.float64)
        on_plane = self.to_plane(corners)
        first, second = (_side(on_plane, start) for start in (0, 1))
        covered = _area(corners)
        area = found.area_px * _area(on_plane) / covered if covered else 0.0
        return max(first, second), min(first, second), area


def _side(corners: Points, start: int) -> float:
    """Mean length of two opposite sides."""
    one = corners[start + 1] - corners[start]
    other = corners[(start + 3) % 4] - corners[(start + 2) % 4]
    return float(np.hypot(*one) + np.hypot(*other)) / 2


def _area(corners: Points) -> float:
    x, y = corners.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
