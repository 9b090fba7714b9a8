"""Samples with their pixels, as training reads them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sample import MASK_FROM, Point, Sample

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Samples with their pixels, all stretched to one square. masks: 0 or 255, zero where nothing is wrong."""

    samples: tuple[Sample, ...]
    pixels: tuple[Grey, ...]
    masks: tuple[Grey, ...]

    def __len__(self) -> int:
        return len(self.samples)


def load_pictures(root: Path, samples: Sequence[Sample], side: int) -> Pictures:
    """Read and stretch to `side` x `side` grey pixels, averaging where they shrink. Raises DatasetError."""
    pixels = tuple(_square(root, sample.image, side) for sample in samples)
    masks = tuple(_square_mask(root, sample, side) for sample in samples)
    return Pictures(tuple(samples), pixels, masks)


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What a picture's file is, without its pixels."""

    sha256: str
    width: int
    height: int


def picture_facts(path: Path) -> PictureFacts:
    """Hash and size of a picture that can be decoded to its end. Raises DatasetError naming file and cure."""
    height, width = _decoded(path, cv2.IMREAD_UNCHANGED).shape[:2]
    return PictureFacts(hashlib.sha256(path.read_bytes()).hexdigest(), width, height)


def read_grey(path: Path) -> Grey:
    """The picture in grey. Raises DatasetError naming file and cure."""
    return cast(Grey, _decoded(path, cv2.IMREAD_GRAYSCALE))


def read_colour(path: Path) -> NDArray[np.uint8]:
    """The picture as (H, W, 3), RGB. Raises DatasetError naming file and cure."""
    return cast(NDArray[np.uint8], cv2.cvtColor(_decoded(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def read_unchanged(path: Path) -> NDArray[np.uint8]:
    """The picture as its file has it: any number of channels (blue first) and bits. Raises DatasetError."""
    return cast(NDArray[np.uint8], _decoded(path, cv2.IMREAD_UNCHANGED))


def defect_mask(root: Path, sample: Sample, defect: str | None = None) -> Grey:
    """Where the part is defective, 0 or 255, at the picture's own size: masks, polygons, and boxes without either.

    defect: of this type only. A class that no shape shows leaves the mask empty.
    """
    drawn = np.zeros((sample.height, sample.width), np.uint8)
    outlined: set[str] = set()
    for mask in sample.masks:
        if defect in (None, mask.defect):
            found = read_grey(root / mask.file)
            if found.shape != drawn.shape:
                cure = f"the picture has {sample.width} x {sample.height}: export mask and picture at one size"
                raise DatasetError(Complaint(mask.file, "size", f"{found.shape[1]} x {found.shape[0]}", cure))
            drawn[found >= MASK_FROM] = 255
            outlined.add(mask.defect)
    for polygon in sample.polygons:
        if defect in (None, polygon.defect):
            drawn[_inside(polygon.points, sample.width, sample.height)] = 255
            outlined.add(polygon.defect)
    for box in sample.boxes:
        if defect in (None, box.defect) and box.defect not in outlined:
            rows = slice(_first_inside(box.y), _first_inside(box.y + box.height))
            drawn[rows, _first_inside(box.x) : _first_inside(box.x + box.width)] = 255
    return drawn


def _inside(points: Sequence[Point], width: int, height: int) -> NDArray[np.bool_]:
    """Pixels whose middle lies within the outline. (cv2.fillPoly adds the border: half a pixel too much all round.)"""
    crossed = np.zeros((height, width + 1), np.int32)
    for (x, y), (next_x, next_y) in zip(points, (*points[1:], points[0]), strict=True):
        if y == next_y:
            continue
        rows = np.arange(_first_inside(min(y, next_y)), min(_first_inside(max(y, next_y)), height))
        at = x + (rows + 0.5 - y) * (next_x - x) / (next_y - y)
        columns = np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)
        np.add.at(crossed, (rows, columns), 1)
    return np.cumsum(crossed, axis=1)[:, :-1] % 2 == 1


def _first_inside(edge: float) -> int:
    """The first pixel whose middle lies at or after this place."""
    return max(0, math.ceil(edge - 0.5))


def _decoded(path: Path, how: int) -> NDArray[np.integer[Any] | np.floating[Any]]:
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        cure = f"cannot be read ({error.strerror}): put it back, or remove its row"
        raise DatasetError(Complaint(str(path), "file", "", cure)) from error
    picture = cv2.imdecode(content, how) if content.size else None
    if picture is None:
        cure = "is not a picture, or broken: copy it again from where it came, or remove it"
        raise DatasetError(Complaint(str(path), "file", f"{content.size} bytes", cure))
    return cast(NDArray[np.integer[Any] | np.floating[Any]], picture)


def _square(root: Path, file: str, side: int) -> Grey:
    return cast(Grey, cv2.resize(read_grey(root / file), (side, side), interpolation=cv2.INTER_AREA))


def _square_mask(root: Path, sample: Sample, side: int) -> Grey:
    if not sample.shapes:
        return np.zeros((side, side), np.uint8)
    small = cv2.resize(defect_mask(root, sample), (side, side), interpolation=cv2.INTER_AREA)
    return np.where(small >= MASK_FROM, 255, 0).astype(np.uint8)
