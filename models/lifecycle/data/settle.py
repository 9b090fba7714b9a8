"""From labels as a tool wrote them to labels that hold: known names, shapes inside the picture, good or not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sample import Box, Polygon
from models.lifecycle.data.sources.labelled import Drawing, Labelled
from models.lifecycle.data.sources.table import GOOD_NAMES

Empty = Literal["refuse", "good", "leave-out"]

SLACK = 1.0
"""Pixels that a shape may reach over the border and is cut: tools count corners from 0 or from 1."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How labels are judged.

    good_names: classes of good parts. rename: from the tool's names to defect types. known: the catalogue's defect
    types; None: any. empty: what a picture is that nobody has labelled.
    """

    good_names: Collection[str] = GOOD_NAMES
    rename: Mapping[str, str] = field(default_factory=dict[str, str])
    known: Collection[str] | None = None
    empty: Empty = "refuse"

    def defect(self, name: str) -> str | None:
        """The defect type that a tool's class means; None for a good part's."""
        renamed = self.rename.get(name, name)
        return None if renamed.lower() in self.good_names else renamed


def settle(labelled: Labelled, width: int, height: int, rules: Rules) -> Labelled | None:
    """The label with defect types for classes and shapes within the picture; None: leave this picture out.

    width, height: of the picture itself. Raises DatasetError with everything that is wrong.
    """
    complaints = [*_size(labelled, width, height), *_names(labelled, rules)]
    boxes: list[Box] = []
    polygons: list[Polygon] = []
    for shape in (*labelled.boxes, *labelled.polygons):
        defect = rules.defect(shape.defect)
        complaint = _outside(labelled, shape, width, height)
        if complaint is not None:
            complaints.append(complaint)
        elif defect is not None and isinstance(shape, Box):
            boxes.append(_cut_box(defect, shape, width, height))
        elif defect is not None and isinstance(shape, Polygon):
            polygons.append(Polygon(defect, tuple((_cut(x, width), _cut(y, height)) for x, y in shape.points)))
    drawings = [drawing for drawing in labelled.drawings if rules.defect(drawing.defect) is not None]
    for drawing in drawings:
        complaints += _drawing(labelled, drawing, width, height)
    drawn = [replace(drawing, defect=rules.defect(drawing.defect) or "") for drawing in drawings]
    shown = {shape.defect for shape in (*boxes, *polygons, *drawn)}
    classes = shown | {defect for name in labelled.classes if (defect := rules.defect(name)) is not None}
    said_good = any(rules.defect(name) is None for name in labelled.classes)
    if said_good and classes:
        cure = f"is labelled good and {', '.join(sorted(classes))}: it cannot be both, correct the label"
        complaints.append(Complaint(labelled.file, labelled.where, labelled.picture.name, cure))
    if complaints:
        raise DatasetError(*complaints)
    if not (classes or labelled.looked_at or said_good):
        if rules.empty == "leave-out":
            return None
        if rules.empty == "refuse":
            cure = "has no label, so nobody knows whether it is good: label it, or say --empty good or leave-out"
            raise DatasetError(Complaint(labelled.file, labelled.where, labelled.picture.name, cure))
    return replace(
        labelled, classes=tuple(sorted(classes)), boxes=tuple(boxes), polygons=tuple(polygons), drawings=tuple(drawn)
    )


def _size(labelled: Labelled, width: int, height: int) -> list[Complaint]:
    if labelled.stated in (None, (width, height)):
        return []
    stated = f"{labelled.stated[0]} x {labelled.stated[1]}" if labelled.stated else ""
    cure = f"the picture has {width} x {height}, scaled or turned after labelling: take the picture that was labelled"
    return [Complaint(labelled.file, f"{labelled.where}, size", stated, cure)]


def _names(labelled: Labelled, rules: Rules) -> list[Complaint]:
    shapes = (*labelled.boxes, *labelled.polygons, *labelled.drawings)
    names = dict.fromkeys([*labelled.classes, *(shape.defect for shape in shapes)])
    found = [defect for name in names if (defect := rules.defect(name)) is not None]
    if rules.known is None:
        return []
    known = ", ".join(sorted(rules.known))
    cure = f"the catalogue knows {known}: add this defect type, or map it with --map NAME={next(iter(rules.known), '')}"
    where = f"{labelled.where}, class"
    return [Complaint(labelled.file, where, name, cure) for name in found if name not in rules.known]


def _outside(labelled: Labelled, shape: Box | Polygon, width: int, height: int) -> Complaint | None:
    """A shape that leaves the picture by more than SLACK, or has no area in it."""
    if isinstance(shape, Box):
        points = ((shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height))
        area = shape.width * shape.height
    else:
        points = shape.points
        after = (*points[1:], points[0])
        area = abs(sum(x * ny - nx * y for (x, y), (nx, ny) in zip(points, after, strict=True))) / 2
    left, top, right, bottom = (
        min(x for x, _ in points), min(y for _, y in points), max(x for x, _ in points), max(y for _, y in points)
    )  # fmt: skip
    value = tuple(round(bound, 1) for bound in (left, top, right, bottom))
    where = f"{labelled.where}, {shape.defect}"
    if min(left, top) < -SLACK or right > width + SLACK or bottom > height + SLACK:
        cure = f"lies outside of the picture of {width} x {height} (left, top, right, bottom): draw it again"
        return Complaint(labelled.file, where, value, cure)
    if not (area > 0 and right > 0 and bottom > 0 and left < width and top < height):
        return Complaint(labelled.file, where, value, "has no area within the picture: draw it again, or remove it")
    return None


def _cut_box(defect: str, box: Box, width: int, height: int) -> Box:
    left, top = _cut(box.x, width), _cut(box.y, height)
    return Box(defect, left, top, _cut(box.x + box.width, width) - left, _cut(box.y + box.height, height) - top)


def _cut(place: float, size: int) -> float:
    return min(max(place, 0.0), float(size))


def _drawing(labelled: Labelled, drawing: Drawing, width: int, height: int) -> list[Complaint]:
    if drawing.pixels.shape != (height, width):
        size = f"{drawing.pixels.shape[1]} x {drawing.pixels.shape[0]}"
        cure = f"the picture has {width} x {height}: save mask and picture at one size"
        return [Complaint(labelled.file, f"{labelled.where}, mask size", size, cure)]
    if not drawing.pixels.any():
        cure = (
            f"the mask is empty although the picture is labelled {drawing.defect}: draw the defect, or remove the label"
        )
        return [Complaint(labelled.file, f"{labelled.where}, mask", drawing.defect, cure)]
    return []
