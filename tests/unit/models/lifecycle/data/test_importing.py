"""Importing makes a set, adds to it, gives it new labels; whole, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.lifecycle.data.complaint import DatasetError
from models.lifecycle.data.importing import import_into
from models.lifecycle.data.labelled_set import history, open_set, save_set
from models.lifecycle.data.parts import by_folder, by_pattern, by_table
from models.lifecycle.data.sample import Split
from models.lifecycle.data.settle import Rules
from models.lifecycle.data.sources.folders import read_folders
from models.lifecycle.data.sources.formats import FORMATS, recognise
from models.lifecycle.data.splits import divide
from tests.unit.models.lifecycle.data.made import flat, write_picture


@pytest.fixture
def shift1(tmp_path: Path) -> Path:
    """Four good parts and two cracked ones."""
    for number in range(6):
        write_picture(
            tmp_path / f"shift1/{'crack' if number > 3 else 'ok'}/part_{number}_1.png", flat(30 * number + 20)
        )
    return tmp_path / "shift1"


def test_second_import_adds_pictures_and_keeps_splits(shift1: Path, tmp_path: Path) -> None:
    first = import_into(tmp_path / "set", shift1, read_folders(shift1), Rules())
    assert (first.added, first.relabelled, first.left_out) == (6, 0, 0)
    split = save_set(first.made.root, divide(first.made.samples, seed=1), "split")
    write_picture(tmp_path / "shift2/ok/part_9_1.png", flat(240))
    second = import_into(tmp_path / "set", tmp_path / "shift2", read_folders(tmp_path / "shift2"), Rules())
    assert (second.added, second.relabelled) == (1, 0)
    assert set(split.samples) < set(second.made.samples)
    assert [change.why for change in history(tmp_path / "set")] == [
        "imported from shift1", "split", "imported from shift2",
    ]  # fmt: skip


def test_same_pictures_get_their_new_labels(shift1: Path, tmp_path: Path) -> None:
    made = import_into(tmp_path / "set", shift1, read_folders(shift1), Rules(), part_of=by_pattern(r"part_(\d+)")).made
    save_set(made.root, divide(made.samples, seed=1), "split")
    again = import_into(tmp_path / "set", shift1, read_folders(shift1), Rules(rename={"crack": "Riss"}))
    assert (again.added, again.relabelled) == (0, 6)
    assert again.made.classes == ("Riss",)
    assert {s.batch for s in again.made.samples} == set("012345")
    assert Split.NONE not in {s.split for s in again.made.samples}


def test_another_picture_of_a_known_name_is_refused(shift1: Path, tmp_path: Path) -> None:
    made = import_into(tmp_path / "set", shift1, read_folders(shift1), Rules()).made
    write_picture(shift1 / "ok/part_0_1.png", flat(99))
    write_picture(shift1 / "ok/part_7_1.png", flat(98))
    with pytest.raises(DatasetError, match="another picture of this name"):
        import_into(tmp_path / "set", shift1, read_folders(shift1), Rules())
    assert open_set(tmp_path / "set") == made
    assert not (tmp_path / "set/images/ok/part_7_1.png").exists()


def test_set_is_whole_when_copying_breaks_off(shift1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = import_into(tmp_path / "set", shift1, read_folders(shift1), Rules()).made
    write_picture(tmp_path / "shift2/ok/part_9_1.png", flat(240))

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        import_into(tmp_path / "set", tmp_path / "shift2", read_folders(tmp_path / "shift2"), Rules())
    assert open_set(tmp_path / "set") == made
    assert not list((tmp_path / "set").glob(".importing-*"))


def test_splits_of_the_tool_are_kept_on_wish_and_must_not_leak(tmp_path: Path) -> None:
    for split, level in (("train", 20), ("test", 60)):
        write_picture(tmp_path / f"export/{split}/ok/tile_1_{split}.png", flat(level))
    root = tmp_path / "export"
    free = import_into(tmp_path / "free", root, read_folders(root), Rules()).made
    assert {s.split for s in free.samples} == {Split.NONE}
    kept = import_into(tmp_path / "kept", root, read_folders(root), Rules(), keep_splits=True).made
    assert {s.split for s in kept.samples} == {Split.TRAIN, Split.TEST}
    with pytest.raises(DatasetError, match="the split leaks"):
        part_of = by_pattern(r"tile_(\d+)")
        import_into(tmp_path / "leaks", root, read_folders(root), Rules(), part_of=part_of, keep_splits=True)
    assert not list((tmp_path / "leaks").iterdir())


def test_parts_come_from_names_folders_or_a_table(tmp_path: Path) -> None:
    assert by_folder("shift1/tile_7/3.png") == "shift1/tile_7"
    assert by_pattern(r"tile_(\d+)")("shift1/tile_7/3.png") == "7"
    table = tmp_path / "parts.csv"
    table.write_text("file,batch\nshift1/a.png,p1\nb.png,p2\n", encoding="utf-8")
    part_of = by_table(table)
    assert (part_of("shift1/a.png"), part_of("shift2/b.png")) == ("p1", "p2")
    with pytest.raises(DatasetError, match="add a row with file and batch"):
        part_of("shift1/c.png")


@pytest.mark.parametrize(("pattern", "cure"), [("tile_(", "is no regular expression"), ("tile_", "one pair of round")])
def test_wrong_patterns_are_named(pattern: str, cure: str) -> None:
    with pytest.raises(DatasetError, match=cure):
        by_pattern(pattern)
    with pytest.raises(DatasetError, match="finds no part in this name"):
        by_pattern("tile_([0-9]+)")("a.png")


@pytest.mark.parametrize(
    ("content", "cure"),
    [("file,part\na,1\n", "'batch'"), ("", "'file'"), ("file,batch\na.png,1\na.png,2\n", "row 3.*remove one")],
)
def test_wrong_part_tables_are_named(tmp_path: Path, content: str, cure: str) -> None:
    (tmp_path / "parts.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=cure):
        by_table(tmp_path / "parts.csv")
    with pytest.raises(DatasetError, match="cannot be read"):
        by_table(tmp_path / "none.csv")


def test_folder_with_labels_of_two_formats_is_asked_about(tmp_path: Path) -> None:
    root = tmp_path / "export"
    write_picture(root / "images/a.png", flat(20))
    (root / "labels").mkdir()
    (root / "labels/a.txt").write_text("", encoding="utf-8")
    assert recognise(root) == "yolo"
    (root / "a.xml").write_text("<annotation/>", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"--format voc \| yolo"):
        recognise(root)
    (root / "a.xml").write_text("<annotations/>", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"--format cvat \| yolo"):
        recognise(root)
    with pytest.raises(DatasetError, match="no such folder"):
        recognise(tmp_path / "none")


def test_table_is_imported_with_parts_and_masks(tmp_path: Path) -> None:
    root = tmp_path / "export"
    for number in range(2):
        write_picture(root / f"img/{number}.png", flat(50 * number + 20))
    write_picture(root / "img/1_mask.png", flat(255))
    (root / "labels.csv").write_text(
        "file,label,batch,mask,certainty\nimg/0.png,ok,p0,,\nimg/1.png,crack,p1,img/1_mask.png,0.8\n", encoding="utf-8"
    )
    assert recognise(root) == "table"
    good, bad = import_into(tmp_path / "set", root, FORMATS["table"](root), Rules()).made.samples
    assert good.is_good and good.batch == "p0"
    assert bad.classes == ("crack",) and len(bad.masks) == 1 and bad.certainty == 0.8
