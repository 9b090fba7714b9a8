"""Samples become pixels: grey squares, colour as RGB, one mask of all that says where a defect is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.lifecycle.data.complaint import DatasetError
from models.lifecycle.data.pictures import defect_mask, load_pictures, picture_facts, read_colour
from models.lifecycle.data.sample import Box, Mask, Polygon
from tests.unit.models.lifecycle.data.made import bare_sample, flat, made_sample, write_picture


def test_pictures_and_masks_are_stretched_to_one_square(tmp_path: Path) -> None:
    samples = [made_sample(tmp_path, "0.png", 20), made_sample(tmp_path, "1.png", 60, "crack")]
    pictures = load_pictures(tmp_path, samples, 16)
    assert [int(p.mean()) for p in pictures.pixels] == [20, 60]
    assert [int(m.max()) for m in pictures.masks] == [0, 255]
    assert pictures.pixels[0].shape == (16, 16)


def test_colour_is_red_first(tmp_path: Path) -> None:
    blue_first = np.zeros((4, 4, 3), np.uint8)
    blue_first[..., 2] = 200
    write_picture(tmp_path / "red.png", blue_first)
    assert read_colour(tmp_path / "red.png")[0, 0].tolist() == [200, 0, 0]


def test_mask_joins_masks_outlines_and_boxes(tmp_path: Path) -> None:
    half = flat(0)
    half[:, :5] = 130
    write_picture(tmp_path / "half.png", half)
    sample = replace(
        bare_sample(1, "crack", "hole", "stain"),
        masks=(Mask("crack", "half.png", picture_facts(tmp_path / "half.png").sha256),),
        polygons=(Polygon("hole", ((6, 0), (9, 0), (9, 3), (6, 3))),),
        boxes=(Box("hole", 0, 10, 10, 5), Box("stain", 8, 18, 9, 9)),
    )
    whole = defect_mask(tmp_path, sample)
    assert whole[:, :5].min() == 255
    assert whole[0:3, 6:9].min() == 255 and whole[10, 9] == 0, "a hole that is outlined is not its box as well"
    assert whole[18:, 8:].min() == 255
    assert np.count_nonzero(defect_mask(tmp_path, sample, "hole")) == 9


def test_outline_covers_its_area(tmp_path: Path) -> None:
    star = tuple(
        (50 + r * np.cos(a), 40 + r * np.sin(a)) for r, a in zip([30, 12] * 5, np.linspace(0, 5.6549, 10), strict=True)
    )
    after = (*star[1:], star[0])
    area = abs(sum(x * ny - nx * y for (x, y), (nx, ny) in zip(star, after, strict=True))) / 2
    sample = replace(bare_sample(1, "hole"), width=100, height=80, polygons=(Polygon("hole", star),))
    assert np.count_nonzero(defect_mask(tmp_path, sample)) == pytest.approx(area, rel=0.02)


def test_mask_of_another_size_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "m.png", flat(255, 11, 20))
    sample = replace(bare_sample(1, "crack"), masks=(Mask("crack", "m.png", "0" * 64),))
    with pytest.raises(DatasetError, match=r"m\.png: size = '11 x 20': the picture has 10 x 20"):
        defect_mask(tmp_path, sample)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    sample = made_sample(tmp_path, "1.png", 20)
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"1\.png.*not a picture"):
        load_pictures(tmp_path, [sample], 16)
    (tmp_path / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"1\.png.*put it back"):
        load_pictures(tmp_path, [sample], 16)
