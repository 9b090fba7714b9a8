"""A table of one's own becomes samples, or says which row is wrong."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.lifecycle.data.complaint import DatasetError
from models.lifecycle.data.leakage import shared_units
from models.lifecycle.data.pictures import picture_facts
from models.lifecycle.data.sample import Split
from models.lifecycle.data.sources.table import read_table
from models.lifecycle.real_tiles import split
from tests.unit.models.lifecycle.data.made import REAL, flat, write_picture

Row = dict[str, str]


def write(path: Path, rows: list[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Two good and two cracked tiles; the last of them is in test."""
    made: list[Row] = []
    for number, label in enumerate(("free", "crack", "free", "crack")):
        file, mask = f"img/{number}.png", f"img/{number}_mask.png"
        write_picture(tmp_path / file, flat(40 * number + 20))
        write_picture(tmp_path / mask, flat(200 if label == "crack" else 0))
        made.append(
            Row(
                file=file,
                split="test" if number == 3 else "train",
                label=label,
                is_defect="1" if label == "crack" else "0",
                mask=mask,
                batch=f"tile_{number}",
                sha256=picture_facts(tmp_path / file).sha256,
                defect_probability="0.75" if number == 3 else "0",
            )
        )
    return made


def test_reads_what_is_there(tmp_path: Path, rows: list[Row]) -> None:
    samples = read_table(write(tmp_path / "table.csv", rows), rename={"crack": "Riss"})
    assert [s.is_good for s in samples] == [True, False, True, False]
    assert [s.classes for s in samples] == [(), ("Riss",), (), ("Riss",)]
    assert [len(s.masks) for s in samples] == [0, 1, 0, 1]
    assert [s.certainty for s in samples] == [1, 1, 1, 0.75]
    assert samples[3].split is Split.TEST and samples[3].batch == "tile_3"
    assert (samples[0].width, samples[0].height) == (10, 20)


def test_two_columns_are_enough(tmp_path: Path, rows: list[Row]) -> None:
    short = [{"file": row["file"], "label": row["label"]} for row in rows]
    short[1]["label"] = "hole; crack"
    samples = read_table(write(tmp_path / "table.csv", short))
    assert [s.classes for s in samples] == [(), ("crack", "hole"), (), ("crack",)]
    assert {s.split for s in samples} == {Split.NONE} and {s.batch for s in samples} == {""}


def spoil(column: str, value: str, row: int = 1) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        rows[row][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "where", "cure"),
    [
        (spoil("label", ""), "row 3, label", "complete the row"),
        (spoil("file", ""), "row 3, file", "complete the row"),
        (spoil("is_defect", "maybe"), "row 3, is_defect", "must be 0 or 1"),
        (spoil("split", "val"), "row 3, split", "must be one of"),
        (spoil("sha256", "abc"), "row 3, sha256", "copy the picture again"),
        (spoil("file", "../elsewhere.png"), "row 3, file", "copy the file below it"),
        (spoil("mask", "/mask.png"), "row 3, mask", "copy the file below it"),
        (spoil("mask", "none.png"), "row 3, mask", "put it back"),
        (spoil("label", "crack;hole"), "row 3, mask", "one mask cannot show 2 classes"),
        (spoil("defect_probability", "often"), "row 3, defect_probability", "from 0 to 1"),
        (spoil("batch", "tile_0", row=3), "batch", "the split leaks"),
    ],
)
def test_names_the_row_that_is_wrong(
    tmp_path: Path, rows: list[Row], change: Callable[[list[Row]], None], where: str, cure: str
) -> None:
    change(rows)
    with pytest.raises(DatasetError) as caught:
        read_table(write(tmp_path / "table.csv", rows))
    assert (caught.value.file, caught.value.where) == (str(tmp_path / "table.csv"), where)
    assert cure in caught.value.cure


def test_same_picture_in_both_splits_leaks(tmp_path: Path, rows: list[Row]) -> None:
    write_picture(tmp_path / "img/3.png", flat(20))
    rows[3]["sha256"] = rows[0]["sha256"]
    with pytest.raises(DatasetError, match="the split leaks"):
        read_table(write(tmp_path / "table.csv", rows))


def test_what_is_no_table_is_named(tmp_path: Path, rows: list[Row]) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "table.csv").write_text("file,split\na.png,train\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="'label'"):
        read_table(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_text("file,label\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="table is empty"):
        read_table(tmp_path / "table.csv")
    with pytest.raises(DatasetError, match="already: remove one"):
        read_table(write(tmp_path / "table.csv", [*rows, rows[0]]))


def test_what_is_no_picture_is_named(tmp_path: Path, rows: list[Row]) -> None:
    (tmp_path / "img/1.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"img/1\.png.*not a picture"):
        read_table(write(tmp_path / "table.csv", rows))


@pytest.mark.skipif(not (REAL / "magnetic_tile").is_dir(), reason="no real pictures at ../shared/data/magnetic_tile")
def test_real_table_holds_and_no_part_is_shared() -> None:
    samples = read_table(REAL / "magnetic_tile" / "manifest.csv")
    assert len(samples) == 609 and sum(s.is_good for s in samples) == 421
    first = next(s for s in samples if s.split is Split.TEST and sum(o.batch == s.batch for o in samples) > 1)
    torn = [replace(s, split=Split.TRAIN) if s is first else s for s in samples]
    (leak,) = shared_units("manifest.csv", torn)
    assert leak.grave and leak.value == first.batch and "the split leaks" in leak.cure
    parts = split(samples)
    batches = [{s.batch for s in part} for part in (parts.fitted, parts.validation, parts.test)]
    assert not batches[0] & batches[1] and not batches[0] & batches[2] and not batches[1] & batches[2]
    assert sum(len(part) for part in (parts.fitted, parts.validation, parts.test)) == len(samples)
