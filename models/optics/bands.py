"""What a view's good images are like, learned from them and kept in a file beside the recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from models.errors import ImagesRefused, ModelRejected
from models.optics.figures import CELLS, Figures, Pixels

LEAST_FRAMES = 30
"""Fewer do not show how much good images differ; a few hundred are better."""

WIDENED = 0.1
"""A band is what was seen, and so much of it more at each end: the next good image may lie a little outside."""

NARROWEST = 0.03
"""Least room at each end of a band, as a share of the value: a view that never changes has one, too."""

OVEREXPOSED = 0.05
"""Good images of which one in twenty has a larger share of white pixels are none: glare would not show."""

_PATCH_SIDE = 24
_PATCH_ROOM = 0.15

Finite = Annotated[float, Field(allow_inf_nan=False)]
Region = tuple[
    Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]
]
MEASURES = ("brightness", "highlight", "saturated", "focus", "noise")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Band(_Strict):
    """low, high: what one image may be. mean, spread: of good images, to see a drift by (in the logarithm where the
    measure is one of light: twice as bright is as far as half)."""

    low: Finite
    high: Finite
    mean: Finite
    spread: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ReferencePatch(_Strict):
    """A place that looks the same in every good image: a mark on the fixture. region: x, y, width, height in pixels.

    least: the correlation with `looks` (24 x 24 grey values) below which it is covered.
    """

    region: Region
    looks: Annotated[tuple[Finite, ...], Field(min_length=_PATCH_SIDE**2, max_length=_PATCH_SIDE**2)]
    least: Annotated[float, Field(ge=-1, le=1)]

    def correlation(self, pixels: Pixels) -> float:
        """How much the place looks as it should: 1 the same, 0 nothing like it."""
        return _correlation(_looks(pixels, self.region), np.array(self.looks))


class ImageBands(_Strict):
    """Everything that was learned of one view. cells, spreads: the thumbnail's logarithm, mean and spread."""

    schema_: Literal[1] = Field(1, alias="schema")
    view: str
    frames: Annotated[int, Field(ge=LEAST_FRAMES)]
    learned: AwareDatetime
    brightness: Band
    highlight: Band
    saturated: Band
    focus: Band
    noise: Band
    cells: Annotated[tuple[Finite, ...], Field(min_length=CELLS**2, max_length=CELLS**2)]
    spreads: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=CELLS**2, max_length=CELLS**2)]
    patch: ReferencePatch | None = None

    def complaint(self, figures: Figures) -> str | None:
        """What is wrong with one image, or None."""
        found: list[str] = []
        for name, below, above in _WORDS:
            band, value = self.band(name), float(getattr(figures, name))
            # What is not a number is outside of every band.
            if not value >= band.low and below:
                found.append(f"{below}: {name} {value:.3g}, good images have {band.low:.3g} and more")
            elif not value <= band.high and above:
                found.append(f"{above}: {name} {value:.3g}, good images have {band.high:.3g} at most")
        return "; ".join(found) or None

    def band(self, name: str) -> Band:
        return getattr(self, name)


_WORDS = (
    ("brightness", "too dark", "too bright"),
    ("highlight", "too dark", ""),
    ("saturated", "", "glare"),
    ("focus", "out of focus", ""),
    ("noise", "", "noisy"),
)
"""What it means to lie below and above each band; "" where that is no fault."""


