"""YOLO in Ultralytics' and in Darknet's layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.lifecycle.data.sample import Box, Polygon, Split
from models.lifecycle.data.sources.labelled import Labelled
from models.lifecycle.data.sources.voc import read_voc
from models.lifecycle.data.sources.yolo import read_yolo
from tests.unit.models.lifecycle.data.made import REAL
from tests.unit.models.lifecycle.data.sources.exports import (
    Case,
    check_refused,
    imported,
    removed,
    shot,
    written,
)

A = "labels/train/a.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A box and an outline on a, nothing on b; a second picture of a's name in val."""
    root = tmp_path / "export"
    for number, name in enumerate(("train/a", "train/b", "val/a")):
        shot(root, f"images/{name}.png", 50 * number + 20)
    written("data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: crack\n  1: hole\n")(root)
    written(A, "0 0.5 0.5 0.2 0.4\n1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n")(root)
    written("labels/train/b.txt", "")(root)
    written("labels/val/a.txt", "1 0.9 0.9 0.2 0.2\n")(root)
    return root


def test_reads_boxes_outlines_and_splits(root: Path, tmp_path: Path) -> None:
    a, b, other = imported(root, tmp_path / "set").samples
    (box,) = a.boxes
    assert (box.defect, box.x, box.y, box.width, box.height) == pytest.approx(("crack", 12, 6, 6, 8))
    assert a.polygons == (Polygon("hole", ((3, 2), (15, 2), (15, 10), (3, 10))),)
    assert b.is_good and b.split is Split.TRAIN
    assert other.split is Split.VALIDATION and other.boxes[0].x == pytest.approx(24)


def test_reads_darknet_layout(tmp_path: Path) -> None:
    root = tmp_path / "export"
    shot(root, "obj_train_data/a.jpg")
    written("obj.names", "crack\nhole\n")(root)
    written("train.txt", "data/obj_train_data/a.jpg\n")(root)
    written("obj_train_data/a.txt", "1 0.5 0.5 1 1\n")(root)
    (sample,) = imported(root, tmp_path / "set").samples
    assert sample.boxes == (Box("hole", 0, 0, 30, 20),)


CASES: list[Case] = [
    ("unknown number", written(A, "7 0.5 0.5 0.2 0.2"), "a.txt", "known are 0 crack, 1 hole"),
    ("pixels", written(A, "0 15 10 6 8"), "a.txt", "from 0 to 1, not pixels"),
    ("three numbers", written(A, "0 0.5 0.5 0.2"), "a.txt", "a box has four numbers"),
    ("two corners", written(A, "0 0.1 0.1 0.5 0.5 0.4 0.3 0.2"), "a.txt", "at least three pairs"),
    ("predictions", written(A, "0 0.5 0.5 0.2 0.2 0.93"), "a.txt", "these are predictions"),
    ("name for number", written(A, "crack 0.5 0.5 0.2 0.2"), "a.txt", "begins with the number of its class"),
    ("no number", written(A, "0 0.5 0.5 0,2 0.2"), "a.txt", "no number: export the labels again"),
    ("not finite", written(A, "0 0.5 0.5 nan 0.2"), "a.txt", "not finite"),
    ("no width", written(A, "0 0.5 0.5 0 0.2"), "a.txt", "width and height must be above 0"),
    ("picture gone", removed("images/train/b.png"), "labels/train/b.txt", "no such picture below"),
    ("two may be meant", lambda r: written("labels/a.txt", "")(r), "labels/a.txt", "may mean"),
    ("no names", removed("data.yaml"), "export", "put data.yaml or classes.txt there"),
    ("broken yaml", written("data.yaml", "names: [crack, hole"), "data.yaml", "is not valid YAML"),
    ("unlabelled", removed("labels/train/b.txt"), "b.png", "--empty good or leave-out"),
    ("unknown class", written("data.yaml", "names: [scrach, hole]"), "a.txt", "the catalogue knows crack, hole"),
    ("binary label", written(A, b"\xff\xfe0"), "a.txt", "save it as plain text"),
    ("box leaves", written(A, "0 0.95 0.5 0.3 0.2"), "a.txt", "lies outside of the picture of 30 x 20"),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_broken_export_is_refused_with_its_cure(root: Path, tmp_path: Path, case: Case) -> None:
    check_refused(root, tmp_path / "set", "yolo", case)


@pytest.mark.skipif(not (REAL / "neu_det").is_dir(), reason="no real pictures at ../shared/data/neu_det")
def test_real_export_agrees_with_its_voc_twin() -> None:
    real = REAL / "neu_det"
    yolo, voc = (
        {item.picture: item for item in read(real) if isinstance(item, Labelled)} for read in (read_yolo, read_voc)
    )
    assert yolo.keys() == voc.keys() and len(yolo) == 900
    for picture, item in yolo.items():
        mine, other = (
            sorted((b.defect, *map(round, (b.x, b.y, b.width, b.height))) for b in i.boxes)
            for i in (item, voc[picture])
        )
        assert mine == other
