"""Pascal VOC as LabelImg writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.lifecycle.data.sample import Box, Split
from tests.unit.models.lifecycle.data.sources.exports import (
    HEIGHT,
    WIDTH,
    Case,
    check_refused,
    imported,
    removed,
    replaced,
    shot,
    written,
)

OBJECT = """
	<object>
		<name>{name}</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>{box[0]}</xmin>
			<ymin>{box[1]}</ymin>
			<xmax>{box[2]}</xmax>
			<ymax>{box[3]}</ymax>
		</bndbox>
	</object>"""


def annotation(picture: str, *objects: tuple[str, tuple[int, int, int, int]]) -> str:
    shapes = "".join(OBJECT.format(name=name, box=box) for name, box in objects)
    return f"""<annotation>
	<folder>pictures</folder>
	<filename>{picture}</filename>
	<path>C:\\Users\\anna\\pictures\\{picture}</path>
	<source>
		<database>Unknown</database>
	</source>
	<size>
		<width>{WIDTH}</width>
		<height>{HEIGHT}</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>{shapes}
</annotation>
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two boxes on a, none on b, one that reaches the border on c."""
    root = tmp_path / "export"
    for number, name in enumerate(("a", "b", "c")):
        shot(root, f"JPEGImages/{name}.jpg", 50 * number + 20)
    marks = {"a": (("crack", (2, 3, 12, 9)), ("hole", (20, 10, 26, 18))), "b": (), "c": (("crack", (1, 1, 30, 20)),)}
    for name, objects in marks.items():
        written(f"Annotations/{name}.xml", annotation(f"{name}.jpg", *objects))(root)
    written("ImageSets/Main/train.txt", "a\nb\n")(root)
    written("ImageSets/Main/test.txt", "c\n")(root)
    return root


def test_reads_boxes_splits_and_good_parts(root: Path, tmp_path: Path) -> None:
    a, b, c = imported(root, tmp_path / "set").samples
    assert a.image == "images/JPEGImages/a.jpg" and a.classes == ("crack", "hole")
    assert a.boxes == (Box("crack", 2, 3, 10, 6), Box("hole", 20, 10, 6, 8))
    assert b.is_good and not c.is_good
    assert [s.split for s in (a, b, c)] == [Split.TRAIN, Split.TRAIN, Split.TEST]


def turned_box(root: Path) -> None:
    replaced("Annotations/a.xml", "<bndbox>", "<robndbox>")(root)
    replaced("Annotations/a.xml", "</bndbox>", "</robndbox>")(root)


CASES: list[Case] = [
    ("cut off", lambda r: written("Annotations/a.xml", annotation("a.jpg")[:200])(r), "a.xml", "is not whole XML"),
    ("other format", written("Annotations/a.xml", "<annotations/>"), "a.xml", "this is not Pascal VOC"),
    ("picture gone", removed("JPEGImages/a.jpg"), "a.xml", "no such picture below"),
    ("no name", replaced("Annotations/a.xml", "<name>crack</name>", "<name></name>"), "a.xml", "name the defect type"),
    ("unknown class", replaced("Annotations/a.xml", "crack", "scrach"), "a.xml", "the catalogue knows crack, hole"),
    ("turned box", turned_box, "a.xml", "draw an upright box"),
    ("corners swapped", replaced("Annotations/a.xml", "<xmax>12", "<xmax>1"), "a.xml", "xmin must be below xmax"),
    (
        "outside",
        replaced("Annotations/a.xml", "<xmax>26", "<xmax>36"),
        "a.xml",
        "lies outside of the picture of 30 x 20",
    ),
    ("no number", replaced("Annotations/a.xml", "<ymin>3", "<ymin>three"), "a.xml", "must be a number of pixels"),
    ("scaled", replaced("Annotations/a.xml", "<width>30", "<width>60"), "a.xml", "scaled or turned after labelling"),
    ("unlabelled", removed("Annotations/b.xml"), "b.jpg", "--empty good or leave-out"),
    ("twice", written("Annotations/d.xml", annotation("a.jpg")), "d.xml", "has two annotations"),
    ("entities", written("Annotations/a.xml", '<!DOCTYPE a [<!ENTITY b "b">]><annotation/>'), "a.xml", "entities"),
    ("broken picture", written("JPEGImages/b.jpg", b"GIF"), "b.jpg", "is not a picture, or broken"),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_broken_export_is_refused_with_its_cure(root: Path, tmp_path: Path, case: Case) -> None:
    check_refused(root, tmp_path / "set", "voc", case)
