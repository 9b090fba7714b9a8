"""One labelled picture as another exposure of another part might show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far a picture may be varied. shift: share of the side. gamma, gain: ranges. noise: grey levels at most.

    flip, quarter: whether a mirrored or quarter-turned part is still such a part.
    """

    turn_degrees: float = 4.0
    shift: float = 0.04
    zoom: tuple[float, float] = (0.85, 1.2)
    flip: bool = True
    quarter: bool = False
    gamma: tuple[float, float] = (0.7, 1.4)
    gain: tuple[float, float] = (0.75, 1.3)
    noise: float = 4.0


def vary(
    pixels: NDArray[np.uint8], labels: NDArray[Any] | None, rng: np.random.Generator, plan: Augmentation
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """The picture, (H, W) or (H, W, 3), varied, as float32 of 0 to 255; and its label map (H, W) moved along.

    A label map holds class numbers or shares: it is sampled at the nearest pixel.
    """
    matrix = motion(pixels.shape[0], pixels.shape[1], rng, plan)
    size = (pixels.shape[1], pixels.shape[0])
    moved = cv2.warpAffine(pixels, matrix, size, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
    marked = None
    if labels is not None:
        marked = cv2.warpAffine(labels, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    return lit(moved, rng, plan), marked


def lit(pixels: NDArray[np.float32], rng: np.random.Generator, plan: Augmentation) -> NDArray[np.float32]:
    """As under another light, with another gain and some noise; of 0 to 255."""
    seen = 255 * (pixels / 255) ** rng.uniform(*plan.gamma) * rng.uniform(*plan.gain)
    seen += rng.normal(0, rng.uniform(0, plan.noise), seen.shape)
    return np.clip(seen, 0, 255).astype(np.float32)


def motion(height: int, width: int, rng: np.random.Generator, plan: Augmentation) -> NDArray[np.float32]:
    """Turn, mirror, zoom and shift about the middle, as a matrix (2, 3) from old to new pixels."""
    scale, angle = rng.uniform(*plan.zoom, 2), np.deg2rad(rng.uniform(-plan.turn_degrees, plan.turn_degrees))
    if plan.quarter and height == width:
        angle += np.pi / 2 * int(rng.integers(4))
    flips = np.where(rng.random(2) < 0.5, -1.0, 1.0) if plan.flip else np.ones(2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * (scale * flips)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = middle - turn @ middle + rng.uniform(-plan.shift, plan.shift, 2) * (width, height)
    return np.hstack([turn, shift[:, None]]).astype(np.float32)
