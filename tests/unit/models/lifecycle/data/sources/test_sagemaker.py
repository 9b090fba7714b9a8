"""SageMaker Ground Truth and Lookout for Vision."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.lifecycle.data.importing import import_into
from models.lifecycle.data.pictures import defect_mask
from models.lifecycle.data.sample import Box
from models.lifecycle.data.settle import Rules
from models.lifecycle.data.sources.sagemaker import read_sagemaker
from tests.unit.models.lifecycle.data.made import REAL, write_picture
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

FILE = "output.manifest"
BUCKET = "s3://plant-7/line-3/images"


def lines() -> list[dict[str, Any]]:
    """a: a box; b: a mask that Lookout calls an anomaly; c: two classes; d: normal; e: boxes were asked, none there."""
    classes = {"class-map": {"0": "crack", "1": "hole"}, "human-annotated": "yes"}
    size = [{"width": WIDTH, "height": HEIGHT, "depth": 3}]
    kind = "groundtruth/image-classification"
    colours = {
        "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff"},
        "1": {"class-name": "crack", "hex-color": "#23A436"},
    }
    boxes = {"type": "groundtruth/object-detection", **classes}
    return [
        {
            "source-ref": f"{BUCKET}/a.jpg",
            "box": {
                "image_size": size,
                "annotations": [{"class_id": 1, "left": 2, "top": 3, "width": 10, "height": 6}],
            },
            "box-metadata": boxes,
        },
        {
            "source-ref": f"{BUCKET}/b.jpg",
            "anomaly-label": 1,
            "anomaly-label-metadata": {"class-name": "anomaly", "type": kind},
            "mask-ref": "s3://plant-7/line-3/masks/b.png",
            "mask-ref-metadata": {"internal-color-map": colours, "type": "groundtruth/semantic-segmentation"},
        },
        {
            "source-ref": f"{BUCKET}/c.jpg",
            "many": [0, 1],
            "many-metadata": {"type": f"{kind}-multilabel", **classes},
        },
        {
            "source-ref": f"{BUCKET}/d.jpg",
            "anomaly-label": 0,
            "anomaly-label-metadata": {"class-name": "normal", "type": kind},
        },
        {"source-ref": f"{BUCKET}/e.jpg", "box": {"image_size": size, "annotations": []}, "box-metadata": boxes},
    ]


def text(content: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "export"
    for number, name in enumerate("abcde"):
        shot(root, f"images/{name}.jpg", 40 * number + 20)
    mask = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    mask[4:6, 5:10] = (0x36, 0xA4, 0x23, 255)
    write_picture(root / "masks/b.png", mask)
    written(FILE, text(lines()))(root)
    return root


def test_reads_every_kind_of_job(root: Path, tmp_path: Path) -> None:
    made = imported(root, tmp_path / "set")
    a, b, c, d, e = made.samples
    assert a.boxes == (Box("hole", 2, 3, 10, 6),)
    assert b.classes == ("crack",) and np.count_nonzero(defect_mask(made.root, b)) == 10
    assert c.classes == ("crack", "hole")
    assert d.is_good and e.is_good


def changed(change: Callable[[list[dict[str, Any]]], object]) -> Spoil:
    def spoil(root: Path) -> None:
        content = lines()
        change(content)
        written(FILE, text(content))(root)

    return spoil


def box(**fields: object) -> Spoil:
    return changed(lambda content: content[0]["box"]["annotations"][0].update(fields))


def colour(code: str) -> Spoil:
    return changed(
        lambda content: content[1]["mask-ref-metadata"]["internal-color-map"]["1"].update({"hex-color": code})
    )


CASES: list[Case] = [
    ("cut off", lambda r: written(FILE, text(lines())[:-20])(r), FILE, "is not whole JSON"),
    ("a list", written(FILE, "[1]\n"), FILE, "this is another format"),
    ("no picture", changed(lambda c: c[0].pop("source-ref")), FILE, "the address of the picture belongs here"),
    ("no label", changed(lambda c: c[0].pop("box-metadata")), FILE, "has no label"),
    ("metadata alone", changed(lambda c: c[0].pop("box")), FILE, "has metadata and no label"),
    (
        "other job",
        changed(lambda c: c[3]["anomaly-label-metadata"].update(type="groundtruth/text")),
        FILE,
        "is not read",
    ),
    ("unknown number", box(class_id=5), FILE, "complete class-map"),
    ("no class number", box(class_id=None), FILE, "no class has this number"),
    ("no width", box(width=0), FILE, "width and height above 0"),
    ("no number", box(left="2"), FILE, "in pixels belong here"),
    ("outside", box(left=25), FILE, "lies outside of the picture of 30 x 20"),
    ("picture gone", removed("images/a.jpg"), FILE, "no such picture below"),
    ("mask gone", removed("masks/b.png"), FILE, "no such picture below"),
    ("other colour", colour("#23A437"), "b.png", "a colour without a name"),
    ("no colour", colour("green"), FILE, "a hex-color like #23A436"),
    (
        "unknown class",
        changed(lambda c: c[2]["many-metadata"]["class-map"].update({"0": "fray"})),
        FILE,
        "the catalogue knows",
    ),
    ("scaled", changed(lambda c: c[0]["box"]["image_size"][0].update(width=60)), FILE, "scaled or turned"),
    ("twice", changed(lambda c: c.append(c[0])), FILE, "keep one of the two"),
    (
        "good and bad",
        changed(lambda c: c[3].update({k: v for k, v in c[2].items() if "many" in k})),
        FILE,
        "cannot be both",
    ),
    ("no manifest", removed(FILE), "export", "no .manifest file below it"),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_broken_export_is_refused_with_its_cure(root: Path, tmp_path: Path, case: Case) -> None:
    check_refused(root, tmp_path / "set", "sagemaker", case)


@pytest.mark.skipif(not (REAL / "cookies").is_dir(), reason="no real pictures at ../shared/data/cookies")
def test_real_export(tmp_path: Path) -> None:
    made = import_into(tmp_path / "set", REAL / "cookies", read_sagemaker(REAL / "cookies"), Rules()).made
    assert made.classes == ("cracked",)
    assert sum(s.is_good for s in made.samples) > 0
    assert all(s.masks for s in made.samples if not s.is_good)
