"""CVAT for images 1.1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.lifecycle.data.pictures import defect_mask
from models.lifecycle.data.sample import Box
from tests.unit.models.lifecycle.data.sources.exports import (
    Case,
    check_refused,
    imported,
    removed,
    replaced,
    shot,
    written,
)

FILE = "annotations.xml"
EXPORT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>3</id><labels>
    <label><name>crack</name><color>#24b353</color></label>
    <label><name>hole</name></label>
    <label><name>ok</name></label>
  </labels></task></meta>
  <image id="0" name="shift1/a.png" width="30" height="20" subset="default">
    <box label="crack" source="manual" occluded="0" xtl="2.00" ytl="3.50" xbr="12.00" ybr="9.50" z_order="0"></box>
    <polygon label="hole" source="manual" occluded="0" points="3.00,2.00;15.00,2.00;15.00,10.00" z_order="0"></polygon>
  </image>
  <image id="1" name="shift1/b.png" width="30" height="20">
    <mask label="crack" source="manual" occluded="0" rle="3, 2, 5" left="4" top="6" width="5" height="2" z_order="0"/>
    <ellipse label="hole" source="manual" occluded="0" cx="20.0" cy="10.0" rx="4.0" ry="4.0" z_order="0"/>
  </image>
  <image id="2" name="shift1/c.png" width="30" height="20">
    <box label="crack" xtl="10" ytl="8" xbr="20" ybr="10" rotation="90.0"/>
  </image>
  <image id="3" name="shift1/d.png" width="30" height="20"><tag label="ok" source="manual"></tag></image>
</annotations>
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "export"
    for number, name in enumerate("abcd"):
        shot(root, f"images/shift1/{name}.png", 50 * number + 20)
    written(FILE, EXPORT)(root)
    return root


def test_reads_every_kind_of_shape(root: Path, tmp_path: Path) -> None:
    made = imported(root, tmp_path / "set")
    a, b, c, d = made.samples
    assert a.boxes == (Box("crack", 2, 3.5, 10, 6),) and len(a.polygons[0].points) == 3
    crack = np.argwhere(defect_mask(made.root, b, "crack"))
    assert crack.tolist() == [[6, 7], [6, 8]]
    assert np.count_nonzero(defect_mask(made.root, b, "hole")) == pytest.approx(np.pi * 16, abs=3)
    turned = np.argwhere(defect_mask(made.root, c, "crack"))
    assert (np.ptp(turned[:, 0]), np.ptp(turned[:, 1])) == (9, 1), "ten high and two wide, as it was turned"
    assert d.is_good


CASES: list[Case] = [
    ("cut off", lambda r: written(FILE, EXPORT[:700])(r), FILE, "is not whole XML"),
    ("other format", written(FILE, "<annotation/>"), FILE, "export as `CVAT for images 1.1`"),
    ("video", replaced(FILE, "<image id", '<track id="0"/><image id'), FILE, "tracks belong to a video"),
    ("no picture named", written(FILE, "<annotations/>"), FILE, "names no picture"),
    ("unknown label", replaced(FILE, 'label="crack"', 'label="scrach"'), FILE, "is no label of the task"),
    ("not in the catalogue", lambda r: written(FILE, EXPORT.replace("crack", "fray"))(r), FILE, "the catalogue knows"),
    ("corners swapped", replaced(FILE, 'xbr="12.00"', 'xbr="1.00"'), FILE, "xtl must be below xbr"),
    ("outside", replaced(FILE, 'xbr="12.00"', 'xbr="42.00"'), FILE, "lies outside of the picture of 30 x 20"),
    ("no number", replaced(FILE, 'xtl="2.00"', 'xtl=""'), FILE, "must be a number of pixels"),
    ("two corners", replaced(FILE, ";15.00,10.00", ""), FILE, "at least three corners"),
    ("corner without y", replaced(FILE, "15.00,10.00", "15.00"), FILE, "at least three corners"),
    ("runs too short", replaced(FILE, "3, 2, 5", "3, 2"), FILE, "is no run lengths of a mask of 5 x 2"),
    ("empty mask", replaced(FILE, "3, 2, 5", "10"), FILE, "the mask is empty although"),
    ("mask outside", replaced(FILE, 'left="4"', 'left="28"'), FILE, "lies outside of the picture"),
    ("flat ellipse", replaced(FILE, 'rx="4.0"', 'rx="0"'), FILE, "rx and ry must be above 0"),
    ("a line", lambda r: written(FILE, EXPORT.replace("polygon", "polyline"))(r), FILE, "draw a box, polygon, ellipse"),
    ("picture gone", removed("images/shift1/a.png"), FILE, "no such picture below"),
    ("scaled", replaced(FILE, 'width="30"', 'width="60"'), FILE, "scaled or turned after labelling"),
    ("unlabelled", replaced(FILE, '<tag label="ok" source="manual"></tag>', ""), FILE, "--empty good or leave-out"),
    ("twice", replaced(FILE, "shift1/b.png", "shift1/a.png"), FILE, "stands twice"),
    ("good and bad", replaced(FILE, "<tag", '<tag label="hole"/><tag'), FILE, "it cannot be both"),
    ("no file", removed(FILE), "export", "no .xml file below it"),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_broken_export_is_refused_with_its_cure(root: Path, tmp_path: Path, case: Case) -> None:
    check_refused(root, tmp_path / "set", "cvat", case)
