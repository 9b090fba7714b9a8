"""What every reader gives: one picture with its labels as the tool wrote them, before they are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.lifecycle.data.complaint import Complaint
from models.lifecycle.data.sample import Box, Polygon, Split

Bitmap = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A defect drawn pixel by pixel, at its picture's size."""

    defect: str
    pixels: Bitmap


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A picture and what its label file says of it. file, where: of the label, for complaints.

    classes: of the picture as a whole; good parts may carry a class of their own ("ok"). looked_at: a person has said
    that there is nothing else; without it and without labels nobody knows whether the part is good.
    stated: width and height that the label file claims.
    """

    picture: Path
    file: str
    where: str
    classes: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    polygons: tuple[Polygon, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    looked_at: bool = False
    stated: tuple[int, int] | None = None
    split: Split = Split.NONE
    batch: str = ""
    certainty: float = 1.0


Reading = Iterator[Labelled | Complaint]
Source = Callable[[Path], Reading]
"""Reads a folder as a tool exported it. Masks are drawn one picture at a time; nothing wrong is skipped in silence."""


def split_named(name: str) -> Split:
    """The split that a folder or list of this name means to most tools."""
    names = {
        Split.TRAIN: ("train", "training", "trainval"),
        Split.VALIDATION: ("val", "valid", "validation"),
        Split.TEST: ("test", "testing"),
    }
    return next((split for split, known in names.items() if name.lower() in known), Split.NONE)


def split_of_path(path: Path) -> Split:
    """The split that the nearest folder with such a name stands for."""
    found = (split_named(part) for part in reversed(path.parts[:-1]))
    return next((split for split in found if split is not Split.NONE), Split.NONE)
