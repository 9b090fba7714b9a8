"""What a task learns from: the samples of a set with their pixels at the model's input size, and their labels there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from models.lifecycle.data.pictures import defect_mask, read_colour, read_grey
from models.lifecycle.data.sample import Sample
from models.runner import AREA_FROM

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]
"""(n, 5): class number, then left, top, right, bottom in pixels of the input."""

BELONGS_FROM = 96
"""A pixel of a shrunk mask belongs to the defect from this share of 255 on: thin scratches survive."""


@dataclass(frozen=True, slots=True)
class Format:
    """A model's input: what the frame is brought to."""

    width: int
    height: int
    channels: Literal[1, 3]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


@dataclass(frozen=True, slots=True)
class Material:
    """Samples with their pixels, (h, w) or (h, w, 3) RGB, as the station would show them to the model."""

    root: Path
    samples: tuple[Sample, ...]
    pixels: tuple[Pixels, ...]
    classes: tuple[str, ...]
    format: Format

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def defective(self) -> NDArray[np.bool_]:
        return np.array([not sample.is_good for sample in self.samples], bool)

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(n, classes): which defect types each part has."""
        return np.array([[name in s.classes for name in self.classes] for s in self.samples], bool).reshape(
            len(self.samples), len(self.classes)
        )

    def chosen(self, indices: Sequence[int]) -> Material:
        """These samples only."""
        return Material(
            self.root,
            tuple(self.samples[i] for i in indices),
            tuple(self.pixels[i] for i in indices),
            self.classes,
            self.format,
        )

    def label_map(self, index: int) -> NDArray[np.uint8]:
        """Class of every input pixel: 0 for none, else its place among the classes plus 1. Raises DatasetError."""
        sample = self.samples[index]
        labels = np.zeros((self.format.height, self.format.width), np.uint8)
        for number, name in enumerate(self.classes, 1):
            if name in sample.classes:
                mask = defect_mask(self.root, sample, name)
                small = cv2.resize(mask, labels.shape[::-1], interpolation=cv2.INTER_AREA)
                labels[small >= BELONGS_FROM] = number
        return labels

    def boxes(self, index: int) -> Boxes:
        """Where the defects are; a mask or outline gives the box around each of its pieces. Raises DatasetError."""
        sample = self.samples[index]
        scale = (self.format.width / sample.width, self.format.height / sample.height)
        found: list[tuple[float, float, float, float, float]] = []
        for number, name in enumerate(self.classes):
            boxes = [(b.x, b.y, b.width, b.height) for b in sample.boxes if b.defect == name]
            if not boxes and any(shape.defect == name for shape in sample.shapes):
                _, _, stats, _ = cv2.connectedComponentsWithStats(defect_mask(self.root, sample, name))
                boxes = [cast(tuple[float, float, float, float], tuple(map(float, row[:4]))) for row in stats[1:]]
            for x, y, w, h in boxes:
                found.append((number, x * scale[0], y * scale[1], (x + w) * scale[0], (y + h) * scale[1]))
        return np.array(found, np.float32).reshape(-1, 5)


def load(root: Path, samples: Sequence[Sample], classes: Sequence[str], wanted: Format) -> Material:
    """Read every picture and bring it to the input's size as the runner does. Raises DatasetError."""
    read = read_grey if wanted.channels == 1 else read_colour
    pixels = tuple(resized(read(root / sample.image), wanted) for sample in samples)
    return Material(root, tuple(samples), pixels, tuple(classes), wanted)


def resized(pixels: Pixels, wanted: Format) -> Pixels:
    """As the station's runner resizes a frame: what is learnt is what will be seen."""
    shrink = min(pixels.shape[1] / wanted.width, pixels.shape[0] / wanted.height)
    how = cv2.INTER_AREA if shrink >= AREA_FROM else cv2.INTER_LINEAR
    return cast(Pixels, cv2.resize(pixels, (wanted.width, wanted.height), interpolation=how))


def is_grey(root: Path, samples: Sequence[Sample], look_at: int = 12) -> bool:
    """Whether pictures hold no colour, however many channels their files have. Raises DatasetError."""
    step = max(1, len(samples) // look_at)
    for sample in samples[::step]:
        picture = read_colour(root / sample.image).astype(np.int16)
        if np.abs(picture - picture[..., :1]).mean() > 1.0:
            return False
    return True
