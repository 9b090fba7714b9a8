"""Inspectors' judgements, to put beside the model's: image, inspector, repeat, judgement."""

from __future__ import annotations

import csv
from pathlib import Path

from models.lifecycle.data.complaint import Complaint, DatasetError, raise_grave
from models.lifecycle.validate.agreement import Judgement

GOOD, BAD = ("good", "ok", "pass", "0"), ("bad", "ng", "defect", "reject", "1")
COLUMNS = ("image", "inspector", "repeat", "judgement")


def read_judgements(path: Path, known: set[str]) -> tuple[Judgement, ...]:
    """All rows. known: pictures of the test split. Raises DatasetError naming row, column and cure."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cure = f"cannot be read ({error}): save it as CSV in UTF-8"
        raise DatasetError(Complaint(str(path), "file", path.name, cure)) from error
    missing = [column for column in COLUMNS if not rows or column not in rows[0]]
    if missing:
        cure = f"is missing: the first line names {', '.join(COLUMNS)}, every other line one look at one part"
        raise DatasetError(*(Complaint(str(path), "column", column, cure) for column in missing))
    found: list[Judgement] = []
    complaints: list[Complaint] = []
    seen: set[tuple[str, str, int]] = set()
    for number, row in enumerate(rows, 2):
        text = {column: (row[column] or "").strip() for column in COLUMNS}
        wrong = _wrong(text, known)
        if wrong is None:
            said = Judgement(text["image"], text["inspector"], int(text["repeat"]), text["judgement"].lower() in BAD)
            look = (said.image, said.judge, said.repeat)
            wrong = ("repeat", "this look stands in an earlier row: remove one") if look in seen else None
            seen.add(look)
            found.append(said)
        if wrong is not None:
            complaints.append(Complaint(str(path), f"row {number}, {wrong[0]}", text[wrong[0]], wrong[1]))
    raise_grave(complaints)
    return tuple(found)


def _wrong(text: dict[str, str], known: set[str]) -> tuple[str, str] | None:
    if text["image"] not in known:
        return "image", "is no picture of the test split: name it as the set's manifest does"
    if not text["inspector"]:
        return "inspector", "is empty: name who judged, or give a number"
    if not (text["repeat"].isascii() and text["repeat"].isdigit()):
        return "repeat", "must be a number: which look at this part it was"
    if text["judgement"].lower() not in (*GOOD, *BAD):
        return "judgement", f"must be one of {', '.join(GOOD)} or {', '.join(BAD)}"
    return None
