"""Masks as pictures: one colour for each defect type, or one defect type in black and white."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.pictures import read_unchanged
from models.lifecycle.data.sample import MASK_FROM
from models.lifecycle.data.sources.labelled import Bitmap, Drawing

Colour = tuple[int, int, int]
BACKGROUND = ("background", "__background__", "")


def coloured(path: Path, names: Mapping[Colour, str]) -> tuple[Drawing, ...]:
    """A drawing for each colour (red first) that occurs; what is transparent or background is none.

    Raises DatasetError for a colour that has no name.
    """
    pixels, opaque = _rgb(path)
    flat = (pixels[..., 0].astype(np.uint32) << 16) | (pixels[..., 1].astype(np.uint32) << 8) | pixels[..., 2]
    drawings: list[Drawing] = []
    complaints: list[Complaint] = []
    for value in np.unique(flat[opaque]).tolist():
        colour = (value >> 16, value >> 8 & 255, value & 255)
        name = names.get(colour)
        here = opaque & (flat == value)
        if name is None and colour != (0, 0, 0):
            cure = (
                f"{int(here.sum())} pixels of a colour without a name: add it to the colour map, or save the mask as "
            )
            cure += "PNG without smoothing"
            complaints.append(Complaint(str(path), "colour", colour, cure))
        elif name is not None and name.lower() not in BACKGROUND:
            drawings.append(Drawing(name, here))
    if complaints:
        raise DatasetError(complaints[0], *complaints[1:])
    return tuple(drawings)


def black_and_white(path: Path) -> Bitmap:
    """Where the mask is on. Values may be 0 and 1, or 0 to 255. Raises DatasetError where it holds several classes."""
    pixels, opaque = _rgb(path)
    grey = np.where(opaque, pixels.max(axis=2), 0)
    levels = np.unique(grey[grey > 0]).tolist()
    if len(levels) == 1:
        return grey > 0
    if levels and max(levels) < MASK_FROM:
        cure = "several values: classes by number. Put labelmap.txt beside the masks, a line `name:r,g,b::` for each"
        raise DatasetError(Complaint(str(path), "values", levels[:8], cure))
    return grey >= MASK_FROM


def _rgb(path: Path) -> tuple[NDArray[np.uint8], Bitmap]:
    """Red first, and where the picture is opaque. Raises DatasetError."""
    found = read_unchanged(path)
    if found.dtype != np.uint8:
        cure = "a mask has 8 bits: save it as 8-bit PNG"
        raise DatasetError(Complaint(str(path), "bits", str(found.dtype), cure))
    if found.ndim == 2:
        found = np.repeat(found[..., None], 3, axis=2)
    opaque = found[..., 3] >= MASK_FROM if found.shape[2] == 4 else np.ones(found.shape[:2], np.bool_)
    return found[..., 2::-1], opaque
