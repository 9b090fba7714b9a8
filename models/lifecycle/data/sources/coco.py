"""COCO as CVAT, Geti and others write it: one JSON file with pictures, categories and annotations."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sample import Box, Polygon, Split
from models.lifecycle.data.sources.json_file import entry, numbers, read_json
from models.lifecycle.data.sources.labelled import Drawing, Labelled, Reading, split_named
from models.lifecycle.data.sources.pictures_below import PicturesBelow
from models.lifecycle.data.sources.run_lengths import drawn, unpacked

Object = dict[str, Any]
AGAIN = "export the labels again as COCO"


def read_coco(root: Path) -> Reading:
    """Every annotation file below the folder. A picture without annotations says nothing: see --empty."""
    files = sorted(Path(folder) / n for folder, _, names in os.walk(root) for n in names if n.endswith(".json"))
    if not files:
        yield Complaint(str(root), "annotations", "", "no .json file below it: put the COCO export's annotations there")
    pictures = PicturesBelow(root)
    first: dict[Path, str] = {}
    for path in files:
        try:
            found = list(_file(path, pictures))
        except DatasetError as error:
            yield from error.complaints
            continue
        for item in found:
            if isinstance(item, Labelled) and first.setdefault(item.picture, str(path)) != str(path):
                cure = f"is labelled in {first[item.picture]} too: keep one of the two"
                yield Complaint(str(path), item.where, item.picture.name, cure)
            else:
                yield item


def _file(path: Path, pictures: PicturesBelow) -> Reading:
    content, file = read_json(path), str(path)
    categories = _categories(content, file)
    shapes: dict[int, list[tuple[str, Object]]] = defaultdict(list)
    images = _by_id(content, "images", file)
    for number, item in enumerate(_objects(content, "annotations", file)):
        where = f"annotations[{number}], "
        try:
            image = entry(item, "image_id", int, file, where, AGAIN)
            if image not in images:
                cure = "no picture of this file has this id: remove the annotation, or add the picture"
                raise DatasetError(Complaint(file, f"{where}image_id", image, cure))
            category = entry(item, "category_id", int, file, where, AGAIN)
            if category not in categories:
                cure = f"no category has this id; known are {sorted(categories)}: correct it, or add the category"
                raise DatasetError(Complaint(file, f"{where}category_id", category, cure))
            shapes[image].append((where, item))
        except DatasetError as error:
            yield from error.complaints
    for where, image in images.values():
        try:
            yield _labelled(file, where, image, shapes[cast(int, image["id"])], categories, pictures, _split(path))
        except DatasetError as error:
            yield from error.complaints


def _labelled(
    file: str, where: str, image: Object, shapes: Sequence[tuple[str, Object]], categories: dict[int, str],
    pictures: PicturesBelow, split: Split,
) -> Labelled:  # fmt: skip
    name = entry(image, "file_name", str, file, where, "name the picture's file")
    width, height = (entry(image, key, int, file, where, f"in pixels: {AGAIN}") for key in ("width", "height"))
    picture = pictures.find(name, file, f"{where}file_name")
    classes: list[str] = []
    boxes: list[Box] = []
    polygons: list[Polygon] = []
    drawings: list[Drawing] = []
    complaints: list[Complaint] = []
    for place, item in shapes:
        defect = categories[item["category_id"]]
        try:
            outline = item.get("segmentation") or None
            if isinstance(outline, dict):
                drawings.append(_mask(cast(Object, outline), defect, file, place, width, height))
            elif outline is not None:
                polygons += _polygons(outline, defect, file, place)
            elif "bbox" in item:
                boxes.append(_box(item["bbox"], defect, file, place))
            else:
                classes.append(defect)
        except DatasetError as error:
            complaints += error.complaints
    if complaints:
        raise DatasetError(*complaints)
    return Labelled(
        picture, file, where.rstrip(", "), tuple(classes), tuple(boxes), tuple(polygons), tuple(drawings),
        looked_at=bool(shapes), stated=(width, height), split=split,
    )  # fmt: skip


def _box(value: Any, defect: str, file: str, where: str) -> Box:
    cure = "must be [x, y, width, height] in pixels, width and height above 0: draw the box again, or remove it"
    x, y, width, height = numbers(value, 4, file, f"{where}bbox", cure)
    if not (width > 0 and height > 0):
        raise DatasetError(Complaint(file, f"{where}bbox", value, cure))
    return Box(defect, x, y, width, height)


def _polygons(value: Any, defect: str, file: str, where: str) -> list[Polygon]:
    cure = "must be outlines [[x1, y1, x2, y2, x3, y3, …]] of at least three corners: draw it again, or remove it"
    found: list[Polygon] = []
    for outline in cast(list[Any], value) if isinstance(value, list) else [value]:
        flat = numbers(outline, None, file, f"{where}segmentation", cure)
        if len(flat) < 6 or len(flat) % 2:
            raise DatasetError(Complaint(file, f"{where}segmentation", outline, cure))
        found.append(Polygon(defect, tuple(zip(flat[::2], flat[1::2], strict=True))))
    return found


def _mask(value: Object, defect: str, file: str, where: str, width: int, height: int) -> Drawing:
    where = f"{where}segmentation, "
    size = numbers(value.get("size"), 2, file, f"{where}size", f"must be [height, width]: {AGAIN}")
    if tuple(size) != (height, width):
        cure = f"the picture is {width} x {height}, so [{height}, {width}] belongs here: {AGAIN}"
        raise DatasetError(Complaint(file, f"{where}size", value.get("size"), cure))
    counts = value.get("counts")
    try:
        text = isinstance(counts, str)
        runs = unpacked(counts) if text else [int(n) for n in numbers(counts, None, file, f"{where}counts", AGAIN)]
        return Drawing(defect, drawn(runs, width, height, by_column=True))
    except ValueError as error:
        raise DatasetError(Complaint(file, f"{where}counts", str(counts)[:40], f"{error}: {AGAIN}")) from error


def _categories(content: Object, file: str) -> dict[int, str]:
    found = _by_id(content, "categories", file)
    cure = "name the defect type"
    return {number: entry(item, "name", str, file, where, cure) for number, (where, item) in found.items()}


def _by_id(content: Object, key: str, file: str) -> dict[int, tuple[str, Object]]:
    found: dict[int, tuple[str, Object]] = {}
    for number, item in enumerate(_objects(content, key, file)):
        where = f"{key}[{number}], "
        identity = entry(item, "id", int, file, where, AGAIN)
        if identity in found:
            raise DatasetError(Complaint(file, f"{where}id", identity, "stands for two: give each its own number"))
        found[identity] = (where, item)
    return found


def _objects(content: Object, key: str, file: str) -> list[Object]:
    cure = f"a COCO file has images, annotations and categories: {AGAIN}"
    items = cast(list[Any], entry(content, key, list, file, "", cure))
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise DatasetError(Complaint(file, f"{key}[{number}]", item, f"must be an object: {AGAIN}"))
    return items


def _split(path: Path) -> Split:
    """From instances_train.json, train.json, or a folder that is so named."""
    words = (*path.stem.replace("2017", "").split("_"), path.parent.name)
    return next((split for word in words if (split := split_named(word)) is not Split.NONE), Split.NONE)
