"""What every simulated frame shares: the washer's turned face, the belt under it, the light and the noise."""

from __future__ import annotations

import math
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.sim.product import (
    BORE_RADIUS_MM,
    HOLE_RADIUS_MM,
    OUTER_RADIUS_MM,
    TURNS_DEG,
    hole_centres,
)

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]

SHIFT_MM = 1.6
"""How far a part may lie off the middle of the view."""

NOISE_MEAN = 16
NOISE_SIGMA = 3.0
CHAMFER_MM = 0.5
_SEED = 20260
_ANGLES = 2048
_STREAK = 80


class Backdrop:
    """Pictures of a washer without defects, one per turn, and of the empty belt, larger than a frame so that they can
    be shifted. width, height: pixels of a frame."""

    def __init__(self, width: int, height: int, mm_per_px: float) -> None:
        self._width, self._height = width, height
        self._slack = math.ceil(SHIFT_MM / mm_per_px) + 1
        size = (height + 2 * self._slack, width + 2 * self._slack)
        rng = np.random.default_rng(_SEED)
        noise = rng.normal(NOISE_MEAN, NOISE_SIGMA, (height + 257, width + 259))
        self._noise = np.clip(np.rint(noise), 0, 2 * NOISE_MEAN).astype(np.uint8)
        belt = _belt(size, mm_per_px, rng)
        self._belt = np.clip(belt, 0, 255).astype(np.uint8)
        blank = _Blank(belt, mm_per_px)
        self._parts = tuple(_washer(blank, turn, rng) for turn in TURNS_DEG)

    def part(self, turn: int, dx: int, dy: int, gain: float, grain: int) -> Grey:
        """A fresh frame of a washer without defects. turn: index into TURNS_DEG; dx, dy: shift in pixels."""
        return self._lit(self._parts[turn], dx, dy, gain, grain)

    def belt(self, grain: int) -> Grey:
        """A fresh frame of the empty belt."""
        return self._lit(self._belt, 0, 0, 1.0, grain)

    def _lit(self, base: Grey, dx: int, dy: int, gain: float, grain: int) -> Grey:
        x = min(2 * self._slack, max(0, self._slack - dx))
        y = min(2 * self._slack, max(0, self._slack - dy))
        noise_y, noise_x = grain % 257, grain // 257 % 259
        cut = base[y : y + self._height, x : x + self._width]
        noise = self._noise[noise_y : noise_y + self._height, noise_x : noise_x + self._width]
        return cast(Grey, cv2.addWeighted(cut, gain, noise, 1.0, -NOISE_MEAN))


def _belt(size: tuple[int, int], mm_per_px: float, rng: np.random.Generator) -> Floats:
    """A dark woven belt under a lamp that stands to the upper left."""
    rows = np.arange(size[0], dtype=np.float32)[:, None] * mm_per_px
    columns = np.arange(size[1], dtype=np.float32)[None, :] * mm_per_px
    weave = 3.0 * np.sin(rows * 2 * np.pi / 0.9) * np.sin(columns * 2 * np.pi / 0.9)
    blotches = cv2.GaussianBlur(rng.normal(0, 1, size).astype(np.float32), (0, 0), 0.4 / mm_per_px)
    blotches *= 2.5 / max(1e-6, float(blotches.std()))
    fall = 1.12 - 0.22 * (rows / rows.max() + columns / columns.max()) / 2
    return np.asarray((44 + weave + blotches) * fall, np.float32)


class _Blank:
    """A washer without its turned face and its holes: what is the same however it is turned.

    middle_x, middle_y: of the picture, pixels. x, y: mm from there, a row and a column.
    """

    def __init__(self, belt: Floats, mm_per_px: float) -> None:
        height, width = belt.shape
        self.mm_per_px, self.shape = mm_per_px, belt.shape
        self.middle_x, self.middle_y = (width - 1) / 2, (height - 1) / 2
        self.x = x = ((np.arange(width, dtype=np.float32) - self.middle_x) * mm_per_px)[None, :]
        self.y = y = ((np.arange(height, dtype=np.float32) - self.middle_y) * mm_per_px)[:, None]
        radius = np.hypot(x, y)
        towards_light = -(x + y) / (math.sqrt(2) * np.maximum(radius, 1e-3))
        edge = mm_per_px
        self._on_washer = _inside(OUTER_RADIUS_MM, radius, edge) * (1 - _inside(BORE_RADIUS_MM, radius, edge))
        shadow = np.hypot(x - 0.9, y - 0.9)
        self._under = belt * (1 - 0.65 * _inside(OUTER_RADIUS_MM, shadow, 0.9)) * (1 - self._on_washer)
        self._lamp = 1.10 - 0.10 * (x + y) / OUTER_RADIUS_MM
        # A chamfer is a cone: bright where it faces the lamp, dark where it turns away; inner and outer cones are
        # opposite.
        outer = _inside(OUTER_RADIUS_MM, radius, edge) - _inside(OUTER_RADIUS_MM - CHAMFER_MM, radius, edge)
        bore = _inside(BORE_RADIUS_MM + CHAMFER_MM, radius, edge) - _inside(BORE_RADIUS_MM, radius, edge)
        self._chamfers = outer * (12 + 62 * towards_light) - bore * (10 + 62 * towards_light)
        # The bore's wall throws a shadow onto the belt below.
        wall = _inside(BORE_RADIUS_MM, radius, edge) * (1 - _inside(BORE_RADIUS_MM, np.hypot(x - 1.2, y - 1.2), 0.8))
        self._bore_light = 1 - 0.55 * wall

    def with_face(self, face: Floats) -> Floats:
        """The washer on the belt, its face as it was turned. Changes the face."""
        face *= self._lamp
        face += self._chamfers
        return np.asarray((self._under + face * self._on_washer) * self._bore_light, np.float32)


