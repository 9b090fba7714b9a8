"""Masks as run lengths: how many pixels are off, on, off, … (COCO counts down the columns, CVAT along the rows)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.lifecycle.data.sources.labelled import Bitmap


def drawn(runs: Sequence[int], width: int, height: int, *, by_column: bool) -> Bitmap:
    """The mask that the runs describe; the first run is off. Raises ValueError where they do not fill the picture."""
    if any(run < 0 for run in runs) or sum(runs) != width * height:
        raise ValueError(f"{sum(runs)} pixels in the runs, {width} x {height} in the picture")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, np.array(runs, np.int64))
    return flat.reshape(width, height).T if by_column else flat.reshape(height, width)


def unpacked(text: str) -> list[int]:
    """Runs from COCO's compressed text: 5 bits a sign, each run from the third on as difference to the last but one.

    Raises ValueError for a text that is none.
    """
    runs: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            if place >= len(text) or not 0 <= (sign := ord(text[place]) - 48) < 64:
                raise ValueError("the text ends within a run, or holds a sign that COCO does not use")
            value |= (sign & 0x1F) << (5 * shift)
            more = bool(sign & 0x20)
            place, shift = place + 1, shift + 1
            if not more and sign & 0x10:
                value -= 1 << (5 * shift)
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
