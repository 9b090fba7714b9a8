"""Masks as pictures: CVAT's colours, MVTec's folders, black and white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.lifecycle.data.complaint import DatasetError
from models.lifecycle.data.importing import import_into
from models.lifecycle.data.labelled_set import LabelledSet
from models.lifecycle.data.pictures import defect_mask
from models.lifecycle.data.sample import Split
from models.lifecycle.data.settle import Rules
from models.lifecycle.data.sources.masks import read_masks
from tests.unit.models.lifecycle.data.made import flat, write_picture
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

MAP = "labelmap.txt"
COLOURS = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:250,50,83::\nhole:36,179,83::\n"


def coloured(name: str, *marks: tuple[slice, tuple[int, int, int]], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Spoil:
    """A mask whose rows have colours (red first)."""

    def draw(root: Path) -> None:
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        for rows, (red, green, blue) in marks:
            pixels[rows, 5:10] = (blue, green, red)
        write_picture(root / name, pixels)

    return draw


def grey(name: str, *levels: int) -> Spoil:
    def draw(root: Path) -> None:
        pixels = flat(0, WIDTH, HEIGHT)
        for row, level in enumerate(levels):
            pixels[row, :5] = level
        write_picture(root / name, pixels)

    return draw


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """CVAT's Segmentation mask 1.1: a shows both defects, b a hole."""
    root = tmp_path / "export"
    for number, name in enumerate("ab"):
        shot(root, f"JPEGImages/{name}.jpg", 50 * number + 20)
    coloured("SegmentationClass/a.png", (slice(2, 6), (250, 50, 83)), (slice(10, 11), (36, 179, 83)))(root)
    coloured("SegmentationClass/b.png", (slice(0, 3), (36, 179, 83)))(root)
    written(MAP, COLOURS)(root)
    return root


def areas(made: LabelledSet) -> list[dict[str, int]]:
    return [{name: int(np.count_nonzero(defect_mask(made.root, s, name))) for name in s.classes} for s in made.samples]


def test_reads_colours(root: Path, tmp_path: Path) -> None:
    assert areas(imported(root, tmp_path / "set")) == [{"crack": 20, "hole": 5}, {"hole": 15}]


def test_reads_folders_below_ground_truth(tmp_path: Path) -> None:
    root = tmp_path / "export"
    for number, name in enumerate(("train/good/000", "test/good/000", "test/crack/000", "test/hole/000")):
        shot(root, f"{name}.png", 50 * number + 20)
    grey("ground_truth/crack/000_mask.png", 255, 255)(root)
    grey("ground_truth/hole/000_mask.png", 255)(root)
    made = imported(root, tmp_path / "set")
    assert [s.image for s in made.samples if s.is_good] == ["images/test/good/000.png", "images/train/good/000.png"]
    assert [area for area in areas(made) if area] == [{"crack": 10}, {"hole": 5}]
    assert [s.split for s in made.samples] == [Split.TEST, Split.TEST, Split.TEST, Split.TRAIN]


@pytest.mark.parametrize("mask", ["masks/a.png", "images/a_mask.png", "images/a.png"])
def test_reads_black_and_white_masks_of_one_defect(tmp_path: Path, mask: str) -> None:
    root = tmp_path / "export"
    shot(root, "images/a.jpg")
    shot(root, "images/b.jpg", 20)
    grey(mask, 1)(root)
    rules = Rules(known=("crack",), empty="good")
    made = import_into(tmp_path / "set", root, read_masks(root, "crack"), rules).made
    assert areas(made) == [{"crack": 5}, {}]


def test_half_grey_pixels_count_from_128_on(tmp_path: Path) -> None:
    root = tmp_path / "export"
    shot(root, "images/a.jpg")
    grey("masks/a.png", 255, 128, 127, 3)(root)
    made = import_into(tmp_path / "set", root, read_masks(root, "crack"), Rules()).made
    assert areas(made) == [{"crack": 10}]


def test_mask_says_not_by_itself_what_it_shows(tmp_path: Path) -> None:
    root = tmp_path / "export"
    shot(root, "images/a.jpg")
    grey("masks/a.png", 255)(root)
    with pytest.raises(DatasetError, match=r"masks/a\.png.*--mask-class"):
        import_into(tmp_path / "set", root, read_masks(root), Rules())


def by_class(*levels: int) -> Spoil:
    def spoil(root: Path) -> None:
        (root / MAP).unlink()
        shot(root, "test/crack/x.png")
        grey("ground_truth/crack/x_mask.png", *levels)(root)

    return spoil


MASK = "SegmentationClass/a.png"
CASES: list[Case] = [
    ("unknown colour", coloured(MASK, (slice(0, 2), (1, 2, 3))), "a.png", "10 pixels of a colour without a name"),
    (
        "other size",
        coloured(MASK, (slice(0, 2), (250, 50, 83)), size=(15, 10)),
        "a.png",
        "save mask and picture at one",
    ),
    ("empty mask", coloured(MASK), "a.png", "--empty good or leave-out"),
    ("empty mask of a class", by_class(), "x_mask.png", "the mask is empty although"),
    ("several values", by_class(1, 2, 3), "x_mask.png", "Put labelmap.txt beside"),
    ("picture gone", removed("JPEGImages/a.jpg"), "a.png", "no such picture below"),
    ("mask gone", removed(MASK), "a.jpg", "--empty good or leave-out"),
    ("broken mask", written(MASK, b"PNG"), "a.png", "is not a picture, or broken"),
    ("colour map line", written(MAP, "crack=250,50,83\n"), MAP, "a line is `name:red,green,blue::`"),
    ("colour out of range", written(MAP, "crack:350,50,83::\n"), MAP, "each from 0 to 255"),
    ("same colour", written(MAP, COLOURS + "fray:36,179,83::\n"), MAP, "give each its own"),
    ("unknown class", written(MAP, COLOURS.replace("hole", "fray")), "b.png", "the catalogue knows crack, hole"),
    ("no map", removed(MAP), "a.png", "Name the defect type with --mask-class"),
    (
        "16 bits",
        lambda r: write_picture(r / MASK, np.zeros((HEIGHT, WIDTH), np.uint16)),  # pyright: ignore[reportArgumentType]
        "a.png",
        "save it as 8-bit PNG",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_broken_export_is_refused_with_its_cure(root: Path, tmp_path: Path, case: Case) -> None:
    check_refused(root, tmp_path / "set", "masks", case)
