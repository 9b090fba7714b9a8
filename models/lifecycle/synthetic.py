"""Defects drawn on pictures of good parts, so that a model can learn what a defect is before anyone has one.

Blots, scratches, chipped edges, pieces of another place, and patches with another texture: none of them is a real
defect, but what tells them apart from a good surface also tells many real ones. (The idea of CutPaste and DRAEM.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Weight = NDArray[np.float32]
"""(H, W) from 0 to 1: how much of the drawn defect a pixel shows."""


def draw_defect(picture: Picture, other: Picture, rng: np.random.Generator) -> tuple[Picture, Weight]:
    """One to three defects on a copy of a picture (H, W) or (H, W, 3) of 0 to 255, and where they are.

    other: a second good picture of the same shape, for pieces of another place.
    """
    drawn = picture.copy()
    where: Weight = np.zeros(picture.shape[:2], np.float32)
    for _ in range(int(rng.integers(1, 4))):
        shape = _SHAPES[int(rng.integers(len(_SHAPES)))](picture.shape[0], picture.shape[1], rng)
        filling = _FILLINGS[int(rng.integers(len(_FILLINGS)))](drawn, other, rng)
        weight = shape if drawn.ndim == 2 else shape[..., None]
        drawn = (drawn * (1 - weight) + filling * weight).astype(np.float32)
        where = np.maximum(where, shape)
    return np.clip(drawn, 0, 255).astype(np.float32), where


def _blot(height: int, width: int, rng: np.random.Generator) -> Weight:
    """A round shape with a wavy edge, from a few pixels to a third of the picture."""
    radius = min(height, width) * np.exp(rng.uniform(np.log(0.012), np.log(0.18)))
    return _soft(_lump(height, width, rng.uniform((0, 0), (width, height)), radius, rng), rng)


def _chip(height: int, width: int, rng: np.random.Generator) -> Weight:
    """A shape that comes in from an edge."""
    along = rng.uniform((0, 0), (width, height))
    side = int(rng.integers(4))
    along[side % 2] = 0 if side < 2 else (width, height)[side % 2]
    radius = min(height, width) * np.exp(rng.uniform(np.log(0.03), np.log(0.15)))
    return _soft(_lump(height, width, along, radius, rng), rng)


def _scratch(height: int, width: int, rng: np.random.Generator) -> Weight:
    """A line that bends as it goes, one to a few pixels wide."""
    steps, scale = int(rng.integers(4, 14)), min(height, width)
    turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.05, 0.5), steps))
    stride = scale * rng.uniform(0.02, 0.07)
    path = rng.uniform((0, 0), (width, height)) + np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * stride, 0)
    line = np.zeros((height, width), np.uint8)
    thick = max(1, round(scale / 224 * rng.uniform(0.8, 4)))
    cv2.polylines(line, [np.round(path).astype(np.int32)], False, 255, thick, cv2.LINE_AA)
    return _soft(line, rng)


def _area(height: int, width: int, rng: np.random.Generator) -> Weight:
    """A large part of the picture with a straight or blurred border: uneven grinding, a wet patch."""
    turn, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.25, 0.25)
    ys, xs = np.mgrid[0:height, 0:width]
    along = (xs / width - 0.5) * np.cos(turn) + (ys / height - 0.5) * np.sin(turn) - offset
    band = rng.uniform(0.1, 0.6)
    soft = np.exp(rng.uniform(np.log(0.004), np.log(0.05)))
    return (1 / (1 + np.exp(-np.clip((band / 2 - np.abs(along)) / soft, -30, 30)))).astype(np.float32)


def _lump(
    height: int, width: int, middle: NDArray[np.float64], radius: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    waves = sum(
        rng.normal(0, 0.35 / order) * np.cos(order * angles + rng.uniform(0, 2 * np.pi)) for order in range(2, 7)
    )
    reach = radius * np.clip(1 + waves, 0.25, 2.0)
    stretch, turn = np.exp(rng.normal(0, 0.45)), rng.uniform(0, np.pi)
    xs, ys = reach * np.cos(angles) * stretch, reach * np.sin(angles) / stretch
    xs, ys = xs * np.cos(turn) - ys * np.sin(turn), xs * np.sin(turn) + ys * np.cos(turn)
    shape = np.zeros((height, width), np.uint8)
    corners = np.round(np.stack([xs + middle[0], ys + middle[1]], 1) * 16).astype(np.int32)
    cv2.fillPoly(shape, [corners], 255, cv2.LINE_AA, 4)
    return shape


def _soft(shape: NDArray[np.uint8], rng: np.random.Generator) -> Weight:
    """Edges blurred by a little, the whole by chance half transparent."""
    blurred = cv2.GaussianBlur(shape.astype(np.float32) / 255, (0, 0), float(rng.uniform(0.4, 1.6)))
    return cast(Weight, blurred * np.float32(rng.uniform(0.4, 1.0)))


def _shade(picture: Picture, _other: Picture, rng: np.random.Generator) -> Picture:
    """Darker or brighter, with what is below still showing."""
    towards = picture.mean() + rng.choice((-1.0, -1.0, 1.0)) * rng.uniform(20, 120)
    keep = rng.uniform(0.0, 0.9)
    colour = towards if picture.ndim == 2 else towards + rng.normal(0, 25, 3)
    return (picture * keep + colour * (1 - keep)).astype(np.float32)


def _elsewhere(picture: Picture, other: Picture, rng: np.random.Generator) -> Picture:
    """Another place of this or of another part, turned."""
    source = picture if rng.random() < 0.5 else other
    turned = np.rot90(source, int(rng.integers(4))) if source.shape[0] == source.shape[1] else source[::-1]
    return np.roll(turned, tuple(int(rng.integers(n)) for n in source.shape[:2]), axis=(0, 1)).astype(np.float32)


def _texture(picture: Picture, _other: Picture, rng: np.random.Generator) -> Picture:
    """Blurred, or with a grain that the surface does not have, or with another contrast."""
    kind = int(rng.integers(3))
    if kind == 0:
        return cast(Picture, cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(1.5, 6))))
    if kind == 1:
        grain = rng.normal(0, rng.uniform(8, 40), picture.shape[:2]).astype(np.float32)
        grain = cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.5, 2))) * np.float32(2)
        return picture + (grain if picture.ndim == 2 else grain[..., None])
    middle = picture.mean()
    return (middle + (picture - middle) * np.float32(rng.choice((0.3, 0.5, 1.6, 2.2)))).astype(np.float32)


_SHAPES: tuple[Callable[[int, int, np.random.Generator], Weight], ...] = (
    _blot,
    _blot,
    _chip,
    _scratch,
    _scratch,
    _area,
)
_FILLINGS: tuple[Callable[[Picture, Picture, np.random.Generator], Picture], ...] = (
    _shade, _shade, _elsewhere, _texture,
)  # fmt: skip
