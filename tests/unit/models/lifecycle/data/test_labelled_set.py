"""A set has a version, a history, and a test split whose every use is counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.lifecycle.data import seal
from models.lifecycle.data.complaint import DatasetError
from models.lifecycle.data.labelled_set import HISTORY, LabelledSet, history, open_set, save_set, version_at
from models.lifecycle.data.sample import Split
from tests.unit.models.lifecycle.data.made import flat, made_sample, write_picture


@pytest.fixture
def tiles(tmp_path: Path) -> LabelledSet:
    train = made_sample(tmp_path, "images/0.png", 20, split=Split.TRAIN)
    validation = made_sample(tmp_path, "images/1.png", 60, "crack", split=Split.VALIDATION)
    test = made_sample(tmp_path, "images/2.png", 100, "crack", split=Split.TEST)
    return save_set(tmp_path, [test, validation, train], "imported")


def test_opens_what_was_saved(tiles: LabelledSet) -> None:
    assert open_set(tiles.root) == tiles
    assert [s.image for s in (*tiles.train, *tiles.validation)] == ["images/0.png", "images/1.png"]
    assert tiles.classes == ("crack",)


def test_every_version_stays_readable(tiles: LabelledSet) -> None:
    changed = save_set(tiles.root, [replace(s, batch=s.image) for s in tiles.samples], "part ids added")
    again = save_set(tiles.root, changed.samples, "nothing changed")
    assert again == changed
    past = history(tiles.root)
    assert [(c.version, c.parent, c.why, c.pictures, c.good) for c in past] == [
        (tiles.version, "", "imported", 3, 1),
        (changed.version, tiles.version, "part ids added", 3, 1),
    ]
    assert version_at(tiles.root, tiles.version[:12]) == tiles.samples
    with pytest.raises(DatasetError, match=f"known are {tiles.version[:12]}, {changed.version[:12]}"):
        version_at(tiles.root, "0000")
    with pytest.raises(DatasetError, match="is no version"):
        version_at(tiles.root, "../manifest")


def test_changed_file_is_refused(tiles: LabelledSet) -> None:
    write_picture(tiles.root / "images/1.png", flat(61))
    with pytest.raises(DatasetError, match=r"images/1\.png: sha256"):
        open_set(tiles.root)
    assert open_set(tiles.root, prove=False) == tiles


def test_set_that_leaks_is_not_saved(tiles: LabelledSet) -> None:
    with pytest.raises(DatasetError, match="the split leaks"):
        save_set(tiles.root, [replace(s, batch="one") for s in tiles.samples], "wrong part ids")
    assert open_set(tiles.root) == tiles and len(history(tiles.root)) == 1


def test_broken_history_is_named(tiles: LabelledSet) -> None:
    (tiles.root / HISTORY).write_text('{"version": 1}\n', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"line 1.*not a line of the history"):
        history(tiles.root)


def test_uses_of_the_test_split_are_counted_before_it_is_given(tiles: LabelledSet) -> None:
    assert tiles.test_uses() == ()
    assert [s.image for s in tiles.open_test("first report")] == ["images/2.png"]
    tiles.open_test("second report")
    found = open_set(tiles.root).test_uses()
    assert [(use.purpose, use.version) for use in found] == [
        ("first report", tiles.test_version),
        ("second report", tiles.test_version),
    ]
    with pytest.raises(ValueError, match="what the test split is looked at for"):
        tiles.open_test("  ")
    assert len(tiles.test_uses()) == 2


def test_test_version_follows_the_test_split_alone(tiles: LabelledSet) -> None:
    moved = replace(tiles, samples=(replace(tiles.samples[0], certainty=0.5), *tiles.samples[1:]))
    assert moved.test_version == tiles.test_version
    relabelled = replace(tiles, samples=(*tiles.samples[:2], replace(tiles.samples[2], certainty=0.5)))
    assert relabelled.test_version != tiles.test_version


@pytest.mark.parametrize("lines", [[0, 2], [1, 2], [0, 1, 1, 2]])
def test_uses_that_were_taken_out_or_doubled_are_noticed(tiles: LabelledSet, lines: list[int]) -> None:
    for purpose in ("one", "two", "three"):
        tiles.open_test(purpose)
    path = tiles.root / seal.NAME
    written = path.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(written[n] + "\n" for n in lines), encoding="utf-8")
    with pytest.raises(DatasetError, match="was changed after it was written"):
        tiles.test_uses()


def test_use_that_was_reworded_is_noticed(tiles: LabelledSet) -> None:
    tiles.open_test("one")
    tiles.open_test("two")
    path = tiles.root / seal.NAME
    first, second = path.read_text(encoding="utf-8").splitlines()
    path.write_text(f"{json.dumps(json.loads(first) | {'purpose': 'none'})}\n{second}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 2"):
        tiles.open_test("three")


def test_use_that_cannot_be_written_keeps_the_seal(tiles: LabelledSet) -> None:
    (tiles.root / seal.NAME).mkdir()
    with pytest.raises(DatasetError, match="cannot be read"):
        tiles.open_test("one")
