"""CVAT's own XML ("CVAT for images 1.1"): boxes, outlines, ellipses, masks and tags of many pictures in one file."""

from __future__ import annotations

import math
import os
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sample import Box, Point, Polygon
from models.lifecycle.data.sources.labelled import Drawing, Labelled, Reading, split_named
from models.lifecycle.data.sources.pictures_below import PicturesBelow
from models.lifecycle.data.sources.run_lengths import drawn
from models.lifecycle.data.sources.xml_file import number, read_xml

CORNERS = 32
"""Of the outline that stands for an ellipse."""

Shape = str | Box | Polygon | Drawing


def read_cvat(root: Path) -> Reading:
    """Every annotation file below the folder. A picture without shapes says nothing: see --empty."""
    files = sorted(Path(folder) / n for folder, _, names in os.walk(root) for n in names if n.endswith(".xml"))
    if not files:
        yield Complaint(str(root), "annotations", "", "no .xml file below it: put the export's annotations.xml there")
    pictures = PicturesBelow(root)
    seen: set[Path] = set()
    for path in files:
        try:
            tree = _annotations(path)
        except DatasetError as error:
            yield from error.complaints
            continue
        labels = {(label.text or "").strip() for label in tree.iterfind(".//labels/label/name")}
        for image in tree.iterfind("image"):
            try:
                found = _labelled(path, image, pictures, labels)
            except DatasetError as error:
                yield from error.complaints
                continue
            if found.picture in seen:
                yield Complaint(str(path), found.where, found.picture.name, "stands twice: keep one of the two")
                continue
            seen.add(found.picture)
            yield found


def _annotations(path: Path) -> Element:
    tree = read_xml(path)
    if tree.tag != "annotations":
        cure = "the first tag must be <annotations>: export as `CVAT for images 1.1`, or name the format"
        raise DatasetError(Complaint(str(path), "tag", tree.tag, cure))
    if tree.find("track") is not None:
        cure = "tracks belong to a video: export the task as `CVAT for images 1.1`"
        raise DatasetError(Complaint(str(path), "track", "<track>", cure))
    if tree.find("image") is None:
        raise DatasetError(Complaint(str(path), "image", "", "names no picture: export the task again"))
    return tree


def _labelled(path: Path, image: Element, pictures: PicturesBelow, labels: set[str]) -> Labelled:
    file, name = str(path), image.get("name", "")
    where = f"image {image.get('id', '?')} {name}".rstrip()
    if not name:
        raise DatasetError(Complaint(file, f"{where}, name", "", "is empty or missing: export the task again"))
    picture = pictures.find(name, file, f"{where}, name")
    width, height = (int(_attribute(file, where, image, key)) for key in ("width", "height"))
    shapes: list[Shape] = []
    complaints: list[Complaint] = []
    for count, element in enumerate(image, 1):
        try:
            shapes.append(_shape(file, f"{where}, {element.tag} {count}", element, labels, width, height))
        except DatasetError as error:
            complaints += error.complaints
    if complaints:
        raise DatasetError(*complaints)
    return Labelled(
        picture, file, where,
        classes=tuple(shape for shape in shapes if isinstance(shape, str)),
        boxes=tuple(shape for shape in shapes if isinstance(shape, Box)),
        polygons=tuple(shape for shape in shapes if isinstance(shape, Polygon)),
        drawings=tuple(shape for shape in shapes if isinstance(shape, Drawing)),
        looked_at=bool(shapes), stated=(width, height), split=split_named(image.get("subset", "")),
    )  # fmt: skip


def _shape(file: str, where: str, element: Element, labels: set[str], width: int, height: int) -> Shape:
    label = element.get("label", "").strip()
    if not label or (labels and label not in labels):
        known = f"; the task knows {', '.join(sorted(labels))}" if labels else ""
        raise DatasetError(Complaint(file, f"{where}, label", label, f"is no label of the task{known}: choose one"))
    match element.tag:
        case "tag":
            return label
        case "box":
            return _box(file, where, element, label)
        case "polygon":
            return Polygon(label, _points(file, where, element))
        case "ellipse":
            return _ellipse(file, where, element, label)
        case "mask":
            return _mask(file, where, element, label, width, height)
        case _:
            cure = "is not read: draw a box, polygon, ellipse or mask around the defect instead"
            raise DatasetError(Complaint(file, where, element.tag, cure))


def _box(file: str, where: str, element: Element, label: str) -> Box | Polygon:
    left, top, right, bottom = (_attribute(file, where, element, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    if not (left < right and top < bottom):
        cure = "xtl must be below xbr and ytl below ybr: draw the box again, or remove it"
        raise DatasetError(Complaint(file, where, (left, top, right, bottom), cure))
    turned = number(element.get("rotation", "0"), file, f"{where}, rotation")
    if not turned:
        return Box(label, left, top, right - left, bottom - top)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Polygon(label, _turned(corners, ((left + right) / 2, (top + bottom) / 2), turned))


def _ellipse(file: str, where: str, element: Element, label: str) -> Polygon:
    x, y, wide, high = (_attribute(file, where, element, key) for key in ("cx", "cy", "rx", "ry"))
    if not (wide > 0 and high > 0):
        raise DatasetError(Complaint(file, where, (wide, high), "rx and ry must be above 0: draw the ellipse again"))
    angles = [2 * math.pi * corner / CORNERS for corner in range(CORNERS)]
    corners = tuple((x + wide * math.cos(angle), y + high * math.sin(angle)) for angle in angles)
    return Polygon(label, _turned(corners, (x, y), number(element.get("rotation", "0"), file, f"{where}, rotation")))


def _turned(points: tuple[Point, ...], middle: Point, degrees: float) -> tuple[Point, ...]:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = middle
    return tuple(
        (x + (px - x) * cosine - (py - y) * sine, y + (px - x) * sine + (py - y) * cosine) for px, py in points
    )


def _points(file: str, where: str, element: Element) -> tuple[Point, ...]:
    text = element.get("points", "")
    try:
        pairs = [tuple(float(part) for part in pair.split(",")) for pair in text.split(";") if pair]
        points = tuple((x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y))
    except ValueError:
        pairs, points = [], ()
    if len(points) < 3 or len(points) < len(pairs):
        cure = "must be at least three corners x,y;x,y;x,y: draw the outline again, or remove it"
        raise DatasetError(Complaint(file, f"{where}, points", text[:60], cure))
    return points


def _mask(file: str, where: str, element: Element, label: str, width: int, height: int) -> Drawing:
    left, top, wide, high = (int(_attribute(file, where, element, key)) for key in ("left", "top", "width", "height"))
    if left < 0 or top < 0 or left + wide > width or top + high > height:
        cure = f"lies outside of the picture of {width} x {height}: draw the mask again"
        raise DatasetError(Complaint(file, where, (left, top, wide, high), cure))
    try:
        runs = [int(run) for run in element.get("rle", "").split(",")]
        part = drawn(runs, wide, high, by_column=False)
    except ValueError as error:
        cure = f"is no run lengths of a mask of {wide} x {high} ({error}): export the task again"
        raise DatasetError(Complaint(file, f"{where}, rle", element.get("rle", "")[:40], cure)) from error
    pixels = np.zeros((height, width), np.bool_)
    pixels[top : top + high, left : left + wide] = part
    return Drawing(label, pixels)


def _attribute(file: str, where: str, element: Element, key: str) -> float:
    return number(element.get(key, ""), file, f"{where}, {key}")