def _washer(blank: _Blank, turn_deg: float, rng: np.random.Generator) -> Grey:
    """The washer lying on the belt: face, chamfers, bore, holes, and the shadow that it casts."""
    picture = blank.with_face(_turned_face(blank.shape, blank.mm_per_px, turn_deg, rng))
    x, y, edge = blank.x, blank.y, blank.mm_per_px
    for hole_x, hole_y in hole_centres(turn_deg):
        reach = HOLE_RADIUS_MM + 2 * CHAMFER_MM
        top, bottom = (max(0, round((hole_y + side * reach) / edge + blank.middle_y)) for side in (-1, 1))
        left, right = (max(0, round((hole_x + side * reach) / edge + blank.middle_x)) for side in (-1, 1))
        place = picture[top:bottom, left:right]
        if place.size == 0:
            continue
        near_x, near_y = x[:, left:right] - hole_x, y[top:bottom] - hole_y
        near = np.hypot(near_x, near_y)
        cone = _inside(HOLE_RADIUS_MM + CHAMFER_MM, near, edge) - _inside(HOLE_RADIUS_MM, near, edge)
        lit = -(near_x + near_y) / (math.sqrt(2) * np.maximum(near, 1e-3))
        place += cone * (-12 - 58 * lit)
        depth = _inside(HOLE_RADIUS_MM, near, edge)
        place *= 1 - depth
        place += depth * (26 + 10 * np.clip(near_x + near_y, -2, 2))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _turned_face(shape: tuple[int, ...], mm_per_px: float, turn_deg: float, rng: np.random.Generator) -> Floats:
    """The face as the lathe left it: fine grooves, streaks along them, and the two fans of light that grooves throw."""
    outer_px = (OUTER_RADIUS_MM + 1) / mm_per_px
    columns = max(8, round(outer_px))
    radii = np.arange(columns, dtype=np.float32) * (outer_px / columns) * mm_per_px
    grooves = 5.0 * np.sin(radii * 2 * np.pi / 0.55) + 3.0 * np.sin(radii * 2 * np.pi / 1.9 + 1.0)
    ridge = cv2.GaussianBlur(rng.normal(0, 1, (1, columns)).astype(np.float32), (0, 0), 0.8)[0]
    streaks = rng.normal(0, 1, (_ANGLES, columns)).astype(np.float32)
    # The streaks run round the washer, so the blur must too.
    wrapped = np.concatenate((streaks[-_STREAK:], streaks, streaks[:_STREAK]))
    streaks = cv2.blur(wrapped, (1, 2 * _STREAK + 1))[_STREAK:-_STREAK]
    streaks *= 4.0 / max(1e-6, float(streaks.std()))
    angles = np.arange(_ANGLES, dtype=np.float32)[:, None] * (2 * np.pi / _ANGLES)
    fans = 26.0 * np.cos(angles - math.radians(45 + turn_deg / 6)) ** 2
    polar = 138 + fans + grooves[None, :] + 5.0 * ridge[None, :] + streaks
    middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    flags = cv2.WARP_POLAR_LINEAR | cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS
    return np.asarray(cv2.warpPolar(polar, (shape[1], shape[0]), middle, outer_px, flags), np.float32)


def _inside(limit_mm: float, distance: Floats, soft_mm: float) -> Floats:
    """1 within the limit, 0 beyond it, with an edge of this softness."""
    return np.clip((limit_mm - distance) / soft_mm + 0.5, 0, 1).astype(np.float32)
