"""One labelled picture: which part it shows, what is wrong with the part, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

Point = tuple[float, float]


class Split(Enum):
    """What a picture may be used for. Test is for the last look only (seal.py counts them)."""

    NONE = ""
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle around a defect, in pixels; x, y: its upper left corner, from the picture's."""

    defect: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Polygon:
    """The outline of a defect, in pixels; at least three corners."""

    defect: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Mask:
    """A grey picture of its sample's size; pixels from MASK_FROM on belong to the defect. sha256: of the file."""

    defect: str
    file: str
    sha256: str


MASK_FROM = 128
"""Real masks are not strictly binary: from this value on a pixel belongs to the defect."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture and everything that is known about it. Paths are relative to the set's folder, with `/`.

    batch: the physical part or batch; pictures that share it stay in one split. "": unknown.
    classes: every defect type on the part, sorted; empty just where is_good. Boxes, polygons and masks say where, as
    far as it is known; their defects are among the classes.
    certainty: 0 to 1, how sure the label is (the share of inspectors who agree, for instance).
    """

    image: str
    sha256: str
    width: int
    height: int
    batch: str
    is_good: bool
    classes: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    polygons: tuple[Polygon, ...] = ()
    masks: tuple[Mask, ...] = ()
    split: Split = Split.NONE
    certainty: float = 1.0

    @property
    def unit(self) -> str:
        """What must not be torn apart by a split: the batch, or the picture by itself where none is known."""
        return f"batch {self.batch}" if self.batch else f"picture {self.image}"

    @property
    def shapes(self) -> tuple[Box | Polygon | Mask, ...]:
        """All that says where a defect is."""
        return (*self.boxes, *self.polygons, *self.masks)
