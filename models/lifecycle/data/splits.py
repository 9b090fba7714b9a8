"""Splits that keep a part's pictures together: what a model learns from, is tuned on, and is judged by."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from models.lifecycle.data.sample import Sample, Split

SHARES: Mapping[Split, float] = {Split.TRAIN: 0.70, Split.VALIDATION: 0.15, Split.TEST: 0.15}

GOOD = ""
"""Stands for good parts among the classes: no defect type has an empty name."""

Unit = tuple[Sample, ...]


def divide(
    samples: Sequence[Sample], seed: int, shares: Mapping[Split, float] = SHARES, *, keep: bool = False
) -> tuple[Sample, ...]:
    """The samples with their splits, in the order given. Parts stay whole, every class gets its share where it can.

    Pictures of one batch, and pictures with the same bytes, are one unit. The rarest class is dealt first: one unit to
    train, to test, to validation (as far as it has so many), then each unit to the split that lacks most of that class.
    keep: parts that have a split stay there, and only the others are dealt. The same samples, seed and shares give the
    same splits. Raises ValueError for shares that do not add up to 1.
    """
    if abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) <= 0:
        raise ValueError(f"shares are {sorted(shares.values())}: each must be above 0, and all together 1")
    units = _units(samples)
    random.Random(seed).shuffle(units)
    counts = [Counter(name for sample in unit for name in sample.classes or (GOOD,)) for unit in units]
    total = sum(counts, Counter[str]())
    lacking = {split: {name: share * total[name] for name in total} for split, share in shares.items()}
    dealt: dict[int, Split] = {}
    for index, unit in enumerate(units if keep else ()):
        held = next((sample.split for sample in unit if sample.split is not Split.NONE), Split.NONE)
        if held is not Split.NONE:
            dealt[index] = held
            _take(lacking, held, counts[index])
    for name in sorted(total, key=lambda name: (sum(name in count for count in counts), name)):
        waiting = [index for index, count in enumerate(counts) if name in count and index not in dealt]
        waiting.sort(key=lambda index: -counts[index][name])
        for index in waiting:
            split = _neediest(
                name, lacking, {dealt[i] for i, count in enumerate(counts) if i in dealt and name in count}
            )
            dealt[index] = split
            _take(lacking, split, counts[index])
    by_image = {sample.image: dealt[index] for index, unit in enumerate(units) for sample in unit}
    return tuple(replace(sample, split=by_image[sample.image]) for sample in samples)


def carve_by_batch(samples: Sequence[Sample], share: float, seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Two parts that share no unit: the rest, and about `share` of the units of every kind.

    A unit's kind is its rarest class. A kind with a single unit stays in the rest. Raises ValueError for a share
    outside 0 to 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}, wanted between 0 and 1")
    counts = Counter(name for sample in samples for name in sample.classes)
    labels: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        labels[sample.unit].update(sample.classes)
    kinds: dict[str, list[str]] = defaultdict(list)
    for unit, found in sorted(labels.items()):
        kinds[min(found, key=lambda name: (counts[name], name), default=GOOD)].append(unit)
    rng = random.Random(seed)
    carved: set[str] = set()
    for kind in sorted(kinds):
        units = kinds[kind]
        rng.shuffle(units)
        carved.update(units[: min(len(units) - 1, max(1, round(share * len(units))))])
    rest = tuple(sample for sample in samples if sample.unit not in carved)
    return rest, tuple(sample for sample in samples if sample.unit in carved)


def _take(lacking: Mapping[Split, dict[str, float]], split: Split, counts: Mapping[str, int]) -> None:
    for name, number in counts.items():
        if split in lacking:
            lacking[split][name] -= number


def _neediest(name: str, lacking: Mapping[Split, Mapping[str, float]], have: set[Split]) -> Split:
    for split in (Split.TRAIN, Split.TEST, Split.VALIDATION):
        if split in lacking and split not in have:
            return split
    return max(lacking, key=lambda split: (lacking[split][name], sum(lacking[split].values())))


def _units(samples: Sequence[Sample]) -> list[Unit]:
    """Samples grouped by what ties them: a batch, the same bytes; in an order that does not hang on theirs."""
    parent: dict[str, str] = {}

    def root_of(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for sample in samples:
        parent[root_of(sample.unit)] = root_of(f"bytes {sample.sha256}")
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: sample.image):
        groups[root_of(sample.unit)].append(sample)
    return [tuple(group) for group in groups.values()]
