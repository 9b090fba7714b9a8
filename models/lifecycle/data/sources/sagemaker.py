"""SageMaker Ground Truth and Lookout for Vision: a manifest of JSON lines, pictures and masks by their S3 address."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sample import Box, Split
from models.lifecycle.data.sources.coloured import Colour, coloured
from models.lifecycle.data.sources.json_file import entry, numbers, parse_object
from models.lifecycle.data.sources.labelled import Drawing, Labelled, Reading, split_named
from models.lifecycle.data.sources.pictures_below import PicturesBelow

Object = dict[str, Any]
SUFFIXES = (".manifest", ".jsonl")
GENERIC = ("anomalous", "anomaly", "bad", "defect", "defective")
"""Say only that something is wrong; dropped where a mask or box says what."""

AGAIN = "export the labelling job's output manifest again"


@dataclass(slots=True)
class _Found:
    classes: list[str] = field(default_factory=list[str])
    boxes: list[Box] = field(default_factory=list[Box])
    drawings: list[Drawing] = field(default_factory=list[Drawing])
    stated: tuple[int, int] | None = None


def read_sagemaker(root: Path) -> Reading:
    """Every line of every manifest below the folder."""
    files = sorted(Path(f) / name for f, _, names in os.walk(root) for name in names if name.endswith(SUFFIXES))
    if not files:
        yield Complaint(str(root), "manifest", "", "no .manifest file below it: put the labelling job's output there")
    pictures = PicturesBelow(root)
    first: dict[Path, str] = {}
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            yield Complaint(str(path), "file", path.name, f"cannot be read ({error}): download it again")
            continue
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found = _labelled(str(path), number, line, pictures, split_named(path.stem.split("_")[0]))
            except DatasetError as error:
                yield from error.complaints
                continue
            place = f"{path}, line {number}"
            if first.setdefault(found.picture, place) != place:
                cure = f"is labelled in {first[found.picture]} too: keep one of the two"
                yield Complaint(str(path), f"line {number}, source-ref", found.picture.name, cure)
                continue
            yield found


def _labelled(file: str, number: int, text: str, pictures: PicturesBelow, split: Split) -> Labelled:
    line = parse_object(text, file, number)
    where = f"line {number}, "
    source = entry(line, "source-ref", str, file, where, "the address of the picture belongs here")
    picture = pictures.find(source, file, f"{where}source-ref")
    found = _Found()
    tasks = [key.removesuffix("-metadata") for key in line if key.endswith("-metadata")]
    if not tasks:
        raise DatasetError(Complaint(file, f"line {number}", text[:40], f"has no label: {AGAIN}"))
    complaints: list[Complaint] = []
    for task in tasks:
        about = entry(line, f"{task}-metadata", dict, file, where, AGAIN)
        try:
            _read_task(file, f"{where}{task}", line, task, cast(Object, about), pictures, found)
        except DatasetError as error:
            complaints += error.complaints
    if complaints:
        raise DatasetError(*complaints)
    # A picture-wide "anomaly" beside a mask of a crack is a crack.
    named = {shape.defect for shape in (*found.boxes, *found.drawings)}
    classes = tuple(name for name in found.classes if not (named and name.lower() in GENERIC))
    return Labelled(
        picture, file, f"line {number}", classes, tuple(found.boxes), (), tuple(found.drawings),
        looked_at=True, stated=found.stated, split=split,
    )  # fmt: skip


def _read_task(
    file: str, where: str, line: Object, task: str, about: Object, pictures: PicturesBelow, found: _Found
) -> None:
    kind = str(about.get("type", "")).removeprefix("groundtruth/")
    if task not in line:
        raise DatasetError(Complaint(file, where, "", f"has metadata and no label: {AGAIN}"))
    match kind:
        case "image-classification":
            found.classes.append(entry(about, "class-name", str, file, f"{where}, ", "name the class"))
        case "image-classification-multilabel":
            names = cast(Object, entry(about, "class-map", dict, file, f"{where}, ", AGAIN))
            cure = f"a list of class numbers belongs here: {AGAIN}"
            for number in cast(list[Any], entry(line, task, list, file, "", cure)):
                found.classes.append(_class(names, number, file, where))
        case "object-detection":
            _read_boxes(file, where, cast(Object, entry(line, task, dict, file, "", AGAIN)), about, found)
        case "semantic-segmentation":
            reference = entry(line, task, str, file, "", "the address of the mask belongs here")
            found.drawings += _mask(file, where, reference, about, pictures)
        case _:
            cure = "is not read; image-classification (also multilabel), object-detection and semantic-segmentation are"
            raise DatasetError(Complaint(file, f"{where}-metadata, type", about.get("type"), cure))


def _read_boxes(file: str, where: str, label: Object, about: Object, found: _Found) -> None:
    names = cast(Object, entry(about, "class-map", dict, file, f"{where}, ", AGAIN))
    sizes = cast(list[Any], label.get("image_size") or [])
    if sizes and isinstance(sizes[0], dict):
        size = cast(Object, sizes[0])
        found.stated = (int(size.get("width", 0)), int(size.get("height", 0)))
    items = cast(list[Any], entry(label, "annotations", list, file, f"{where}, ", AGAIN))
    complaints: list[Complaint] = []
    cure = "left, top, width and height in pixels belong here, width and height above 0: draw the box again"
    for count, item in enumerate(items):
        place = f"{where}, annotations[{count}]"
        fields = cast(Object, item) if isinstance(item, dict) else {}
        try:
            name = _class(names, fields.get("class_id"), file, place)
            sides = [fields.get(key) for key in ("left", "top", "width", "height")]
            left, top, width, height = numbers(sides, 4, file, place, cure)
            if not (width > 0 and height > 0):
                raise DatasetError(Complaint(file, place, sides, cure))
            found.boxes.append(Box(name, left, top, width, height))
        except DatasetError as error:
            complaints += error.complaints
    if complaints:
        raise DatasetError(*complaints)


def _class(names: Object, number: Any, file: str, where: str) -> str:
    name = names.get(str(number))
    if not isinstance(name, str):
        cure = f"no class has this number; known are {names}: correct it, or complete class-map"
        raise DatasetError(Complaint(file, f"{where}, class_id", number, cure))
    return name


def _mask(file: str, where: str, reference: str, about: Object, pictures: PicturesBelow) -> tuple[Drawing, ...]:
    entries = cast(
        Object, entry(about, "internal-color-map", dict, file, f"{where}, ", "colours of the classes: " + AGAIN)
    )
    colours: dict[Colour, str] = {}
    for key, value in entries.items():
        about_colour = cast(Object, value) if isinstance(value, dict) else {}
        code = str(about_colour.get("hex-color", ""))
        try:
            colours[_colour(code)] = str(about_colour["class-name"])
        except (KeyError, ValueError) as error:
            cure = f"a class-name and a hex-color like #23A436 belong here: {AGAIN}"
            raise DatasetError(Complaint(file, f"{where}, internal-color-map, {key}", value, cure)) from error
    if all(name.lower() == "background" for name in colours.values()):
        return ()
    return coloured(pictures.find(reference, file, where), colours)


def _colour(code: str) -> Colour:
    if len(code) != 7 or code[0] != "#":
        raise ValueError(code)
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)