def learn(
    view: str,
    seen: Sequence[Figures],
    patch: tuple[Region, Sequence[Pixels]] | None = None,
) -> ImageBands:
    """Bands from the figures of good images. patch: where the reference patch lies, with the same images' pixels.

    Raises ImagesRefused where they are too few, overexposed, or the patch does not look the same in them.
    """
    if len(seen) < LEAST_FRAMES:
        raise ImagesRefused(f"{len(seen)} good images, at least {LEAST_FRAMES} are needed")
    white = float(np.quantile([figures.saturated for figures in seen], 0.95))
    if white > OVEREXPOSED:
        raise ImagesRefused(
            f"one image in twenty has {white:.0%} white pixels or more: shorten the exposure first, in an overexposed "
            "image neither glare nor a bright defect shows"
        )
    cells = np.log(np.stack([figures.thumbnail.ravel() for figures in seen]) + 1e-3)
    bands = {name: _band([float(getattr(figures, name)) for figures in seen], name) for name in MEASURES}
    return ImageBands.model_validate(
        {
            "schema": 1,
            "view": view,
            "frames": len(seen),
            "learned": datetime.now(UTC),
            **bands,
            "cells": cells.mean(axis=0).tolist(),
            "spreads": np.maximum(cells.std(axis=0), 0.01).tolist(),
            "patch": None if patch is None else _patch(*patch),
        }
    )


def _band(values: Sequence[float], name: str) -> Band:
    low, high = min(values), max(values)
    scaled = [drift_scale(name, value) for value in values]
    spread = max(float(np.std(scaled)), 0.02 if name != "saturated" else 0.002)
    if name == "saturated":
        room = max(WIDENED * (high - low), 0.003)
        return Band(low=0.0, high=high + room, mean=float(np.mean(scaled)), spread=spread)
    # In proportions: half as much is as far as twice as much.
    widen = max((high / max(low, 1e-6)) ** WIDENED, 1 + NARROWEST)
    return Band(low=low / widen, high=high * widen, mean=float(np.mean(scaled)), spread=spread)


def drift_scale(name: str, value: float) -> float:
    """On the scale on which a drift is judged: logarithms, but for a share that may be 0."""
    return value if name == "saturated" else math.log(max(value, 1e-6))


def _patch(region: Region, images: Sequence[Pixels]) -> ReferencePatch:
    x, y, width, height = region
    for pixels in images:
        if x + width > pixels.shape[1] or y + height > pixels.shape[0]:
            raise ImagesRefused(f"the reference patch {region} leaves the image of {pixels.shape[1]}x{pixels.shape[0]}")
    looks = np.stack([_looks(pixels, region) for pixels in images])
    usual = np.median(looks, axis=0)
    found = [_correlation(one, usual) for one in looks]
    if min(found) < 2 * _PATCH_ROOM:
        raise ImagesRefused(
            f"the reference patch {region} does not look the same in every good image (correlation down to "
            f"{min(found):.2f}): choose a mark on the fixture, not on the part"
        )
    return ReferencePatch(region=region, looks=tuple(usual.ravel().tolist()), least=min(found) - _PATCH_ROOM)


def _looks(pixels: Pixels, region: Region) -> NDArray[np.float64]:
    x, y, width, height = region
    part = pixels[y : y + height, x : x + width]
    grey = np.ascontiguousarray(part if part.ndim == 2 else part[..., 1])
    return np.asarray(cv2.resize(grey, (_PATCH_SIDE, _PATCH_SIDE), interpolation=cv2.INTER_AREA), np.float64).ravel()


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    first, second = one - one.mean(), other - other.mean()
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / length if length > 0 else 0.0


def save(bands: ImageBands, path: Path) -> None:
    """Write it, in one step. Raises OSError."""
    half = path.with_name(path.name + ".tmp")
    half.write_text(bands.model_dump_json(indent=1, by_alias=True) + "\n", encoding="utf-8")
    half.replace(path)


def load(path: Path) -> ImageBands:
    """Read and check. Raises ModelRejected naming file, key, value and cure."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ImageBands.model_validate(content)
    except (OSError, ValueError) as error:
        raise ModelRejected(str(path), *_explained(error, path)) from error


def _explained(error: OSError | ValueError, path: Path) -> tuple[str, object, str]:
    """key, value, cure."""
    cure = "make it anew with linegate camera learn"
    if not isinstance(error, ValidationError):
        return "file", path.name, f"cannot be read: {error}: {cure}"
    first = error.errors()[0]
    return ".".join(str(step) for step in first["loc"]) or "file", first.get("input"), f"{first['msg']}: {cure}"
