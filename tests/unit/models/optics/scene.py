"""A plane in front of a camera with known geometry: pictures of targets and scratches whose true size is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.optics.target import Target

Grey = NDArray[np.uint8]
Floats = NDArray[np.float64]
Surface = Callable[[Floats, Floats], Floats]
"""Brightness 0 to 255 at x, y in mm."""

_FINE = 2
"""Samples per pixel, each way."""


@dataclass(frozen=True)
class Scene:
    """rotation: of the plane, as OpenCV's rvec; about the middle of `target`, whose corner is the plane's origin.
    distance: from there to the lens, mm."""

    target: Target = Target(14, 9, 3.4)

    width: int = 960
    height: int = 600
    focal: tuple[float, float] = (2250.0, 2253.0)
    centre: tuple[float, float] = (489.0, 293.0)
    distortion: tuple[float, float, float, float, float] = (-0.18, 0.11, 0.0007, -0.0005, 0.0)
    rotation: tuple[float, float, float] = (0.06, -0.04, 0.02)
    distance: float = 112.0
    blur: float = 0.7
    noise: float = 2.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    @property
    def offset(self) -> Floats:
        """Where the plane's origin lies before the camera, mm."""
        middle = np.array([*self.target.size_mm, 0]) / 2
        return floats(np.array([0, 0, self.distance]) - floats(cv2.Rodrigues(floats(self.rotation))[0]) @ middle)

    @property
    def camera(self) -> Floats:
        return np.array([[self.focal[0], 0, self.centre[0]], [0, self.focal[1], self.centre[1]], [0, 0, 1]], np.float64)

    def to_plane(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """From pixels (middle of the first one is 0, 0) to mm on the plane."""
        u, v = self._rays((x.ravel() - self.centre[0]) / self.focal[0], (y.ravel() - self.centre[1]) / self.focal[1])
        turn = floats(cv2.Rodrigues(floats(self.rotation))[0])
        to_plane = floats(np.linalg.inv(np.column_stack([turn[:, 0], turn[:, 1], self.offset])))
        mm = np.stack([u, v, np.ones(u.size)], 1) @ to_plane.T
        return (mm[:, 0] / mm[:, 2]).reshape(x.shape), (mm[:, 1] / mm[:, 2]).reshape(x.shape)

    def _rays(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Takes the lens' distortion out, by the model's definition: what distorts to x, y."""
        k1, k2, p1, p2, k3 = self.distortion
        u, v = x, y
        for _ in range(12):
            r2 = u * u + v * v
            radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            u, v = (
                (x - 2 * p1 * u * v - p2 * (r2 + 2 * u * u)) / radial,
                (y - p1 * (r2 + 2 * v * v) - 2 * p2 * u * v) / radial,
            )
        return u, v

    def mm_per_px(self) -> float:
        """True, in the middle of the frame."""
        x, y = self.width / 2 - 0.5, self.height / 2 - 0.5
        xs, ys = self.to_plane(np.array([x + 0.5, x - 0.5, x, x]), np.array([y, y, y + 0.5, y - 0.5]))
        return float(np.sqrt(abs((xs[0] - xs[1]) * (ys[2] - ys[3]) - (xs[2] - xs[3]) * (ys[0] - ys[1]))))

    def picture(self, surface: Surface, region: tuple[int, int, int, int] | None = None) -> Grey:
        """What the camera sees of the plane, or of a region (x, y, width, height) of its frame."""
        left, top, wide, high = region or (0, 0, self.width, self.height)
        # Geometry is smooth: known at every second pixel and between them to some 1e-4 pixels.
        coarse = 2
        xs, ys = np.meshgrid(
            left + np.arange(0, wide + 2 * coarse, coarse) - coarse / 2.0,
            top + np.arange(0, high + 2 * coarse, coarse) - coarse / 2.0,
        )
        mm_x, mm_y = self.to_plane(floats(xs), floats(ys))
        fine_x = (np.arange(wide * _FINE) + 0.5) / _FINE - 0.5
        fine_y = (np.arange(high * _FINE) + 0.5) / _FINE - 0.5
        at_x, at_y = np.meshgrid((fine_x + coarse / 2) / coarse, (fine_y + coarse / 2) / coarse)
        at = at_x.astype(np.float32), at_y.astype(np.float32)
        sampled = [floats(cv2.remap(mm.astype(np.float32), *at, cv2.INTER_LINEAR)) for mm in (mm_x, mm_y)]
        seen = np.asarray(surface(sampled[0], sampled[1]), np.float32)
        light = cv2.resize(seen, (wide, high), interpolation=cv2.INTER_AREA)
        light = cv2.GaussianBlur(light, (0, 0), self.blur) + self.rng.normal(0, self.noise, (high, wide))
        return np.clip(light, 0, 255).astype(np.uint8)


def floats(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float64)


def printed(target: Target, per_mm: int = 30) -> Surface:
    """The target's print as a surface, drawn from its rectangles."""
    width, height = target.size_mm
    margin = target.square_mm
    sheet = np.full((round((height + 2 * margin) * per_mm), round((width + 2 * margin) * per_mm)), 205, np.uint8)
    for x, y, w, h in target.black():
        x0, y0 = round((x + margin) * per_mm), round((y + margin) * per_mm)
        x1, y1 = round((x + w + margin) * per_mm), round((y + h + margin) * per_mm)
        sheet[y0:y1, x0:x1] = 30

    def surface(x: Floats, y: Floats) -> Floats:
        at = (((x + margin) * per_mm) - 0.5).astype(np.float32), (((y + margin) * per_mm) - 0.5).astype(np.float32)
        return floats(cv2.remap(sheet, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=120))

    return surface


def scratch(x_mm: float, y_mm: float, angle: float, length_mm: float = 2.0, width_mm: float = 0.15) -> Surface:
    """A bright surface with one dark straight scratch with round ends; its middle at x, y. length: from end to end."""
    half = (length_mm - width_mm) / 2
    ux, uy = np.cos(angle), np.sin(angle)

    def surface(x: Floats, y: Floats) -> Floats:
        along = np.clip((x - x_mm) * ux + (y - y_mm) * uy, -half, half)
        away = np.hypot(x - x_mm - along * ux, y - y_mm - along * uy)
        return np.where(away <= width_mm / 2, 60.0, 180.0)

    return surface


def held(scene: Scene, count: int = 8) -> Iterator[Scene]:
    """The target held before the camera of a scene, tilted to all sides by 25 to 35 degrees."""
    for index in range(count):
        around, tilt = 2 * np.pi * index / count, np.radians(25 + 10 * (index % 2))
        turned = (tilt * np.cos(around), tilt * np.sin(around), 0.3 * (index % 3 - 1))
        yield replace(scene, rotation=turned, distance=scene.distance * 1.15)
