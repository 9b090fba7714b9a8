"""The manifest is proven before a model learns from it: rows, hashes, splits that share no part."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.lifecycle.data.complaint import SHOWN, Complaint, DatasetError
from models.lifecycle.data.manifest import (
    COLUMNS,
    check_files,
    parse_manifest,
    read_manifest,
    version_of,
    write_manifest,
)
from models.lifecycle.data.sample import Box, Polygon, Sample, Split
from tests.unit.models.lifecycle.data.made import bare_sample, flat, made_sample, write_picture

Row = dict[str, str]

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(lambda t: t.strip())
PIXELS = st.integers(-2_000_000, 2_000_000).map(lambda thousandths: thousandths / 1000)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Two good and two cracked parts; the last of them is in test."""
    splits = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST)
    classes: tuple[tuple[str, ...], ...] = ((), ("crack",), (), ("crack",))
    return [
        made_sample(tmp_path, f"img/{n}.png", 40 * n + 20, *classes[n], batch=f"tile_{n}", split=splits[n])
        for n in range(4)
    ]


def test_reads_back_what_was_written(tmp_path: Path, samples: list[Sample]) -> None:
    boxed = replace(samples[1], boxes=(Box("crack", 1.5, 2, 3.25, 4),), certainty=0.75)
    outlined = replace(samples[3], polygons=(Polygon("crack", ((0, 0), (5, 0), (5, 5.125))),))
    kept = (samples[0], boxed, samples[2], outlined)
    version = write_manifest(tmp_path / "manifest.csv", kept[::-1])
    assert read_manifest(tmp_path / "manifest.csv") == kept
    assert version == version_of(kept)
    check_files(tmp_path, kept)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, st.tuples(PIXELS, PIXELS, PIXELS, PIXELS)), min_size=1, max_size=3), NAMES)
def test_any_name_and_coordinate_comes_back(boxes: list[tuple[str, tuple[float, ...]]], batch: str) -> None:
    classes = tuple(sorted({name for name, _ in boxes}))
    sample = replace(bare_sample(1, *classes, batch=batch), boxes=tuple(Box(name, *place) for name, place in boxes))
    (found,) = parse_manifest(_written([sample]), "manifest.csv")
    assert found == sample
    assert version_of([found]) == version_of([sample])


def _written(samples: list[Sample]) -> str:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        write_manifest(Path(folder) / "manifest.csv", samples)
        return (Path(folder) / "manifest.csv").read_bytes().decode()


def test_version_follows_every_field() -> None:
    sample = replace(bare_sample(1, "crack", batch="a"), boxes=(Box("crack", 1, 2, 3, 4),))
    changed = [
        replace(sample, sha256="f" * 64),
        replace(sample, split=Split.TEST),
        replace(sample, batch="b"),
        replace(sample, certainty=0.5),
        replace(sample, classes=("crack", "hole")),
        replace(sample, boxes=(Box("crack", 1, 2, 3, 4.001),)),
        replace(sample, polygons=(Polygon("crack", ((0, 0), (1, 0), (1, 1))),)),
    ]
    assert len({version_of([each]) for each in (sample, *changed)}) == len(changed) + 1
    other = bare_sample(2)
    assert version_of([sample, other]) == version_of([other, sample])


def spoil(column: str, value: str, row: int = 1) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        rows[row][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "where", "cure"),
    [
        (spoil("image", ""), "row 3, image", "complete the row"),
        (spoil("image", "../elsewhere.png"), "row 3, image", "below the set's folder"),
        (spoil("image", "/abs.png"), "row 3, image", "below the set's folder"),
        (spoil("image", "img\\1.png"), "row 3, image", "with / between"),
        (spoil("image", "img/0.png"), "image", "stands in two rows"),
        (spoil("sha256", "abc"), "row 3, sha256", "64 hexadecimal digits"),
        (spoil("width", "0"), "row 3, width", "at least 1"),
        (spoil("height", "2.5"), "row 3, height", "whole number"),
        (spoil("split", "training"), "row 3, split", "must be one of train, validation, test"),
        (spoil("is_good", "maybe"), "row 3, is_good", "must be 0 or 1"),
        (spoil("is_good", "1"), "row 3, classes", "a good part has no defect"),
        (spoil("is_good", "0", row=0), "row 2, classes", "at least one class"),
        (spoil("certainty", "1.5"), "row 3, certainty", "from 0 to 1"),
        (spoil("certainty", "nan"), "row 3, certainty", "from 0 to 1"),
        (spoil("classes", "crack"), "row 3, classes", "is not JSON"),
        (spoil("classes", '["crack","crack"]'), "row 3, classes", "twice"),
        (spoil("classes", '["hole"]'), "row 3, classes", "a shape shows 'crack'"),
        (spoil("boxes", '[["crack",1,2,3]]'), "row 3, boxes", "x, y, width, height"),
        (spoil("boxes", '[["crack",1,2,3,NaN]]'), "row 3, boxes", "x, y, width, height"),
        (spoil("polygons", '[["crack",[[0,0],[1,1]]]]'), "row 3, polygons", "[x, y], [x, y], [x, y]"),
        (spoil("masks", '{"crack":"a.png"}'), "row 3, masks", "must be a JSON list"),
        (spoil("batch", "tile_0", row=3), "batch", "the split leaks"),
        (spoil("sha256", "", row=2), "row 4, sha256", "complete the row"),
    ],
)
def test_names_the_row_that_is_wrong(
    tmp_path: Path, samples: list[Sample], change: Callable[[list[Row]], None], where: str, cure: str
) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(path, samples)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list[str](COLUMNS))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(DatasetError) as caught:
        read_manifest(path)
    assert (caught.value.file, caught.value.where) == (str(path), where)
    assert cure in caught.value.cure


def test_same_bytes_in_two_splits_leak(tmp_path: Path, samples: list[Sample]) -> None:
    write_manifest(tmp_path / "manifest.csv", [*samples[:3], replace(samples[3], sha256=samples[0].sha256)])
    with pytest.raises(DatasetError, match=r"img/0\.png is in train, img/3\.png in test"):
        read_manifest(tmp_path / "manifest.csv")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    many = [Complaint(f"{n}.png", "file", "", "mend it") for n in range(SHOWN + 5)]
    error = DatasetError(many[0], *many[1:])
    assert error.file == "0.png" and len(error.complaints) == SHOWN + 5
    assert str(error).splitlines()[-1] == "and 5 more of this kind"


def test_manifest_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    with pytest.raises(DatasetError, match="cannot be read"):
        read_manifest(path)
    path.write_text("image,sha256\na.png,00\n", encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        read_manifest(path)
    assert [complaint.value for complaint in caught.value.complaints] == list(COLUMNS[2:])
    path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="manifest is empty"):
        read_manifest(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_manifest(path)


def test_changed_and_missing_files_are_named(tmp_path: Path, samples: list[Sample]) -> None:
    write_picture(tmp_path / "img/2.png", flat(7))
    write_picture(tmp_path / samples[1].masks[0].file, flat(200))
    (tmp_path / "img/0.png").unlink()
    with pytest.raises(DatasetError) as caught:
        check_files(tmp_path, samples)
    found = {(complaint.file, complaint.where) for complaint in caught.value.complaints}
    assert found == {("img/0.png", "file"), (samples[1].masks[0].file, "sha256"), ("img/2.png", "sha256")}
