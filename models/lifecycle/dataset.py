"""A labelled set of pictures in a folder: its manifest read and proven, its splits kept apart by batch.

Pictures of one batch are near duplicates, so a batch that lies on both sides of a split turns a test into a memory
exercise. What is wrong is named: file, row, column, value.
"""

from __future__ import annotations

import csv
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

Grey = NDArray[np.uint8]

COLUMNS = ("file", "split", "label", "is_defect", "mask", "batch", "sha256")
MASK_FROM = 128
"""Masks of the set are not strictly binary: from this value on a pixel belongs to the defect."""


class DatasetError(ModelError):
    """A data set is not what its manifest says, or its split leaks."""

    def __init__(self, file: str, where: str, value: object, cure: str) -> None:
        super().__init__(f"{file}: {where} = {value!r}: {cure}")
        self.file, self.where, self.value, self.cure = file, where, value, cure


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of the manifest. file and mask are relative to the manifest's folder; mask is "" where there is none."""

    file: str
    split: str
    label: str
    is_defect: bool
    mask: str
    batch: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Samples with their pixels, all stretched to one square. masks: 0 or 255, zero where nothing is wrong."""

    samples: tuple[Sample, ...]
    pixels: tuple[Grey, ...]
    masks: tuple[Grey, ...]

    def __len__(self) -> int:
        return len(self.samples)


def read_manifest(path: Path) -> tuple[Sample, ...]:
    """All rows, checked. Raises DatasetError naming the row (counted from 1, as a spreadsheet shows it) and column."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(str(path), "file", path.name, f"cannot be read: {error}") from error
    if not rows:
        raise DatasetError(str(path), "rows", 0, "the manifest is empty")
    for column in COLUMNS:
        if column not in rows[0]:
            raise DatasetError(str(path), "column", column, "is missing from the first line")
    samples = tuple(_sample(path, number, row) for number, row in enumerate(rows, 2))
    _refuse_twice(path, samples)
    check_disjoint(path, samples)
    return samples


def check_disjoint(path: Path, samples: Iterable[Sample]) -> None:
    """Raises DatasetError for a batch or a picture's content that lies in two splits."""
    for key in ("batch", "sha256"):
        seen: dict[str, Sample] = {}
        for sample in samples:
            value = cast(str, getattr(sample, key))
            first = seen.setdefault(value, sample)
            if first.split != sample.split:
                cure = f"{first.file} is in split {first.split}, {sample.file} in {sample.split}: the split leaks"
                raise DatasetError(str(path), key, value, cure)


def check_files(root: Path, samples: Iterable[Sample]) -> None:
    """Hold every picture against the manifest's SHA-256. Raises DatasetError naming the first that differs."""
    for sample in samples:
        try:
            found = hashlib.sha256((root / sample.file).read_bytes()).hexdigest()
        except OSError as error:
            raise DatasetError(sample.file, "file", "", f"cannot be read: {error}") from error
        if found != sample.sha256:
            cure = f"the manifest says {sample.sha256}: fetch the picture again"
            raise DatasetError(sample.file, "sha256", found, cure)


def training_hash(root: Path, samples: Iterable[Sample]) -> str:
    """SHA-256 over everything that the model learns from: rows in order of file name, and their masks' bytes."""
    total = hashlib.sha256()
    for sample in sorted(samples, key=lambda s: s.file):
        mask = hashlib.sha256((root / sample.mask).read_bytes()).hexdigest() if sample.mask else ""
        row = (sample.file, sample.split, sample.label, str(sample.is_defect), sample.batch, sample.sha256, mask)
        total.update("\t".join(row).encode() + b"\n")
    return total.hexdigest()


def carve_by_batch(samples: Sequence[Sample], share: float, seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Two parts that share no batch: the rest, and about `share` of the batches of every kind.

    A batch's kind is its rarest label other than good. A kind with a single batch stays in the rest. Raises ValueError
    for a share outside 0 to 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}, wanted between 0 and 1")
    counts: dict[str, int] = defaultdict(int)
    labels: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        counts[sample.label] += 1
        labels[sample.batch].add(sample.label if sample.is_defect else "")
    kinds: dict[str, list[str]] = defaultdict(list)
    for batch, found in sorted(labels.items()):
        kinds[min(found - {""}, key=lambda label: (counts[label], label), default="")].append(batch)
    rng = random.Random(seed)
    carved: set[str] = set()
    for kind in sorted(kinds):
        batches = kinds[kind]
        rng.shuffle(batches)
        carved.update(batches[: min(len(batches) - 1, max(1, round(share * len(batches))))])
    rest = tuple(sample for sample in samples if sample.batch not in carved)
    return rest, tuple(sample for sample in samples if sample.batch in carved)


def load_pictures(root: Path, samples: Sequence[Sample], side: int) -> Pictures:
    """Read and stretch to `side` x `side` pixels, averaging where they shrink. Raises DatasetError."""
    pixels = tuple(_read(root, sample.file, side) for sample in samples)
    masks: list[Grey] = []
    for sample in samples:
        if sample.is_defect and sample.mask:
            masks.append(np.where(_read(root, sample.mask, side) >= MASK_FROM, 255, 0).astype(np.uint8))
        else:
            masks.append(np.zeros((side, side), np.uint8))
    return Pictures(tuple(samples), pixels, tuple(masks))


def _read(root: Path, file: str, side: int) -> Grey:
    try:
        content = np.frombuffer((root / file).read_bytes(), np.uint8)
    except OSError as error:
        raise DatasetError(file, "file", "", f"cannot be read: {error}") from error
    picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if content.size else None
    if picture is None:
        raise DatasetError(file, "file", f"{content.size} bytes", "is not a picture: fetch it again")
    return cast(Grey, cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA))


def _sample(path: Path, number: int, row: dict[str, str | None]) -> Sample:
    values = {column: (row[column] or "").strip() for column in COLUMNS}
    for column in ("file", "split", "label", "batch"):
        if not values[column]:
            raise DatasetError(str(path), f"row {number}, {column}", "", "is empty: complete the row")
    if values["is_defect"] not in ("0", "1"):
        raise DatasetError(str(path), f"row {number}, is_defect", values["is_defect"], "must be 0 or 1")
    digest = values["sha256"]
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise DatasetError(str(path), f"row {number}, sha256", digest, "must be 64 hexadecimal digits")
    for column in ("file", "mask"):
        if Path(values[column]).is_absolute() or ".." in Path(values[column]).parts:
            raise DatasetError(str(path), f"row {number}, {column}", values[column], "leads out of the folder")
    return Sample(
        file=values["file"],
        split=values["split"],
        label=values["label"],
        is_defect=values["is_defect"] == "1",
        mask=values["mask"],
        batch=values["batch"],
        sha256=digest,
    )


def _refuse_twice(path: Path, samples: Iterable[Sample]) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.file in seen:
            raise DatasetError(str(path), "file", sample.file, "stands in two rows: remove one")
        seen.add(sample.file)
