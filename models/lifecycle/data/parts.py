"""Which part a picture shows: from a table, from its name, or from its folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from models.lifecycle.data.complaint import Complaint, DatasetError

PartOf = Callable[[str], str]
"""From a picture's path within its source to its part or batch. Raises DatasetError where it cannot tell."""


def by_folder(picture: str) -> str:
    """The folder that the picture lies in."""
    return str(PurePosixPath(picture).parent)


def by_pattern(pattern: str) -> PartOf:
    r"""What the first group of a regular expression finds in the path: `tile_(\d+)_` in `img/tile_12_3.png` is 12.

    Raises DatasetError for an expression that is none, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        cure = f"is no regular expression ({error}): correct it"
        raise DatasetError(Complaint("--part-pattern", "pattern", pattern, cure)) from error
    if expression.groups != 1:
        cure = "has no group, or several: put one pair of round brackets around what names the part"
        raise DatasetError(Complaint("--part-pattern", "pattern", pattern, cure))

    def part_of(picture: str) -> str:
        match = expression.search(picture)
        if match is None or not match[1]:
            raise DatasetError(Complaint(picture, "part", pattern, "the pattern finds no part in this name: widen it"))
        return match[1]

    return part_of


def by_table(path: Path) -> PartOf:
    """From a CSV with the columns file and batch. Raises DatasetError naming row and column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cure = f"cannot be read ({error}): save it as CSV in UTF-8"
        raise DatasetError(Complaint(str(path), "file", path.name, cure)) from error
    missing = [column for column in ("file", "batch") if not rows or column not in rows[0]]
    if missing:
        cure = "is missing: the first line names file and batch, every other line a picture and its part"
        raise DatasetError(*(Complaint(str(path), "column", column, cure) for column in missing))
    parts: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        name, batch = ((row[column] or "").strip() for column in ("file", "batch"))
        if parts.setdefault(name, batch) != batch:
            cure = f"{name} belongs to {parts[name]} in an earlier row: remove one"
            raise DatasetError(Complaint(str(path), f"row {number}, batch", batch, cure))

    def part_of(picture: str) -> str:
        found = parts.get(picture, parts.get(PurePosixPath(picture).name, ""))
        if not found:
            raise DatasetError(Complaint(str(path), "file", picture, "has no part: add a row with file and batch"))
        return found

    return part_of
