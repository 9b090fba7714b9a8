"""Splits keep parts whole and give every class its share."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from models.lifecycle.data.sample import Sample, Split
from models.lifecycle.data.splits import carve_by_batch, divide
from tests.unit.models.lifecycle.data.made import bare_sample


@pytest.fixture
def line() -> list[Sample]:
    """600 good parts, 100 cracked, 40 with holes, two exposures of each; 5 frayed parts; one part with both."""
    names = [()] * 600 + [("crack",)] * 100 + [("hole",)] * 40 + [("fray",)] * 5 + [("crack", "hole")]
    return [
        bare_sample(2 * part + exposure, *classes, batch=f"part_{part}")
        for part, classes in enumerate(names)
        for exposure in (0, 1)
    ]


def shares(samples: tuple[Sample, ...], name: str | None) -> list[float]:
    counts = Counter(s.split for s in samples if (name in s.classes if name else s.is_good))
    return [counts[split] / counts.total() for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)]


def test_every_class_gets_its_share_and_parts_stay_whole(line: list[Sample]) -> None:
    divided = divide(line, seed=1)
    assert [replace(s, split=Split.NONE) for s in divided] == line
    assert len({(s.batch, s.split) for s in divided}) == 746
    for name in (None, "crack", "hole"):
        assert shares(divided, name) == pytest.approx([0.7, 0.15, 0.15], abs=0.03)
    assert min(shares(divided, "fray")) >= 0.2, "five parts: one at least in every split"


def test_same_seed_same_split_whatever_the_order(line: list[Sample]) -> None:
    mixed = line[:]
    random.Random(5).shuffle(mixed)
    first = {s.image: s.split for s in divide(line, seed=1)}
    assert {s.image: s.split for s in divide(mixed, seed=1)} == first
    assert {s.image: s.split for s in divide(line, seed=2)} != first


def test_same_bytes_under_two_parts_stay_together() -> None:
    samples = [bare_sample(n, batch=f"part_{n}") for n in range(40)]
    samples += [replace(samples[n], image=f"copy_{n}.png", batch=f"other_{n}") for n in range(40)]
    divided = divide(samples, seed=4)
    assert len({(s.sha256, s.split) for s in divided}) == 40


@pytest.mark.parametrize("few", [1, 2, 3])
def test_rare_class_goes_to_train_then_test_then_validation(few: int) -> None:
    samples = [bare_sample(n) for n in range(30)] + [bare_sample(100 + n, "rare") for n in range(few)]
    found = {s.split for s in divide(samples, seed=1) if "rare" in s.classes}
    assert found == set((Split.TRAIN, Split.TEST, Split.VALIDATION)[:few])


def test_new_parts_are_dealt_and_old_ones_stay(line: list[Sample]) -> None:
    first = divide(line[:1000], seed=1)
    both = divide([*first, *line[1000:]], seed=9, keep=True)
    assert both[:1000] == first
    assert not [s for s in both if s.split is Split.NONE]
    assert shares(both, "crack") == pytest.approx([0.7, 0.15, 0.15], abs=0.03)
    more = divide([*first, replace(line[0], image="third_exposure.png", sha256="e" * 64)], seed=9, keep=True)
    assert more[-1].split is first[0].split


def test_shares_must_add_up() -> None:
    with pytest.raises(ValueError, match="all together 1"):
        divide([bare_sample(1)], seed=1, shares={Split.TRAIN: 0.7, Split.TEST: 0.2})
    with pytest.raises(ValueError, match="above 0"):
        divide([bare_sample(1)], seed=1, shares={Split.TRAIN: 1.0, Split.TEST: 0.0})


def test_carving_keeps_batches_whole_and_every_kind_on_both_sides() -> None:
    samples = [bare_sample(n, batch=f"good{n // 3}") for n in range(60)]
    samples += [bare_sample(100 + n, "crack", batch=f"crack{n // 2}") for n in range(8)]
    samples += [bare_sample(200, "fray", batch="only"), bare_sample(201, batch="only")]
    rest, carved = carve_by_batch(samples, 0.25, seed=3)
    assert not {s.batch for s in rest} & {s.batch for s in carved}
    assert {s.image for s in (*rest, *carved)} == {s.image for s in samples}
    assert len({s.batch for s in carved if s.is_good}) == 5
    assert len({s.batch for s in carved if "crack" in s.classes}) == 1
    assert "only" in {s.batch for s in rest}
    assert carve_by_batch(samples, 0.25, seed=3) == (rest, carved)
    with pytest.raises(ValueError, match="share is 1"):
        carve_by_batch(samples, 1, seed=3)
