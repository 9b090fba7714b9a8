"""The manifest is proven before a model learns from it: rows, hashes, splits that share no batch."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.lifecycle.dataset import (
    COLUMNS,
    DatasetError,
    Sample,
    carve_by_batch,
    check_files,
    load_pictures,
    read_manifest,
    training_hash,
)
from models.lifecycle.real_tiles import split

REAL = Path(__file__).resolve().parents[4].parent / "shared" / "data" / "magnetic_tile"

Row = dict[str, str]


def picture(path: Path, level: int) -> str:
    """Write a small PNG; returns its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = cv2.imencode(".png", np.full((20, 10), level, np.uint8))[1].tobytes()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def write(path: Path, rows: list[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        columns: list[str] = list(COLUMNS)
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Two good and two cracked tiles; the last of them is in test."""
    made: list[Row] = []
    for number, label in enumerate(("free", "crack", "free", "crack")):
        file, mask = f"img/{number}.png", f"img/{number}_mask.png"
        digest = picture(tmp_path / file, 40 * number + 20)
        picture(tmp_path / mask, 200 if label == "crack" else 0)
        made.append(
            Row(
                file=file,
                split="test" if number == 3 else "train",
                label=label,
                is_defect="1" if label == "crack" else "0",
                mask=mask,
                batch=f"tile_{number}",
                sha256=digest,
            )
        )
    return made


def test_reads_what_is_there(tmp_path: Path, rows: list[Row]) -> None:
    samples = read_manifest(write(tmp_path / "manifest.csv", rows))
    assert [s.is_defect for s in samples] == [False, True, False, True]
    check_files(tmp_path, samples)
    pictures = load_pictures(tmp_path, samples, 16)
    assert [int(p.mean()) for p in pictures.pixels] == [20, 60, 100, 140]
    assert [int(m.max()) for m in pictures.masks] == [0, 255, 0, 255]
    assert pictures.pixels[0].shape == (16, 16)


def spoil(column: str, value: str, row: int = 1) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        rows[row][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "where", "value"),
    [
        (spoil("label", ""), "row 3, label", ""),
        (spoil("batch", ""), "row 3, batch", ""),
        (spoil("is_defect", "maybe"), "row 3, is_defect", "maybe"),
        (spoil("sha256", "abc"), "row 3, sha256", "abc"),
        (spoil("file", "../elsewhere.png"), "row 3, file", "../elsewhere.png"),
        (spoil("file", "img/0.png"), "file", "img/0.png"),
        (spoil("batch", "tile_0", row=3), "batch", "tile_0"),
    ],
)
def test_names_the_row_that_is_wrong(
    tmp_path: Path, rows: list[Row], change: Callable[[list[Row]], None], where: str, value: str
) -> None:
    change(rows)
    with pytest.raises(DatasetError) as caught:
        read_manifest(write(tmp_path / "manifest.csv", rows))
    assert (caught.value.where, caught.value.value) == (where, value)


def test_same_picture_in_both_splits_leaks(tmp_path: Path, rows: list[Row]) -> None:
    rows[3]["sha256"] = rows[0]["sha256"]
    with pytest.raises(DatasetError, match="the split leaks"):
        read_manifest(write(tmp_path / "manifest.csv", rows))


def test_names_the_column_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,split\na.png,train\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="'label'"):
        read_manifest(tmp_path / "manifest.csv")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_manifest(tmp_path / "none.csv")


def test_changed_picture_is_named(tmp_path: Path, rows: list[Row]) -> None:
    samples = read_manifest(write(tmp_path / "manifest.csv", rows))
    picture(tmp_path / "img/2.png", 7)
    with pytest.raises(DatasetError, match=r"img/2\.png") as caught:
        check_files(tmp_path, samples)
    assert caught.value.where == "sha256"


def test_what_is_no_picture_is_named(tmp_path: Path, rows: list[Row]) -> None:
    samples = read_manifest(write(tmp_path / "manifest.csv", rows))
    (tmp_path / "img/1.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"img/1\.png.*not a picture"):
        load_pictures(tmp_path, samples, 16)


def test_training_hash_covers_rows_and_masks(tmp_path: Path, rows: list[Row]) -> None:
    samples = read_manifest(write(tmp_path / "manifest.csv", rows))
    before = training_hash(tmp_path, samples)
    assert training_hash(tmp_path, samples[::-1]) == before
    assert training_hash(tmp_path, (replace(samples[0], label="crack"), *samples[1:])) != before
    picture(tmp_path / "img/1_mask.png", 1)
    assert training_hash(tmp_path, samples) != before


def sample(number: int, label: str, batch: str) -> Sample:
    return Sample(f"{number}.png", "train", label, label != "free", "", batch, f"{number:064x}")


def test_carving_keeps_batches_whole_and_every_kind_on_both_sides() -> None:
    samples = [sample(n, "free", f"good{n // 3}") for n in range(60)]
    samples += [sample(100 + n, "crack", f"crack{n // 2}") for n in range(8)]
    samples += [sample(200, "fray", "only"), sample(201, "free", "only")]
    rest, carved = carve_by_batch(samples, 0.25, seed=3)
    assert not {s.batch for s in rest} & {s.batch for s in carved}
    assert {s.file for s in (*rest, *carved)} == {s.file for s in samples}
    assert len({s.batch for s in carved if s.label == "free"}) == 5
    assert len({s.batch for s in carved if s.label == "crack"}) == 1
    assert "only" in {s.batch for s in rest}
    assert carve_by_batch(samples, 0.25, seed=3) == (rest, carved)
    with pytest.raises(ValueError, match="share is 1"):
        carve_by_batch(samples, 1, seed=3)


@pytest.mark.skipif(not (REAL / "manifest.csv").is_file(), reason="no real pictures at ../shared/data/magnetic_tile")
def test_real_manifest_holds_and_no_batch_is_shared() -> None:
    samples = read_manifest(REAL / "manifest.csv")
    parts = split(samples)
    batches = [{s.batch for s in part} for part in (parts.fitted, parts.validation, parts.test)]
    assert not batches[0] & batches[1] and not batches[0] & batches[2] and not batches[1] & batches[2]
    assert sum(len(part) for part in (parts.fitted, parts.validation, parts.test)) == len(samples)
    assert {s.split for s in (*parts.fitted, *parts.validation)} == {"train"}
    check_files(REAL, samples[::40])
    tampered = replace(samples[0], sha256="0" * 64)
    with pytest.raises(DatasetError) as caught:
        check_files(REAL, [tampered])
    assert caught.value.file == samples[0].file
