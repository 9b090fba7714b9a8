"""The manifest of a data set: one CSV row for each picture, and the version that follows from its content.

    image,sha256,width,height,split,batch,is_good,certainty,classes,boxes,polygons,masks
    tiles/4711.png,9f…,640,480,train,part_12,0,1,"[""crack""]","[[""crack"",10,20,30,8]]",[],[]

classes, boxes ([defect, x, y, width, height]), polygons ([defect, [[x, y], …]]) and masks ([defect, file, sha256]) are
JSON, so that a name may hold any sign. Coordinates are kept to a thousandth of a pixel.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, cast

from models.lifecycle.data.complaint import Complaint, DatasetError, raise_grave
from models.lifecycle.data.leakage import shared_units
from models.lifecycle.data.sample import Box, Mask, Polygon, Sample, Split

NAME = "manifest.csv"
COLUMNS = (
    "image", "sha256", "width", "height", "split", "batch", "is_good", "certainty", "classes", "boxes", "polygons",
    "masks",
)  # fmt: skip

csv.field_size_limit(1 << 24)

T = TypeVar("T")


def version_of(samples: Iterable[Sample]) -> str:
    """SHA-256 over every row, in order of image: pixels, labels, batches and splits, through their hashes."""
    return hashlib.sha256(_text(samples).encode()).hexdigest()


def write_manifest(path: Path, samples: Iterable[Sample]) -> str:
    """Replace the manifest, whole or not at all. Returns its version."""
    content = _text(samples)
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8", newline="") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return hashlib.sha256(content.encode()).hexdigest()


def read_manifest(path: Path) -> tuple[Sample, ...]:
    """All rows, in order of image. Raises DatasetError naming row (as a spreadsheet counts), column, value and cure.

    A picture that stands in two rows and a part that lies in two splits are errors too. Files are not looked at: that
    is check_files.
    """
    samples = parse_manifest(_read(path), str(path))
    raise_grave([*_stand_twice(str(path), samples), *shared_units(str(path), samples)])
    return samples


def parse_manifest(content: str, file: str) -> tuple[Sample, ...]:
    """Rows as they are, each by itself right. file: its name in complaints."""
    rows = csv.DictReader(io.StringIO(content))
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        cure = f"is missing from the first line; a manifest has {', '.join(COLUMNS)}: import the set again"
        raise DatasetError(*(Complaint(file, "column", column, cure) for column in missing))
    samples: list[Sample] = []
    complaints: list[Complaint] = []
    for number, row in enumerate(rows, 2):
        try:
            samples.append(_sample(row))
        except _Wrong as wrong:
            complaints.append(Complaint(file, f"row {number}, {wrong.column}", wrong.value, wrong.cure))
    raise_grave(complaints)
    if not samples:
        raise DatasetError(Complaint(file, "rows", 0, "the manifest is empty: import pictures into it"))
    return tuple(sorted(samples, key=lambda sample: sample.image))


def check_files(root: Path, samples: Sequence[Sample]) -> None:
    """Hold every picture and mask against its SHA-256. Raises DatasetError with all that differ."""
    complaints: list[Complaint] = []
    for sample in samples:
        for file, wanted in ((sample.image, sample.sha256), *((mask.file, mask.sha256) for mask in sample.masks)):
            try:
                found = hash_of(root / file)
            except OSError as error:
                cure = f"cannot be read ({error.strerror}): put it back, or remove its row"
                complaints.append(Complaint(file, "file", "", cure))
                continue
            if found != wanted:
                cure = f"the manifest says {wanted}: put the file back, or import it again as a new version"
                complaints.append(Complaint(file, "sha256", found, cure))
    raise_grave(complaints)


def hash_of(path: Path) -> str:
    """SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Wrong(Exception):
    def __init__(self, column: str, value: object, cure: str) -> None:
        super().__init__(column)
        self.column, self.value, self.cure = column, value, cure


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cure = f"cannot be read: {error}. Make a set with `linegate data import`"
        raise DatasetError(Complaint(str(path), "file", path.name, cure)) from error


def _text(samples: Iterable[Sample]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(sample) for sample in sorted(samples, key=lambda sample: sample.image))
    return out.getvalue()


def _row(sample: Sample) -> tuple[str, ...]:
    boxes = [[b.defect, *map(_short, (b.x, b.y, b.width, b.height))] for b in sample.boxes]
    polygons = [[p.defect, [[_short(x), _short(y)] for x, y in p.points]] for p in sample.polygons]
    masks = [[m.defect, m.file, m.sha256] for m in sample.masks]
    nested = (list(sample.classes), boxes, polygons, masks)
    return (
        sample.image, sample.sha256, str(sample.width), str(sample.height), sample.split.value, sample.batch,
        str(int(sample.is_good)), str(_short(sample.certainty)),
        *(json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in nested),
    )  # fmt: skip


