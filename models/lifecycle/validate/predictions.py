"""What a model said about the test split, as a table that any training tool can write.

    image,graph,latency_ms,score:crack,score:hole,places
    images/1.png,int8,4.7,0.92,0.03,"[[""crack"",0.92,10,20,30,8,31.2,6.0]]"

graph: fp32, bf16 or int8; one row for each picture and graph. score:DEFECT, 0 to 1: how sure the model is that the part
has it. places (optional): [defect, confidence, x, y, width, height, length in px, width in px] for each finding.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from models.lifecycle.data.complaint import Complaint, DatasetError, raise_grave

GRAPHS = ("fp32", "bf16", "int8")
SCORE = "score:"


@dataclass(frozen=True, slots=True)
class Place:
    """One finding of the model, in pixels of the picture."""

    defect: str
    confidence: float
    x: float
    y: float
    width: float
    height: float
    length_px: float
    width_px: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """One graph's answer for one picture."""

    image: str
    graph: str
    latency_ms: float
    scores: Mapping[str, float]
    places: tuple[Place, ...] = field(default=())


def read_predictions(path: Path) -> tuple[Prediction, ...]:
    """All rows. Raises DatasetError naming row, column and cure."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cure = f"cannot be read ({error}): write it as CSV in UTF-8"
        raise DatasetError(Complaint(str(path), "file", path.name, cure)) from error
    columns = list(rows[0]) if rows else []
    missing = [column for column in ("image", "graph", "latency_ms") if column not in columns]
    if not any(column.startswith(SCORE) for column in columns if column):
        missing.append(f"{SCORE}DEFECT")
    if missing:
        cure = "is missing; a table of predictions has image, graph, latency_ms and score:DEFECT for each defect type"
        raise DatasetError(*(Complaint(str(path), "column", column, cure) for column in missing))
    found: list[Prediction] = []
    complaints: list[Complaint] = []
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(rows, 2):
        try:
            said = _prediction(str(path), number, row)
        except DatasetError as error:
            complaints += error.complaints
            continue
        if (said.image, said.graph) in seen:
            cure = f"stands twice for {said.graph}: remove one"
            complaints.append(Complaint(str(path), f"row {number}, image", said.image, cure))
        seen.add((said.image, said.graph))
        found.append(said)
    raise_grave(complaints)
    return tuple(found)


def write_predictions(path: Path, predictions: Iterable[Prediction], defects: Iterable[str]) -> None:
    """Write the table that read_predictions reads."""
    names = list(defects)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "graph", "latency_ms", *(SCORE + name for name in names), "places"])
        for said in predictions:
            places = [
                [p.defect, p.confidence, p.x, p.y, p.width, p.height, p.length_px, p.width_px] for p in said.places
            ]
            scores = [repr(float(said.scores[name])) for name in names]
            writer.writerow([said.image, said.graph, said.latency_ms, *scores, json.dumps(places, ensure_ascii=False)])


def _prediction(file: str, number: int, row: dict[str, str | None]) -> Prediction:
    def wrong(column: str, cure: str) -> DatasetError:
        return DatasetError(Complaint(file, f"row {number}, {column}", row.get(column) or "", cure))

    def figure(column: str, most: float) -> float:
        try:
            value = float(row.get(column) or "")
        except ValueError:
            value = math.nan
        if not 0 <= value <= most:
            raise wrong(column, f"must be a number from 0{f' to {most:g}' if most < math.inf else ' up'}")
        return value

    if not row["image"]:
        raise wrong("image", "is empty: name the picture as the set's manifest does")
    if row["graph"] not in GRAPHS:
        raise wrong("graph", f"must be one of {', '.join(GRAPHS)}")
    scores = {column[len(SCORE) :]: figure(column, 1.0) for column in row if column and column.startswith(SCORE)}
    try:
        places = tuple(_place(item) for item in cast(list[Any], json.loads(row.get("places") or "[]")))
    except (ValueError, TypeError) as error:
        cure = "must be JSON: [[defect, confidence, x, y, width, height, length in px, width in px], …]"
        raise wrong("places", cure) from error
    return Prediction(row["image"], row["graph"], figure("latency_ms", math.inf), scores, places)


def _place(item: Any) -> Place:
    defect, *figures = cast(list[Any], item)
    numbers = [float(value) for value in figures]
    if not isinstance(defect, str) or len(numbers) != 7 or not all(map(math.isfinite, numbers)):
        raise ValueError
    return Place(defect, *numbers)
