"""What a package says about samples, as the table that `linegate model validate` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.finding import RawFinding
from models.lifecycle.data.labelled_set import LabelledSet
from models.lifecycle.data.sample import Sample
from models.lifecycle.material import Format, Material, load
from models.lifecycle.outcome import Outcome, outcome_of
from models.lifecycle.validate.figures import as_one_type
from models.lifecycle.validate.predictions import Place, Prediction
from models.package import ModelPackage


def format_of(package: ModelPackage) -> Format:
    """The package's input, as material is loaded for it."""
    spec = package.manifest.input
    return Format(spec.width, spec.height, spec.channels)


def answers_on(package: ModelPackage, root: Path, samples: Sequence[Sample]) -> tuple[Prediction, ...]:
    """The answers of every graph; findings in pixels of the samples' own pictures. Raises DatasetError, ModelRejected,
    InferenceFailed."""
    material = load(root, samples, package.manifest.defect_classes, format_of(package))
    return tuple(
        said
        for precision in package.manifest.graphs
        for said in predictions(package, precision, material, outcome_of(package, precision, material))
    )


def predictions(package: ModelPackage, precision: str, material: Material, outcome: Outcome) -> tuple[Prediction, ...]:
    """One graph's outcome, row by row."""
    names = package.manifest.defect_classes
    sure = np.clip(outcome.confidences, 0.0, 1.0)
    return tuple(
        Prediction(
            sample.image,
            precision,
            round(float(outcome.milliseconds[index]), 3),
            {name: round(float(sure[index, place]), 6) for place, name in enumerate(names)},
            tuple(_place(finding, sample, material.format) for finding in outcome.findings[index]),
        )
        for index, sample in enumerate(material.samples)
    )


def with_one_type(data: LabelledSet, name: str) -> LabelledSet:
    """The set as an anomaly model sees it: every defect is of one type."""
    return replace(data, samples=as_one_type(data.samples, name))


def _place(finding: RawFinding, sample: Sample, form: Format) -> Place:
    """Measured on the resized picture, said in pixels of the original: sides by the mean of both scales."""
    across, down = sample.width / form.width, sample.height / form.height
    x, y, width, height = finding.region
    both = (across * down) ** 0.5
    return Place(
        finding.defect,
        round(finding.confidence, 6),
        round(x * across, 2),
        round(y * down, 2),
        round(width * across, 2),
        round(height * down, 2),
        round(finding.length_px * both, 2),
        round(finding.width_px * both, 2),
    )
