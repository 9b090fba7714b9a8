"""How far the model's sizes are off, against labelled outlines, in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.catalogue import Catalogue, DefectType
from models.lifecycle.data.sample import Sample
from models.lifecycle.data.sizes import Measured, measure
from models.lifecycle.validate.figures import Answers
from models.lifecycle.validate.predictions import Place


@dataclass(frozen=True, slots=True)
class SizeError:
    """Length of one defect type: model minus label, in mm. matched: labelled places that the model marked too."""

    name: str
    labelled: int
    matched: int
    bias: float
    median: float
    p95: float


def size_errors(
    root: Path, samples: Sequence[Sample], answers: Answers, catalogue: Catalogue, mm_per_px: float
) -> list[SizeError]:
    """For every defect type with outlines or masks and marked places. Raises DatasetError for masks that are broken."""
    outlined = [sample for sample in samples if sample.masks or sample.polygons]
    found: list[SizeError] = []
    for defect in catalogue.defects:
        # Whatever the catalogue grades by, the length is what a gauge can confirm.
        by_length = DefectType.model_validate({**defect.model_dump(), "measure": "length"})
        labelled = measure(root, outlined, by_length, mm_per_px)
        pairs = [(place, near) for place in labelled if (near := _overlapping(place, answers, defect.name)) is not None]
        if pairs:
            errors = np.array([near.length_px * mm_per_px - place.size for place, near in pairs])
            size = np.abs(errors)
            found.append(
                SizeError(
                    defect.name, len(labelled), len(pairs), float(errors.mean()), float(np.median(size)),
                    float(np.percentile(size, 95)),
                )
            )  # fmt: skip
    return found


def _overlapping(place: Measured, answers: Answers, name: str) -> Place | None:
    """The model's place that shares most of its box with the labelled one."""
    x, y, width, height = place.region
    best, most = None, 0.0
    for near in answers[place.sample.image].places:
        across = min(x + width, near.x + near.width) - max(x, near.x)
        down = min(y + height, near.y + near.height) - max(y, near.y)
        if near.defect == name and min(across, down) > 0 and across * down > most:
            best, most = near, across * down
    return best
