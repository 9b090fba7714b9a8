"""Pictures of the simulated part, cheap enough to draw at line speed.

What all parts share (the turned face, the belt, the noise) is drawn once; a part is a shifted cut-out of it under its
own brightness and noise, with its defects drawn into small regions at their true size, and its mark.
"""

from __future__ import annotations

import math
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.sim import mark
from controller.sim.backdrop import Backdrop
from controller.sim.product import TURNS_DEG, Kind, SimDefect, SimPart

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]

KINDS = tuple(Kind)
"""Class k of the label mask is KINDS[k - 1]; class 0 is everything else."""

VIEW_HEIGHT_MM = 60.0
_SUBPIXEL_BITS = 4
_LABEL_LINE_CELLS = 1.3
"""A thin line is drawn at least this wide into the label, so that no cell along it is lost."""


class Renderer:
    """Draws parts with known defects.

    width, height: pixels of a frame. mm_per_px: how much of the world a pixel shows; by default the view is 60 mm high,
    which is 0.05 mm for 1200 rows. Making one takes about a second; a part takes a few milliseconds. Not thread-safe.
    """

    def __init__(self, width: int = 1920, height: int = 1200, mm_per_px: float | None = None) -> None:
        self.width, self.height = width, height
        self.mm_per_px = VIEW_HEIGHT_MM / height if mm_per_px is None else mm_per_px
        self._backdrop = Backdrop(width, height, self.mm_per_px)

    def render(self, part: SimPart) -> Grey:
        """The frame of a part: (height, width) grey uint8."""
        dx, dy = self._shift(part)
        pixels = self._backdrop.part(TURNS_DEG.index(part.turn_deg), dx, dy, part.gain, part.grain)
        for defect in part.defects:
            self._draw(pixels, part, defect)
        mark.stamp(pixels, part.part_id)
        return pixels

    def empty_belt(self, grain: int = 0) -> Grey:
        """The frame of a belt with no part on it; it carries no mark."""
        return self._backdrop.belt(grain)

    def mask(self, part: SimPart, scale: int = 1) -> Grey:
        """The true class of every cell of `scale` x `scale` pixels: (height // scale, width // scale) uint8.

        0 is no defect, k is KINDS[k - 1]. A cell belongs to a defect when at least half of it is covered.
        """
        label = np.zeros((self.height // scale, self.width // scale), np.uint8)
        for defect in part.defects:
            x0, y0, x1, y1 = self._region(part, defect, pad_px=2 * scale + 2, grid=scale)
            cover = self._shape(part, defect, (x0, y0, x1, y1), least_px=_LABEL_LINE_CELLS * scale)
            cells = cv2.resize(cover, ((x1 - x0) // scale, (y1 - y0) // scale), interpolation=cv2.INTER_AREA)
            place = label[y0 // scale : y1 // scale, x0 // scale : x1 // scale]
            place[cells[: place.shape[0], : place.shape[1]] >= 128] = KINDS.index(defect.kind) + 1
        return label

    def _shift(self, part: SimPart) -> tuple[int, int]:
        return round(part.x_mm / self.mm_per_px), round(part.y_mm / self.mm_per_px)

    def place_of(self, part: SimPart, defect: SimDefect) -> tuple[float, float]:
        """Where a defect's middle lies in the frame, in pixels."""
        dx, dy = self._shift(part)
        return (
            self.width / 2 + dx + defect.x_mm / self.mm_per_px,
            self.height / 2 + dy + defect.y_mm / self.mm_per_px,
        )

    def _region(self, part: SimPart, defect: SimDefect, pad_px: int, grid: int = 1) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 around a defect, inside the frame and on multiples of `grid`."""
        x, y = self.place_of(part, defect)
        reach = defect.length_mm / 2 / self.mm_per_px + pad_px
        right, bottom = self.width // grid * grid, self.height // grid * grid
        return (
            max(0, math.floor((x - reach) / grid) * grid),
            max(0, math.floor((y - reach) / grid) * grid),
            min(right, math.ceil((x + reach) / grid) * grid),
            min(bottom, math.ceil((y + reach) / grid) * grid),
        )

    def _shape(
        self, part: SimPart, defect: SimDefect, region: tuple[int, int, int, int], least_px: float = 1.0
    ) -> Grey:
        """What a defect covers of a region: 0 to 255, edges smooth.

        least_px: a line is drawn at least this wide; its ends are drawn in by as much, so that its length stays true.
        """
        x0, y0, x1, y1 = region
        x, y = self.place_of(part, defect)
        outline = np.array(defect.outline, np.float64) / self.mm_per_px
        is_line = defect.kind in (Kind.SCRATCH, Kind.CRACK)
        width_px = defect.width_mm / self.mm_per_px
        drawn_px = max(least_px, width_px)
        if is_line and drawn_px > width_px:
            chord = max(1e-6, (defect.length_mm - defect.width_mm) / self.mm_per_px)
            outline *= max(0.0, chord + width_px - drawn_px) / chord
        # OpenCV counts from the middle of the first pixel, positions here from its corner.
        corner = np.array([x - x0 - 0.5, y - y0 - 0.5])
        points = np.rint((outline + corner) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        if not is_line:
            return _filled(points, (y1 - y0, x1 - x0))
        return _stroked(points, (y1 - y0, x1 - x0), drawn_px)

    def _draw(self, pixels: Grey, part: SimPart, defect: SimDefect) -> None:
        blur = max(0.6, 0.05 / self.mm_per_px)
        pad = math.ceil(8 * blur) + 2
        x0, y0, x1, y1 = region = self._region(part, defect, pad)
        if x1 <= x0 or y1 <= y0:
            return
        cover = self._shape(part, defect, region).astype(np.float32) / np.float32(255)
        place = pixels[y0:y1, x0:x1]
        drawn = _appearance(defect, place.astype(np.float32), cover, blur)
        place[:] = np.clip(drawn, 0, 255).astype(np.uint8)


def _filled(points: NDArray[np.int32], shape: tuple[int, int]) -> Grey:
    """A closed rim, filled. Drawn four times too large first: fillPoly alone would add half a pixel all round."""
    fine = 4
    large = np.zeros((shape[0] * fine, shape[1] * fine), np.uint8)
    unit = 1 << _SUBPIXEL_BITS
    moved = points * fine + (fine - 1) * unit // 2
    cv2.fillPoly(large, [moved], 255, lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS)
    return cast(Grey, cv2.resize(large, (shape[1], shape[0]), interpolation=cv2.INTER_AREA))


def _stroked(points: NDArray[np.int32], shape: tuple[int, int], width_px: float) -> Grey:
    """A path with round ends, `width_px` wide: cover by distance from the path, as OpenCV only knows whole widths."""
    away = np.full(shape, 255, np.uint8)
    cv2.polylines(away, [points], False, 0, 1, lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS)
    distance = cv2.distanceTransform(away, cv2.DIST_L2, 5)
    return (np.clip(width_px / 2 + 0.5 - distance, 0, 1) * 255).astype(np.uint8)


def _appearance(defect: SimDefect, under: Floats, cover: Floats, blur: float) -> Floats:
    """How the surface `under` looks once the defect is on it. Light comes from the upper left."""
    strength = defect.strength
    match defect.kind:
        case Kind.SCRATCH:
            core = _softened(cover, 0.5 * blur)
            shadow = _moved(core, max(1, round(1.5 * blur)))
            drawn = under + core * (45 + 45 * strength) - np.clip(shadow - core, 0, 1) * 50
        case Kind.CRACK:
            core = _softened(cover, 0.4 * blur)
            shine = np.clip(_moved(core, max(1, round(1.2 * blur))) - core, 0, 1)
            drawn = under * (1 - core * (0.78 + 0.12 * strength)) + shine * 18
        case Kind.DENT:
            bowl = _softened(cover, 2.0 * blur)
            slope = np.asarray(cv2.Sobel(bowl, cv2.CV_32F, 1, 0) + cv2.Sobel(bowl, cv2.CV_32F, 0, 1), np.float32)
            steep = float(np.abs(slope).max()) or 1.0
            drawn = under * (1 - bowl * (0.30 + 0.15 * strength)) - slope / steep * (75 + 25 * strength)
        case Kind.STAIN:
            film = _softened(cover, 1.5 * blur)
            rim = np.clip(film - _softened(cover, 5 * blur), 0, 1)
            drawn = under * (1 - film * (0.34 + 0.18 * strength) - rim * 0.25)
    return np.asarray(drawn, np.float32)


def _softened(cover: Floats, sigma_px: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(cover, (0, 0), sigma_px), np.float32)


def _moved(cover: Floats, by_px: int) -> Floats:
    """Away from the light."""
    return np.roll(cover, (by_px, by_px), (0, 1))
