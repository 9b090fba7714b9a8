"""COCO as CVAT and Geti write it: boxes, outlines, run lengths, whole-picture classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.lifecycle.data.pictures import defect_mask
from models.lifecycle.data.sample import Box, Polygon, Split
from models.lifecycle.data.sources.coco import read_coco
from models.lifecycle.data.sources.labelled import Labelled
from models.lifecycle.data.sources.run_lengths import drawn, unpacked
from tests.unit.models.lifecycle.data.made import REAL
from tests.unit.models.lifecycle.data.sources.exports import (
    HEIGHT,
    WIDTH,
    Case,
    Spoil,
    check_refused,
    imported,
    removed,
    shot,
    written,
)

FILE = "annotations/instances_train.json"


def export() -> dict[str, Any]:
    """a: a box and an outline; b: a mask as run lengths; c: a class of the whole picture; d: good."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5:9, 10:20] = True
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    runs = np.diff([0, *edges.tolist(), flat.size]).tolist()
    common = {"area": 1, "iscrowd": 0}
    return {
        "info": {},
        "images": [
            {"id": n, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT} for n, name in enumerate("abcd", 1)
        ],
        "categories": [{"id": 1, "name": "crack"}, {"id": 2, "name": "hole"}, {"id": 3, "name": "Good"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3.5, 10, 6], "segmentation": [], **common},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [], "segmentation": [[3, 2, 15, 2, 15, 10]], **common},
            {"id": 3, "image_id": 2, "category_id": 2, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs}},
            {"id": 4, "image_id": 3, "category_id": 1},
            {"id": 5, "image_id": 4, "category_id": 3},
        ],
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "export"
    for number, name in enumerate("abcd"):
        shot(root, f"images/{name}.png", 50 * number + 20)
    written(FILE, json.dumps(export()))(root)
    return root


def test_reads_every_kind_of_label(root: Path, tmp_path: Path) -> None:
    made = imported(root, tmp_path / "set")
    a, b, c, d = made.samples
    assert a.boxes == (Box("crack", 2, 3.5, 10, 6),)
    assert a.polygons == (Polygon("hole", ((3, 2), (15, 2), (15, 10))),)
    mask = defect_mask(made.root, b, "hole")
    assert np.count_nonzero(mask) == 40 and mask[5:9, 10:20].min() == 255
    assert c.classes == ("crack",) and not c.shapes
    assert d.is_good and d.split is Split.TRAIN


def changed(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(root: Path) -> None:
        content = export()
        change(content)
        written(FILE, json.dumps(content))(root)

    return spoil


def first(**fields: object) -> Spoil:
    return changed(lambda content: content["annotations"][0].update(fields))


def counts(value: object, size: object = (HEIGHT, WIDTH)) -> Spoil:
    return changed(lambda content: content["annotations"][2].update(segmentation={"size": size, "counts": value}))


CASES: list[Case] = [
    ("cut off", written(FILE, '{"images": ['), FILE, "is not whole JSON"),
    ("a list", written(FILE, "[]"), FILE, "this is another format"),
    ("no images", changed(lambda c: c.pop("images")), FILE, "has images, annotations and categories"),
    ("no categories", changed(lambda c: c.update(categories={})), FILE, "has images, annotations and categories"),
    ("unknown category", first(category_id=9), FILE, "known are [1, 2, 3]"),
    ("unknown image", first(image_id=9), FILE, "no picture of this file has this id"),
    ("no image", changed(lambda c: c["annotations"][0].pop("image_id")), FILE, "is missing: export the labels again"),
    ("three numbers", first(bbox=[1, 2, 3]), FILE, "must be [x, y, width, height]"),
    ("negative size", first(bbox=[1, 2, -3, 4]), FILE, "width and height above 0"),
    ("not a number", first(bbox=[1, 2, float("nan"), 4]), FILE, "must be [x, y, width, height]"),
    ("outside", first(bbox=[25, 2, 30, 4]), FILE, "lies outside of the picture of 30 x 20"),
    ("two corners", first(segmentation=[[1, 1, 5, 5]]), FILE, "at least three corners"),
    ("no area", first(segmentation=[[1, 1, 5, 5, 9, 9]]), FILE, "has no area"),
    ("runs too short", counts([5, 5]), FILE, "10 pixels in the runs, 30 x 20 in the picture"),
    ("empty mask", counts([HEIGHT * WIDTH]), FILE, "the mask is empty although"),
    ("mask of another size", counts([1], (10, 10)), FILE, "so [20, 30] belongs here"),
    ("packed text cut off", counts("0P"), FILE, "the text ends within a run"),
    ("same id", changed(lambda c: c["images"][1].update(id=1)), FILE, "stands for two"),
    ("picture gone", removed("images/a.png"), FILE, "no such picture below"),
    ("scaled", changed(lambda c: c["images"][0].update(width=60)), FILE, "scaled or turned after labelling"),
    ("unlabelled", changed(lambda c: c["annotations"].pop()), FILE, "--empty good or leave-out"),
    ("good and bad", first(image_id=4), FILE, "it cannot be both"),
    ("labelled twice", written("annotations/other.json", json.dumps(export())), "other.json", "keep one of the two"),
    ("no file", removed(FILE), "export", "no .json file below it"),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_broken_export_is_refused_with_its_cure(root: Path, tmp_path: Path, case: Case) -> None:
    check_refused(root, tmp_path / "set", "coco", case)


def test_unlabelled_pictures_may_be_good_or_left_out(root: Path, tmp_path: Path) -> None:
    changed(lambda content: content["annotations"].pop())(root)
    assert imported(root, tmp_path / "good", empty="good").samples[-1].is_good
    assert len(imported(root, tmp_path / "less", empty="leave-out").samples) == 3


def packed(runs: list[int]) -> str:
    """COCO's compressed text, from its description."""
    text = ""
    for index, run in enumerate(runs):
        value, more = run - runs[index - 2] if index > 2 else run, True
        while more:
            low = value & 0x1F
            value >>= 5
            more = value != (-1 if low & 0x10 else 0)
            text += chr((low | 0x20 if more else low) + 48)
    return text


@settings(deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=12))
def test_packed_runs_unpack(runs: list[int]) -> None:
    assert unpacked(packed(runs)) == runs


def test_runs_are_drawn_down_or_along() -> None:
    assert drawn([1, 2, 3], 3, 2, by_column=True).tolist() == [[False, True, False], [True, False, False]]
    assert drawn([1, 2, 3], 3, 2, by_column=False).tolist() == [[False, True, True], [False, False, False]]
    with pytest.raises(ValueError, match="5 pixels"):
        drawn([1, 4], 3, 2, by_column=True)


@pytest.mark.skipif(not (REAL / "deeppcb").is_dir(), reason="no real pictures at ../shared/data/deeppcb")
def test_real_export() -> None:
    found = list(read_coco(REAL / "deeppcb"))
    labelled = [item for item in found if isinstance(item, Labelled)]
    assert len(labelled) == len(found) == 253
    assert {box.defect for item in labelled for box in item.boxes} == {
        "copper", "mousebite", "open", "pin-hole", "short", "spur",
    }  # fmt: skip
    assert {item.split for item in labelled} == {Split.TRAIN, Split.TEST}
