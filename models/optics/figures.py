"""What an image is like, in a few numbers and a thumbnail: cheap enough to be taken of every frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

GRID = 128
"""Brightness and thumbnail are taken from about so many pixels each way."""

CELLS = 16
"""The thumbnail's side."""

_PATCHES, _SIDE = 4, 48
"""Focus and noise are taken from 4 x 4 patches at full resolution: a smaller image would have lost what they tell."""

WHITE = 250
"""From here on a pixel is saturated."""

_HIGHLIGHT = 0.99
_LAPLACIAN_GAIN = math.sqrt(20)
"""Of white noise: the kernel's squares add up to 20."""


@dataclass(frozen=True, slots=True)
class Figures:
    """brightness: mean grey, 0 to 255. highlight: the grey that 1 % of the pixels exceed. saturated: share of white
    pixels. focus: strength of edges in proportion to the brightness, so that light alone does not change it. noise:
    grey levels in the calmest patch, texture included. thumbnail: (16, 16) in shares of the brightness.
    """

    brightness: float
    highlight: float
    saturated: float
    focus: float
    noise: float
    thumbnail: NDArray[np.float32]


def sample(pixels: Pixels) -> Pixels:
    """About 128 x 128 pixels, of green where there are colours, spread evenly."""
    rows, columns = max(1, pixels.shape[0] // GRID), max(1, pixels.shape[1] // GRID)
    return np.ascontiguousarray(_grey(pixels)[::rows, ::columns])


def measure(pixels: Pixels, sampled: Pixels | None = None) -> Figures:
    """The figures of a frame of at least 64 x 64 pixels. sampled: its `sample`, where that is known already.

    focus is the Laplacian's variance (Pech-Pacheco et al., ICPR 2000) over the squared brightness.
    """
    few = sample(pixels) if sampled is None else sampled
    brightness = max(float(cv2.mean(few)[0]), 0.5)
    counts = np.cumsum(cv2.calcHist([few], [0], None, [256], [0, 256]).ravel()[::-1])
    highlight = 255.0 - int(np.searchsorted(counts, (1 - _HIGHLIGHT) * few.size))
    variances = _edges(_grey(pixels))
    thumbnail = cv2.resize(few.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return Figures(
        brightness,
        highlight,
        float(counts[255 - WHITE]) / few.size,
        1000 * float(variances.mean()) / brightness**2,
        math.sqrt(float(variances.min())) / _LAPLACIAN_GAIN,
        np.asarray(thumbnail, np.float32) / np.float32(brightness),
    )


def _grey(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 2 else pixels[..., 1]


def _edges(grey: Pixels) -> NDArray[np.float32]:
    """Variance of the Laplacian in each patch."""
    height, width = grey.shape
    side = min(_SIDE, height // _PATCHES, width // _PATCHES)
    down, along = height // _PATCHES, width // _PATCHES
    top, left = (down - side) // 2, (along - side) // 2
    whole = grey[: down * _PATCHES, : along * _PATCHES].reshape(_PATCHES, down, _PATCHES, along)
    # Side by side in one image, so that one call does them all; the rim, which sees the neighbour, is cut off.
    mosaic = np.ascontiguousarray(whole[:, top : top + side, :, left : left + side]).reshape(_PATCHES * side, -1)
    edges = cv2.Laplacian(mosaic, cv2.CV_16S)
    inner = [slice(start + 1, start + side - 1) for start in range(0, _PATCHES * side, side)]
    deviations = [cv2.meanStdDev(edges[rows, columns])[1][0, 0] for rows in inner for columns in inner]
    return np.square(np.array(deviations, np.float32))
