"""Labels in a CSV of one's own: a row for each picture, with its class, its part and, where there is one, its mask.

Columns: file, label (several classes: `crack;hole`). Optional: is_defect (0 or 1; without it the label decides), batch,
split (train, validation, test), mask, sha256, certainty or defect_probability (0 to 1). Other columns are left alone.
Paths are relative to the table's folder.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from pathlib import Path

from models.lifecycle.data.complaint import Complaint, DatasetError, raise_grave
from models.lifecycle.data.leakage import shared_units
from models.lifecycle.data.manifest import hash_of
from models.lifecycle.data.pictures import picture_facts, read_grey
from models.lifecycle.data.sample import MASK_FROM, Mask, Sample, Split
from models.lifecycle.data.sources.labelled import Drawing, Labelled, Reading

GOOD_NAMES = ("free", "good", "no_defect", "normal", "ok")

Row = dict[str, str]


def read_table(
    path: Path, *, good_names: Collection[str] = GOOD_NAMES, rename: Mapping[str, str] | None = None
) -> tuple[Sample, ...]:
    """Every row as a sample, its files hashed and looked at. Raises DatasetError with everything that is wrong.

    good_names: labels of good parts. rename: from the table's labels to the catalogue's defect types.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            columns = list(lines.fieldnames or ())
            rows: list[Row] = [{key: (value or "").strip() for key, value in line.items() if key} for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cure = f"cannot be read ({error}): save it as CSV in UTF-8"
        raise DatasetError(Complaint(str(path), "file", path.name, cure)) from error
    missing = [column for column in ("file", "label") if column not in columns]
    if missing:
        cure = "is missing from the first line: name the columns file and label"
        raise DatasetError(*(Complaint(str(path), "column", column, cure) for column in missing))
    if not rows:
        raise DatasetError(Complaint(str(path), "rows", 0, "the table is empty: add a row for each picture"))
    samples: list[Sample] = []
    complaints: list[Complaint] = []
    first_row: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        try:
            samples.append(_sample(path, number, row, good_names, rename or {}))
        except DatasetError as error:
            complaints += error.complaints
            continue
        first = first_row.setdefault(row["file"], number)
        if first != number:
            cure = f"stands in row {first} already: remove one"
            complaints.append(Complaint(str(path), f"row {number}, file", row["file"], cure))
    raise_grave([*complaints, *shared_units(str(path), samples)])
    return tuple(sorted(samples, key=lambda sample: sample.image))


def _sample(path: Path, number: int, row: Row, good_names: Collection[str], rename: Mapping[str, str]) -> Sample:
    def wrong(column: str, cure: str) -> DatasetError:
        return DatasetError(Complaint(str(path), f"row {number}, {column}", row.get(column, ""), cure))

    for column in ("file", "label"):
        if not row[column]:
            raise wrong(column, "is empty: complete the row")
    for column in ("file", "mask"):
        if Path(row.get(column, "")).is_absolute() or ".." in Path(row.get(column, "")).parts:
            raise wrong(column, "leads out of the table's folder: copy the file below it")
    if row.get("is_defect", "") not in ("", "0", "1"):
        raise wrong("is_defect", "must be 0 or 1, or empty where the label decides")
    splits = [split.value for split in Split]
    if row.get("split", "") not in splits:
        raise wrong("split", f"must be one of {', '.join(splits[1:])}, or empty")
    names = [name.strip() for name in row["label"].split(";") if name.strip()]
    good = all(name.lower() in good_names for name in names) if not row.get("is_defect") else row["is_defect"] == "0"
    classes = () if good else tuple(sorted({rename.get(name, name) for name in names}))
    facts = picture_facts(path.parent / row["file"])
    if row.get("sha256") and row["sha256"] != facts.sha256:
        raise wrong("sha256", f"{row['file']} has {facts.sha256}: copy the picture again, or correct the row")
    return Sample(
        image=Path(row["file"]).as_posix(),
        sha256=facts.sha256,
        width=facts.width,
        height=facts.height,
        batch=row.get("batch", ""),
        is_good=good,
        classes=classes,
        masks=() if good or not row.get("mask") else (_mask(path, number, row, classes),),
        split=Split(row.get("split", "")),
        certainty=_certainty(path, number, row),
    )


def _mask(path: Path, number: int, row: Row, classes: tuple[str, ...]) -> Mask:
    if len(classes) != 1:
        cure = f"one mask cannot show {len(classes)} classes: import masks with `--format masks`, one file per class"
        raise DatasetError(Complaint(str(path), f"row {number}, mask", row["mask"], cure))
    try:
        return Mask(classes[0], Path(row["mask"]).as_posix(), hash_of(path.parent / row["mask"]))
    except OSError as error:
        cure = f"cannot be read ({error.strerror}): put it back, or empty the cell"
        raise DatasetError(Complaint(str(path), f"row {number}, mask", row["mask"], cure)) from error


def _certainty(path: Path, number: int, row: Row) -> float:
    column = "certainty" if row.get("certainty") else "defect_probability"
    if not row.get(column):
        return 1.0
    try:
        value = float(row[column])
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        cure = "must be a number from 0 to 1"
        raise DatasetError(Complaint(str(path), f"row {number}, {column}", row[column], cure))
    return value if column == "certainty" else max(value, 1 - value)


def read_table_folder(root: Path) -> Reading:
    """The tables below a folder, as labels to import."""
    for path in tables(root):
        try:
            samples = read_table(path)
        except DatasetError as error:
            yield from error.complaints
            continue
        for sample in samples:
            try:
                drawings = tuple(
                    Drawing(mask.defect, read_grey(path.parent / mask.file) >= MASK_FROM) for mask in sample.masks
                )
            except DatasetError as error:
                yield from error.complaints
                continue
            yield Labelled(
                path.parent / sample.image, str(path), sample.image, sample.classes, drawings=drawings, looked_at=True,
                split=sample.split, batch=sample.batch, certainty=sample.certainty,
            )  # fmt: skip


def tables(root: Path) -> tuple[Path, ...]:
    """CSV files in the folder whose first line names file and label."""
    found: list[Path] = []
    for path in sorted(root.glob("*.csv")):
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            columns = [column.strip() for column in file.readline().split(",")]
        if "file" in columns and "label" in columns:
            found.append(path)
    return tuple(found)
