"""Pictures that occur twice, byte by byte or nearly, on both sides of a split: what a model may remember."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.lifecycle.data.complaint import Complaint
from models.lifecycle.data.likeness import Look, coarse, common, fine, look_at
from models.lifecycle.data.pictures import read_grey
from models.lifecycle.data.sample import Sample, Split

COARSELY, FINELY = 0.7, 0.6
"""From which likeness on a pair is looked at closely, and is one picture. How they were chosen: decision 0041."""

CLOSEST = 3
"""Pictures that are looked at closely for each one."""


@dataclass(frozen=True, slots=True)
class Twins:
    """Two pictures that show the same. likeness: of their details, to 1."""

    one: Sample
    other: Sample
    likeness: float


def same_bytes(samples: Sequence[Sample]) -> list[Complaint]:
    """A complaint for every picture that is in the set twice. (In two splits it is refused: leakage.py.)"""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.sha256].append(sample)
    return [
        Complaint(other.image, "sha256", first.image, "is the same file: remove one of the two", grave=False)
        for first, *others in groups.values()
        for other in others
    ]


def near_duplicates(samples: Sequence[Sample], looks: Sequence[Look]) -> list[Twins]:
    """Pairs across splits that are one picture, turned, mirrored, brightened or compressed; closest first.

    Pictures of one known part are left out, and so are pairs with the same bytes.
    """
    spectra = np.stack([look.spectrum for look in looks])
    shared = common(looks)
    found: list[Twins] = []
    for index, (sample, look) in enumerate(zip(samples, looks, strict=True)):
        if sample.split in (Split.NONE, Split.TRAIN):
            continue
        alike = coarse(look, spectra)
        # Between validation and test every pair would come twice.
        rivals = [_apart(sample, o) and (o.split is Split.TRAIN or n > index) for n, o in enumerate(samples)]
        alike[~np.array(rivals)] = -1
        closest = [int(near) for near in np.argsort(-alike)[:CLOSEST] if alike[near] >= COARSELY]
        found += [Twins(sample, samples[near], fine(looks[near], look, shared)) for near in closest]
    return sorted((twins for twins in found if twins.likeness >= FINELY), key=lambda twins: -twins.likeness)


def _apart(one: Sample, other: Sample) -> bool:
    return one.split is not other.split and other.split is not Split.NONE and one.sha256 != other.sha256


def twins_complaints(twins: Sequence[Twins]) -> list[Complaint]:
    """What to tell about near duplicates. No error: pictures of a fixed scene may look alike and show two parts."""
    complaints: list[Complaint] = []
    for pair in twins:
        both = f"{pair.one.split.value} shows what {pair.other.image} in {pair.other.split.value} shows"
        cure = f"{both}: if it is one part, give both the same batch and split anew"
        complaints.append(Complaint(pair.one.image, "likeness", f"{pair.likeness:.2f}", cure, grave=False))
    return complaints


def looks_of(root: Path, samples: Sequence[Sample], progress: Callable[[int], None]) -> list[Look]:
    """Look at every picture; progress: told how many are done. Raises DatasetError for a file that is no picture."""
    looks: list[Look] = []
    for number, sample in enumerate(samples, 1):
        looks.append(look_at(read_grey(root / sample.image)))
        progress(number)
    return looks
