"""What is wrong with a set as a whole is told, with file and cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalogue import Catalogue, DefectType, SeverityLimit
from models.lifecycle.data.checks import check_counts, check_labels
from models.lifecycle.data.complaint import Complaint
from models.lifecycle.data.duplicates import same_bytes
from models.lifecycle.data.sample import Box, Polygon, Sample, Split
from models.lifecycle.data.sizes import borderline, check_borderline, measure
from tests.unit.models.lifecycle.data.made import bare_sample, flat, made_sample, write_picture


def catalogue(*names: str, above: float = 0.0) -> Catalogue:
    limits = (SeverityLimit(severity="major", above=above),)
    defects = tuple(DefectType(name=n, code=c, measure="length", severities=limits) for c, n in enumerate(names, 1))
    return Catalogue(schema=1, product="tile", defects=defects)


def told(complaints: list[Complaint]) -> list[tuple[str, object]]:
    return [(complaint.where, complaint.value) for complaint in complaints]


def test_full_set_has_nothing_to_tell() -> None:
    samples = [bare_sample(n, batch=f"p{n}") for n in range(600)]
    samples += [bare_sample(1000 + n, "crack", batch=f"c{n}") for n in range(500)]
    shared = [Split.TRAIN, Split.VALIDATION, Split.TEST]
    samples = [replace(s, split=shared[n % 3]) for n, s in enumerate(samples)]
    assert check_counts("tiles", samples, catalogue("crack")) == []


def test_too_few_pictures_are_counted() -> None:
    samples = [bare_sample(n, batch=f"p{n}") for n in range(600)]
    samples += [bare_sample(1000 + n, "crack", batch=f"c{n}") for n in range(499)]
    found = check_counts("tiles", samples, catalogue("crack", "hole"))
    assert told(found) == [("pictures of crack", 499), ("pictures of hole", 0), ("pictures", 1099)]
    assert "collect 1 more" in found[0].cure and "no picture shows it" in found[1].cure
    assert "linegate data split" in found[2].cure
    assert not any(complaint.grave for complaint in found)


@pytest.mark.parametrize(("good", "bad", "missing"), [(499, 10, 1), (600, 700, 100), (700, 700, 0)])
def test_good_parts_must_be_most(good: int, bad: int, missing: int) -> None:
    samples = [bare_sample(n, batch=f"p{n}") for n in range(good)]
    samples += [bare_sample(5000 + n, "crack", batch=f"c{n}") for n in range(bad)]
    found = [complaint for complaint in check_counts("tiles", samples, None) if complaint.where == "good parts"]
    assert [complaint.cure.split(",")[0] for complaint in found] == ([f"collect {missing} more"] if missing else [])


def test_class_that_a_split_lacks_and_unknown_parts_are_told() -> None:
    samples = [replace(bare_sample(n), split=Split.TRAIN if n < 8 else Split.TEST) for n in range(10)]
    samples.append(replace(bare_sample(11, "crack"), split=Split.TRAIN))
    found = {complaint.where: complaint.cure for complaint in check_counts("tiles", samples, None)}
    assert "shows no crack" in found["split test"] and "split train" not in found
    assert "shows no crack, good parts" in found["split validation"]
    assert "belong to no part or batch" in found["pictures"]


Spoil = Callable[[Path, Sample], Sample]


def gone(root: Path, sample: Sample) -> Sample:
    (root / sample.image).unlink()
    return sample


def cut_off(root: Path, sample: Sample) -> Sample:
    content = (root / sample.image).read_bytes()
    (root / sample.image).write_bytes(content[: len(content) // 2])
    return sample


def mask_of(width: int, level: int) -> Spoil:
    def spoil(root: Path, sample: Sample) -> Sample:
        write_picture(root / sample.masks[0].file, flat(level, width))
        return sample

    return spoil


SPOILT: list[tuple[Spoil, str]] = [
    (gone, "put it back"),
    (cut_off, "is not a picture, or broken"),
    (mask_of(11, 255), "save mask and picture at one size"),
    (mask_of(10, 0), "the mask is empty although"),
    (lambda _, s: replace(s, boxes=(Box("crack", 5, 5, 9, 3),)), "lies outside of the picture of 10 x 20"),
    (lambda _, s: replace(s, polygons=(Polygon("crack", ((1, 1), (5, 5), (3, 3))),)), "has no area"),
    (lambda _, s: replace(s, width=20, height=10), "scaled or turned"),
    (lambda _, s: replace(s, classes=("crack", "fray")), "the catalogue knows crack"),
]


@pytest.mark.parametrize(("spoil", "cure"), SPOILT)
def test_labels_are_held_against_pictures_and_catalogue(tmp_path: Path, spoil: Spoil, cure: str) -> None:
    samples = [made_sample(tmp_path, f"{n}.png", 20 * n + 20, *["crack"] * (n % 2), batch=str(n)) for n in range(4)]
    assert check_labels(tmp_path, samples, catalogue("crack")) == []
    samples[1] = spoil(tmp_path, samples[1])
    (complaint,) = check_labels(tmp_path, samples, catalogue("crack"))
    assert cure in complaint.cure and complaint.grave
    assert complaint.file.endswith(("1.png", samples[1].masks[0].file))


def test_leaks_and_contradictions_are_errors_and_copies_warnings(tmp_path: Path) -> None:
    one, other = (
        made_sample(tmp_path, f"{n}.png", 20 * n + 20, batch="tile", split=split)
        for n, split in enumerate((Split.TRAIN, Split.TEST))
    )
    (leak,) = check_labels(tmp_path, [one, other], None)
    assert leak.grave and (leak.where, leak.value) == ("batch", "tile")
    copy = replace(made_sample(tmp_path, "2.png", 20, "crack", split=Split.TRAIN), batch="tile")
    (contradiction,) = check_labels(tmp_path, [one, copy], None)
    assert contradiction.grave and "decide which label is right" in contradiction.cure
    (twice,) = same_bytes([one, other, copy])
    assert (twice.file, twice.value, twice.grave) == ("2.png", "0.png", False)


def bars(root: Path, *lengths: int) -> list[Sample]:
    """A sample for each length, its crack outlined as a bar of so many pixels."""
    found: list[Sample] = []
    for number, length in enumerate(lengths):
        outline = Polygon("crack", ((2, 2), (2 + length, 2), (2 + length, 4), (2, 4)))
        found.append(replace(bare_sample(number, "crack"), width=100, height=20, polygons=(outline,)))
    return found


def test_sizes_are_in_mm_and_borderline_examples_are_counted(tmp_path: Path) -> None:
    known = catalogue("crack", above=2.0)
    samples = bars(tmp_path, 10, 17, 18, 22, 23, 60)
    sizes = measure(tmp_path, samples, known.defects[0], 0.1)
    assert [found.size for found in sizes] == pytest.approx([1.0, 1.7, 1.8, 2.2, 2.3, 6.0], abs=0.01)
    assert sizes[0].region == (2, 2, 10, 2)
    assert borderline(sizes, 2.0, 0.1) == (2, 2)
    (complaint,) = check_borderline("catalogue.toml", tmp_path, samples, known, 0.1)
    assert complaint.cure.startswith("2 examples just below and 2 just above")
    enough = bars(tmp_path, *[18] * 5, *[22] * 5)
    assert check_borderline("catalogue.toml", tmp_path, enough, known, 0.1) == []


def test_areas_and_counts_are_measured_too(tmp_path: Path) -> None:
    (sample,) = bars(tmp_path, 10)
    two = replace(sample, polygons=(*sample.polygons, Polygon("crack", ((50, 10), (54, 10), (54, 14), (50, 14)))))
    limits = (SeverityLimit(severity="major", above=1),)
    area = DefectType(name="crack", code=1, measure="area", severities=limits)
    assert [found.size for found in measure(tmp_path, [two], area, 0.5)] == [4.0, 5.0]
    count = DefectType(name="crack", code=1, measure="count", severities=limits)
    assert [found.size for found in measure(tmp_path, [two], count, 0.5)] == [2]
