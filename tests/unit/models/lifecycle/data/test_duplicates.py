"""Near duplicates across splits are found however they were turned; parts of one type in one fixture are none."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.lifecycle.data.duplicates import near_duplicates, twins_complaints
from models.lifecycle.data.likeness import Look, common, fine, look_at
from models.lifecycle.data.pictures import Grey, read_grey
from models.lifecycle.data.sample import Sample, Split
from models.lifecycle.data.sources.table import read_table
from tests.unit.models.lifecycle.data.made import REAL, bare_sample, textured

SIDE = 120


def casting(number: int) -> Grey:
    """One of many parts alike: the same ring and print on each, and a surface of its own."""
    scene = np.full((SIDE, SIDE), 90, np.float32)
    cv2.circle(scene, (60, 60), 50, 200, 6)
    cv2.rectangle(scene, (40, 52), (80, 60), 30, -1)
    return np.clip(scene + 0.25 * (textured(number, SIDE, SIDE).astype(np.float32) - 128), 0, 255).astype(np.uint8)


def turned(picture: Grey, degrees: float) -> Grey:
    matrix = cv2.getRotationMatrix2D(((SIDE - 1) / 2, (SIDE - 1) / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(picture, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT), np.uint8)


def retaken(picture: NDArray[np.uint8]) -> Grey:
    """Brighter, noisier, compressed."""
    noise = np.random.default_rng(1).normal(0, 2, picture.shape)
    brighter = np.clip(picture * 1.15 + noise, 0, 255).astype(np.uint8)
    content = cv2.imencode(".jpg", brighter, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)


@pytest.fixture(scope="module")
def looks() -> list[Look]:
    return [look_at(casting(number)) for number in range(60)]


def halves(count: int) -> list[Sample]:
    """The first half in train, the second in test."""
    return [bare_sample(n, split=Split.TRAIN if n < count // 2 else Split.TEST) for n in range(count)]


def test_parts_of_one_type_are_no_duplicates(looks: list[Look]) -> None:
    assert near_duplicates(halves(60), looks) == []


CHANGES: dict[str, Callable[[Grey], Grey]] = {
    "retaken": lambda p: p,
    "turned 37": lambda p: turned(p, 37),
    "turned 90": lambda p: np.ascontiguousarray(np.rot90(p)),
    "mirrored": lambda p: np.ascontiguousarray(p[:, ::-1]),
    "mirrored and turned": lambda p: turned(np.ascontiguousarray(p[::-1]), -118),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_copy_on_the_other_side_is_found(looks: list[Look], change: Callable[[Grey], Grey]) -> None:
    samples = [*halves(60), bare_sample(99, split=Split.VALIDATION)]
    (twins, *more) = near_duplicates(samples, [*looks, look_at(retaken(change(casting(7))))])
    assert not more
    assert (twins.one.image, twins.other.image) == ("0099.png", "0007.png")
    (complaint,) = twins_complaints([twins])
    assert "validation shows what 0007.png in train shows" in complaint.cure and not complaint.grave


def test_copies_within_one_split_and_of_one_file_do_not_count(looks: list[Look]) -> None:
    copy = look_at(retaken(casting(7)))
    inside = [*halves(60), bare_sample(99, split=Split.TRAIN)]
    assert near_duplicates(inside, [*looks, copy]) == []
    same = [*halves(60), replace(bare_sample(99, split=Split.TEST), sha256=bare_sample(7).sha256)]
    assert near_duplicates(same, [*looks, looks[7]]) == []


def test_flat_pictures_are_like_nothing(looks: list[Look]) -> None:
    flat = look_at(np.full((SIDE, SIDE), 128, np.uint8))
    assert fine(flat, looks[0], common(looks)) <= 0
    assert fine(flat, flat, common(looks)) <= 0


@pytest.mark.skipif(not (REAL / "magnetic_tile").is_dir(), reason="no real pictures at ../shared/data/magnetic_tile")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_exposures_of_one_real_tile_are_found_across_a_random_split() -> None:
    samples = read_table(REAL / "magnetic_tile" / "manifest.csv")
    rng = random.Random(1)
    torn = [replace(s, batch="", split=Split.TEST if rng.random() < 0.2 else Split.TRAIN) for s in samples]
    looks = [look_at(read_grey(REAL / "magnetic_tile" / sample.image)) for sample in samples]
    found = near_duplicates(torn, looks)
    batch = {sample.image: sample.batch for sample in samples}
    seen = {batch[s.image] for s in torn if s.split is Split.TRAIN}
    leaked = {s.image for s in torn if s.split is Split.TEST and batch[s.image] in seen}
    right = [twins for twins in found if batch[twins.one.image] == batch[twins.other.image]]
    told = {twins.one.image for twins in right}
    print(
        f"{len(leaked)} pictures leak, {len(told & leaked)} found; {len(right)} of {len(found)} pairs are of one tile"
    )
    assert len(told & leaked) >= 0.9 * len(leaked)
    assert len(right) >= 0.95 * len(found)
