"""Leakage: what a model saw in training comes back in the test, and a memory passes for skill."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from models.lifecycle.data.complaint import Complaint
from models.lifecycle.data.sample import Sample, Split


def shared_units(file: str, samples: Iterable[Sample]) -> list[Complaint]:
    """A complaint for every part and every picture's content that lies in two splits. file: the manifest's name."""
    known = [sample for sample in samples if sample.split is not Split.NONE]
    return [
        *_shared(file, "batch", (s for s in known if s.batch), lambda sample: sample.batch),
        *_shared(file, "sha256", known, lambda sample: sample.sha256),
    ]


def _shared(file: str, key: str, samples: Iterable[Sample], value_of: Callable[[Sample], str]) -> list[Complaint]:
    first: dict[str, Sample] = {}
    told: set[str] = set()
    complaints: list[Complaint] = []
    for sample in samples:
        value = value_of(sample)
        other = first.setdefault(value, sample)
        if other.split is not sample.split and value not in told:
            told.add(value)
            cure = (
                f"the split leaks: {other.image} is in {other.split.value}, {sample.image} in {sample.split.value}. "
                "Put both into one split, or split anew with `linegate data split`"
            )
            complaints.append(Complaint(file, key, value, cure))
    return complaints
