"""What a task is asked to make, and what it hands over: the same for every task, so that one pipeline serves all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sample import Box, Sample
from models.lifecycle.material import Format, Material
from models.package import Task

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose. None: as the task suits the data."""

    task: Task | None = None
    steps: int | None = None
    side: int | None = None
    seed: int = 1
    threads: int = 2
    calibration: int = 120


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a task needs. work: its folder for checkpoints."""

    task: Task
    train_on: Material
    validate_on: Material
    work: Path
    settings: Settings
    say: Say

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train_on.classes


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a task suits a set: steps, and the input's size."""

    task: Task
    format: Format
    steps: int


STEPS: Mapping[Task, int] = {"anomaly": 300, "classify": 400, "segment": 600, "detect": 3600}
"""Training steps of eight pictures; for the anomaly task, pictures that statistics are taken from, at least."""

_MOST: Mapping[Task, int] = {"anomaly": 224, "classify": 224, "segment": 320, "detect": 640}
_LEAST = 224


def task_of(samples: Sequence[Sample]) -> Task:
    """The task that the labels allow: masks are worth most, then boxes, then classes; without any, good parts alone."""
    bad = [sample for sample in samples if not sample.is_good]
    if not bad:
        return "anomaly"
    if all(sample.masks or sample.polygons for sample in bad):
        return "segment"
    if all(sample.shapes for sample in bad):
        return "detect" if all(isinstance(s, Box) for sample in bad for s in sample.shapes) else "segment"
    return "classify"


def suited(samples: Sequence[Sample], grey: bool, settings: Settings) -> Recipe:
    """Task, size and steps for a set's train split. Raises DatasetError where the labels do not allow the task."""
    if not samples:
        raise DatasetError(
            Complaint("manifest.csv", "split", "train", "is empty: split the set with `linegate data split`")
        )
    task = settings.task or task_of(samples)
    bad = [sample for sample in samples if not sample.is_good]
    if task != "anomaly" and not bad:
        raise DatasetError(Complaint("manifest.csv", "task", task, "no defect is labelled: use --task anomaly"))
    if task == "anomaly" and len(bad) == len(samples):
        raise DatasetError(Complaint("manifest.csv", "task", task, "there is no good part to learn from"))
    if task in ("detect", "segment") and not any(sample.shapes for sample in bad):
        cure = "no label says where a defect is: draw boxes or outlines, or use --task classify"
        raise DatasetError(Complaint("manifest.csv", "task", task, cure))
    width, height = _size(samples, settings.side or _MOST[task], square=task in ("anomaly", "classify"))
    return Recipe(task, Format(width, height, 1 if grey else 3), settings.steps or STEPS[task])


def _size(samples: Sequence[Sample], most: int, *, square: bool) -> tuple[int, int]:
    """Width and height of the input: multiples of 16, in the samples' usual proportions."""
    if square:
        return most // 16 * 16, most // 16 * 16
    width = sorted(sample.width for sample in samples)[len(samples) // 2]
    height = sorted(sample.height for sample in samples)[len(samples) // 2]
    scale = min(1.0, most / max(width, height))
    if max(width, height) * scale < _LEAST:
        scale = _LEAST / max(width, height)
    return max(32, round(width * scale / 16) * 16), max(32, round(height * scale / 16) * 16)


@dataclass(frozen=True, slots=True)
class Curves:
    """Loss and validation over the steps, for the report."""

    losses: tuple[float, ...] = ()
    validations: Mapping[int, float] = field(default_factory=dict[int, float])