def _short(number: float) -> float | int:
    rounded = round(number, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def _sample(row: dict[str, str | None]) -> Sample:
    text = {column: row[column] or "" for column in COLUMNS}
    for column in ("image", "sha256", "width", "height", "is_good", "certainty"):
        if not text[column]:
            raise _Wrong(column, "", "is empty: complete the row")
    if text["is_good"] not in ("0", "1"):
        raise _Wrong("is_good", text["is_good"], "must be 0 or 1")
    splits = [split.value for split in Split]
    if text["split"] not in splits:
        raise _Wrong("split", text["split"], f"must be one of {', '.join(splits[1:])}, or empty")
    sample = Sample(
        image=_inside("image", text["image"]),
        sha256=_digest("sha256", text["sha256"]),
        width=_size(text, "width"),
        height=_size(text, "height"),
        split=Split(text["split"]),
        batch=text["batch"],
        is_good=text["is_good"] == "1",
        certainty=_share(text["certainty"]),
        classes=tuple(sorted(_list(text, "classes", _name))),
        boxes=_list(text, "boxes", _box),
        polygons=_list(text, "polygons", _polygon),
        masks=_list(text, "masks", _mask),
    )
    if sample.is_good == bool(sample.classes):
        cure = "a good part has no defect" if sample.is_good else "a defective part has at least one class"
        raise _Wrong("classes", text["classes"], f"is_good is {text['is_good']}: {cure}")
    if len(set(sample.classes)) < len(sample.classes):
        raise _Wrong("classes", text["classes"], "names a class twice: remove one")
    for shape in sample.shapes:
        if shape.defect not in sample.classes:
            raise _Wrong("classes", text["classes"], f"a shape shows {shape.defect!r}: add it here or remove the shape")
    return sample


def _inside(column: str, path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or path != str(pure):
        raise _Wrong(column, path, "must be a plain path below the set's folder, with / between its parts")
    return path


def _digest(column: str, digest: str) -> str:
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise _Wrong(column, digest, "must be 64 hexadecimal digits, in lower case")
    return digest


def _size(text: dict[str, str], column: str) -> int:
    if not (text[column].isascii() and text[column].isdigit() and int(text[column]) > 0):
        raise _Wrong(column, text[column], "must be a whole number of pixels, at least 1")
    return int(text[column])


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise _Wrong("certainty", text, "must be a number from 0 to 1")
    return value


def _list(text: dict[str, str], column: str, read: Callable[[Any], T]) -> tuple[T, ...]:
    try:
        items = json.loads(text[column] or "[]")
    except json.JSONDecodeError as error:
        raise _Wrong(column, text[column], f"is not JSON ({error.msg}): write [] for none") from error
    if not isinstance(items, list):
        raise _Wrong(column, text[column], "must be a JSON list: write [] for none")
    try:
        return tuple(read(item) for item in cast(list[Any], items))
    except (TypeError, ValueError) as error:
        forms = {
            "classes": '"name"',
            "boxes": '["name", x, y, width, height]',
            "polygons": '["name", [[x, y], [x, y], [x, y]]]',
            "masks": '["name", "file", "sha256"]',
        }
        raise _Wrong(column, text[column], f"every item must be {forms[column]}") from error


def _name(item: Any) -> str:
    if not isinstance(item, str) or not item.strip():
        raise TypeError
    return item


def _number(item: Any) -> float:
    if isinstance(item, bool) or not isinstance(item, int | float) or not abs(item) < 1e9:
        raise TypeError
    return float(item)


def _box(item: Any) -> Box:
    defect, x, y, width, height = item
    return Box(_name(defect), _number(x), _number(y), _number(width), _number(height))


def _polygon(item: Any) -> Polygon:
    defect, points = item
    if len(points) < 3:
        raise ValueError
    return Polygon(_name(defect), tuple((_number(x), _number(y)) for x, y in points))


def _mask(item: Any) -> Mask:
    defect, file, digest = item
    return Mask(_name(defect), _inside("masks", _name(file)), _digest("masks", _name(digest)))


def _stand_twice(file: str, samples: Iterable[Sample]) -> list[Complaint]:
    seen: set[str] = set()
    twice: list[Complaint] = []
    for sample in samples:
        if sample.image in seen:
            twice.append(Complaint(file, "image", sample.image, "stands in two rows: remove one"))
        seen.add(sample.image)
    return twice
