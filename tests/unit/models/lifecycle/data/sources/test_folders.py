"""One folder per class."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.lifecycle.data.sample import Split
from tests.unit.models.lifecycle.data.sources.exports import Case, check_refused, imported, shot, written


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "export"
    for number, name in enumerate(("good/1", "good/2", "crack/1", "hole/shift2/1")):
        shot(root, f"{name}.png", 50 * number + 20)
    written("README.txt", "who took these pictures\n")(root)
    return root


def test_reads_classes(root: Path, tmp_path: Path) -> None:
    samples = imported(root, tmp_path / "set").samples
    assert [(s.image, s.classes) for s in samples] == [
        ("images/crack/1.png", ("crack",)),
        ("images/good/1.png", ()),
        ("images/good/2.png", ()),
        ("images/hole/shift2/1.png", ("hole",)),
    ]


def test_splits_may_be_folders(root: Path, tmp_path: Path) -> None:
    for name in ("good", "crack", "hole"):
        (root / ("train" if name == "good" else "valid")).mkdir(exist_ok=True)
        shutil.move(root / name, root / ("train" if name == "good" else "valid") / name)
    samples = imported(root, tmp_path / "set").samples
    assert {(s.classes, s.split) for s in samples} == {
        ((), Split.TRAIN),
        (("crack",), Split.VALIDATION),
        (("hole",), Split.VALIDATION),
    }


CASES: list[Case] = [
    ("loose picture", lambda r: shot(r, "loose.png"), "loose.png", "move it into the folder of its class"),
    ("empty class", lambda r: (r / "fray").mkdir(), "fray", "the class folder is empty"),
    ("two spellings", lambda r: shot(r, "Crack/9.png", 7), "export", "is 'Crack' but for spaces and capitals"),
    ("space at the end", lambda r: shot(r, "hole /9.png", 7), "export", "is 'hole' but for spaces and capitals"),
    ("unknown class", lambda r: shot(r, "scrach/9.png", 7), "scrach/9.png", "the catalogue knows crack, hole"),
    ("no picture", written("crack/9.heic", b"ftypheic"), "9.heic", "is no picture that is read"),
    ("text among pictures", written("crack/9.txt", "x"), "9.txt", "is no picture that is read"),
    ("broken picture", written("crack/9.png", b"\x89PNG\r\n"), "9.png", "is not a picture, or broken"),
    ("empty picture", written("crack/9.png", b""), "9.png", "is not a picture, or broken"),
    (
        "one picture, two classes",
        lambda r: shutil.copy(r / "crack/1.png", r / "good/9.png"),
        "images/good/9.png",
        "decide which label is right",
    ),
    (
        "nothing",
        lambda r: [shutil.rmtree(r / name) for name in ("good", "crack", "hole")],
        "export",
        "no picture below",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_broken_export_is_refused_with_its_cure(root: Path, tmp_path: Path, case: Case) -> None:
    check_refused(root, tmp_path / "set", "folders", case)
