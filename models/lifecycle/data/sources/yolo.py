"""YOLO: one text file for each picture, one line for each defect, as shares of the picture's size.

`class x y width height` is a box by its centre, `class x1 y1 x2 y2 x3 y3 …` an outline. The names of the classes stand
in data.yaml (Ultralytics), obj.names or classes.txt (Darknet, LabelImg).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.pictures import picture_facts
from models.lifecycle.data.sample import Box, Polygon
from models.lifecycle.data.sources.labelled import Labelled, Reading, split_of_path
from models.lifecycle.data.sources.pictures_below import PicturesBelow

NAMES = ("classes.txt", "obj.names")
LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt", "README.txt", "README.roboflow.txt", "README.dataset.txt")
BLEED = 1e-3
"""Tools round shares to six digits: so far out of the picture is not out of it."""


def read_yolo(root: Path) -> Reading:
    """Every label file below the folder. An empty one is a part that was looked at and is good."""
    try:
        names = class_names(root)
    except DatasetError as error:
        yield from error.complaints
        return
    pictures = PicturesBelow(root)
    labelled: set[Path] = set()
    for path in _label_files(root):
        try:
            picture = pictures.beside(path)
            labelled.add(picture)
            yield _labels(path, picture, root, names)
        except DatasetError as error:
            yield from error.complaints
    for picture in pictures.files:
        if picture not in labelled:
            yield Labelled(picture, str(picture), "label file", split=split_of_path(picture.relative_to(root)))


def class_names(root: Path) -> dict[int, str]:
    """Names by number. Raises DatasetError where no file has them."""
    for path in sorted((*root.glob("*.yaml"), *root.glob("*.yml"))):
        found = _yaml_names(path)
        if found:
            return found
    for path in sorted(Path(folder) / name for folder, _, names in os.walk(root) for name in names if name in NAMES):
        return dict(enumerate(line.strip() for line in _text(path).splitlines() if line.strip()))
    cure = "no names of classes: put data.yaml or classes.txt there, one name a line, in the order of their numbers"
    raise DatasetError(Complaint(str(root), "classes", "", cure))


def _yaml_names(path: Path) -> dict[int, str]:
    import yaml

    try:
        content: Any = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        cure = f"is not valid YAML ({' '.join(str(error).split())}): mend this place"
        raise DatasetError(Complaint(str(path), "syntax", path.name, cure)) from error
    names: Any = cast(dict[str, Any], content).get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        return {number: str(name) for number, name in enumerate(cast(list[Any], names))}
    if isinstance(names, dict):
        try:
            return {int(number): str(name) for number, name in cast(dict[Any, Any], names).items()}
        except (TypeError, ValueError) as error:
            cure = "must be a list of names, or number: name"
            raise DatasetError(Complaint(str(path), "names", str(cast(Any, names)), cure)) from error
    return {}


def _label_files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".txt") and name not in NAMES and name not in LISTS:
                yield Path(folder) / name


def _labels(path: Path, picture: Path, root: Path, names: dict[int, str]) -> Labelled:
    facts = picture_facts(picture)
    boxes: list[Box] = []
    polygons: list[Polygon] = []
    complaints: list[Complaint] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            shape = _shape(str(path), f"line {number}", line.split(), names, facts.width, facts.height)
        except DatasetError as error:
            complaints += error.complaints
            continue
        if isinstance(shape, Box):
            boxes.append(shape)
        else:
            polygons.append(shape)
    if complaints:
        raise DatasetError(*complaints)
    split = split_of_path(path.relative_to(root))
    return Labelled(
        picture, str(path), "line", boxes=tuple(boxes), polygons=tuple(polygons), looked_at=True, split=split
    )


def _shape(file: str, where: str, words: list[str], names: dict[int, str], width: int, height: int) -> Box | Polygon:
    def wrong(value: object, cure: str) -> DatasetError:
        return DatasetError(Complaint(file, where, value, cure))

    line = " ".join(words)
    if not words[0].isdigit():
        raise wrong(words[0], "a line begins with the number of its class, from 0: export the labels again as YOLO")
    if int(words[0]) not in names:
        known = ", ".join(f"{number} {name}" for number, name in sorted(names.items()))
        raise wrong(words[0], f"no class has this number; known are {known}: add its name, or correct the line")
    try:
        shares = [float(word) for word in words[1:]]
    except ValueError as error:
        raise wrong(line, "holds something that is no number: export the labels again") from error
    if len(shares) == 5:
        raise wrong(line, "a sixth number is a model's confidence: these are predictions. Export the labels instead")
    if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
        cure = "a box has four numbers after its class, an outline at least three pairs: complete the line or remove it"
        raise wrong(line, cure)
    if not all(math.isfinite(share) for share in shares):
        raise wrong(line, "holds a number that is not finite: draw the shape again")
    if any(share > 1 + BLEED or share < -BLEED for share in shares):
        raise wrong(line, "must be shares of the picture's size, from 0 to 1, not pixels: export the labels as YOLO")
    name = names[int(words[0])]
    if len(shares) > 4:
        return Polygon(
            name, tuple(zip((x * width for x in shares[::2]), (y * height for y in shares[1::2]), strict=True))
        )
    x, y, wide, high = shares
    if not (wide > 0 and high > 0):
        raise wrong(line, "width and height must be above 0: draw the box again, or remove the line")
    return Box(name, (x - wide / 2) * width, (y - high / 2) * height, wide * width, high * height)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cure = f"cannot be read ({error}): save it as plain text in UTF-8"
        raise DatasetError(Complaint(str(path), "file", path.name, cure)) from error
