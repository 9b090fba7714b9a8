"""A data set in its folder: manifest, files, history of versions, and the seal of its test split.

tiles/
    manifest.csv        what is in it now
    images/ masks/      the files that the manifest names
    history.jsonl       every version: when, why, from which
    versions/           the manifest of every version, named by it
    test-uses.jsonl     every look at the test split
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from models.lifecycle.data import manifest, seal
from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sample import Sample, Split

HISTORY, VERSIONS = "history.jsonl", "versions"
SHORT = 12
"""Digits of a version that people are shown and may type."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the history: how a version came to be."""

    version: str
    parent: str
    at: str
    why: str
    pictures: int
    good: int


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A proven set: its rows are right, its files are those that were labelled, no part lies in two splits."""

    root: Path
    samples: tuple[Sample, ...]
    version: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Every defect type that occurs, sorted."""
        return tuple(sorted({name for sample in self.samples for name in sample.classes}))

    @property
    def train(self) -> tuple[Sample, ...]:
        return self._of(Split.TRAIN)

    @property
    def validation(self) -> tuple[Sample, ...]:
        return self._of(Split.VALIDATION)

    @property
    def test_version(self) -> str:
        """Version of the test split alone: the same pictures and labels, the same version."""
        return manifest.version_of(self._of(Split.TEST))

    def open_test(self, purpose: str) -> tuple[Sample, ...]:
        """The test split, after writing down that it is looked at. Raises DatasetError where that cannot be done."""
        seal.record_use(self.root, self.test_version, purpose)
        return self._of(Split.TEST)

    def test_uses(self) -> tuple[seal.Use, ...]:
        """Every look at the test split so far, of this and of earlier versions. Raises DatasetError."""
        return seal.uses(self.root)

    def _of(self, split: Split) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.samples if sample.split is split)


def open_set(root: Path, *, prove: bool = True) -> LabelledSet:
    """Read a set and prove it. prove=False leaves out the hashes of the files. Raises DatasetError."""
    samples = manifest.read_manifest(root / manifest.NAME)
    if prove:
        manifest.check_files(root, samples)
    return LabelledSet(root, samples, manifest.version_of(samples))


def save_set(root: Path, samples: Iterable[Sample], why: str) -> LabelledSet:
    """Write a new version, add it to the history, and read it back. Raises DatasetError, also for a set that leaks.

    The files must lie there already. A set that did not change gets no new line.
    """
    kept = tuple(sorted(samples, key=lambda sample: sample.image))
    version = manifest.version_of(kept)
    past = history(root)
    (root / VERSIONS).mkdir(parents=True, exist_ok=True)
    manifest.write_manifest(root / VERSIONS / f"{version}.csv", kept)
    made = LabelledSet(root, manifest.read_manifest(root / VERSIONS / f"{version}.csv"), version)
    manifest.check_files(root, made.samples)
    manifest.write_manifest(root / manifest.NAME, kept)
    if not past or past[-1].version != version:
        parent = past[-1].version if past else ""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        change = Change(version, parent, at, why, len(kept), sum(sample.is_good for sample in kept))
        with (root / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(change), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
    return made


def history(root: Path) -> tuple[Change, ...]:
    """Every version that was saved, oldest first. Raises DatasetError."""
    path = root / HISTORY
    if not path.exists():
        return ()
    changes: list[Change] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            changes.append(Change(**cast(dict[str, Any], json.loads(line))))
        except (ValueError, TypeError) as error:
            cure = f"is not a line of the history ({error}): restore the file, or remove the line"
            raise DatasetError(Complaint(str(path), f"line {number}", line[:60], cure)) from error
    return tuple(changes)


def version_at(root: Path, version: str) -> tuple[Sample, ...]:
    """The rows of an earlier version, by its first digits. Raises DatasetError."""
    found = sorted((root / VERSIONS).glob(f"{version}*.csv")) if version.isalnum() else []
    if len(found) != 1:
        known = ", ".join(change.version[:SHORT] for change in history(root)) or "none"
        what = "is no version of this set" if not found else "begins more than one version"
        raise DatasetError(Complaint(str(root), "version", version, f"{what}: known are {known}"))
    return manifest.parse_manifest(found[0].read_text(encoding="utf-8"), str(found[0]))
