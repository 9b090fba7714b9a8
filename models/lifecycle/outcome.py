"""What a packaged graph says about labelled samples, on the station's own path, and the task's figures from it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.decode import DECODERS
from models.finding import RawFinding
from models.lifecycle.average_precision import mean_average_precision
from models.lifecycle.evaluate import auroc
from models.lifecycle.material import Material
from models.package import Manifest, ModelPackage, Task
from models.runner import Runner

METRIC: Mapping[Task, str] = {
    "anomaly": "image_auroc",
    "classify": "mean_auroc",
    "segment": "image_auroc",
    "detect": "mean_average_precision",
}
"""What the gate compares, by task: a share, higher is better."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Answers for n samples. scores: (n,), how bad each is. confidences: (n, types), the surest sign of each defect
    type. findings: as the decoder gives them. milliseconds: of each inference with its decoding."""

    scores: NDArray[np.float64]
    confidences: NDArray[np.float64]
    findings: tuple[tuple[RawFinding, ...], ...]
    milliseconds: NDArray[np.float64]


def outcome_of(package: ModelPackage, precision: str, material: Material, threads: int = 1) -> Outcome:
    """Run one graph on every sample. Raises ModelRejected or InferenceFailed."""
    runner = Runner(package, graph=precision, threads=threads)
    runner.load()
    manifest = package.manifest
    decode = DECODERS[manifest.task]
    scores: list[float] = []
    confidences: list[NDArray[np.float64]] = []
    findings: list[tuple[RawFinding, ...]] = []
    times: list[float] = []
    try:
        runner.warm_up()
        for pixels in material.pixels:
            started = time.perf_counter()
            outputs = runner.infer(pixels)
            decoded = decode(outputs, manifest, material.format.width, material.format.height)
            times.append((time.perf_counter() - started) * 1e3)
            scores.append(ranked_score(manifest, outputs, decoded.score))
            confidences.append(confidences_of(manifest, outputs))
            findings.append(decoded.findings)
    finally:
        runner.close()
    types = len(manifest.defect_classes)
    return Outcome(np.array(scores), np.array(confidences).reshape(-1, types), tuple(findings), np.array(times))


def confidences_of(manifest: Manifest, outputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """The highest confidence of each defect type, whether or not it is high enough to be a finding."""
    if manifest.task == "anomaly":
        return np.array([ranked_score(manifest, outputs, 0.0)])
    values = next(iter(outputs.values()))[0]
    match manifest.task:
        case "classify":
            keep = [i for i, name in enumerate(manifest.classes) if name != manifest.good_class]
            return values[keep].astype(np.float64)
        case "segment":
            return values[1:].reshape(len(manifest.classes), -1).max(1).astype(np.float64)
        case "detect":
            return values[4:].max(1).astype(np.float64)


def ranked_score(manifest: Manifest, outputs: Mapping[str, NDArray[np.float32]], decoded: float) -> float:
    """The score before it is cut to 0 and 1, where a model has one: ranking needs the whole range."""
    if manifest.task != "anomaly":
        return decoded
    single = next((value for value in outputs.values() if value.size == 1), None)
    raw = float((single if single is not None else next(iter(outputs.values()))).max())
    turned = raw if manifest.output.score_orientation == "high_is_bad" else -raw
    return (turned - manifest.output.score_offset) * manifest.output.score_scale


def metric_of(task: Task, outcome: Outcome, material: Material, iou: float = 0.5) -> float:
    """The task's figure. NaN where the samples cannot give it (only good ones, for instance)."""
    match task:
        case "anomaly" | "segment":
            return auroc(outcome.scores, material.defective)
        case "classify":
            truths = np.column_stack([material.defective, material.shown])
            judged = np.column_stack([outcome.scores, outcome.confidences])
            found = np.array([auroc(judged[:, i], truths[:, i]) for i in range(truths.shape[1])])
            return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")
        case "detect":
            truth = [material.boxes(i) for i in range(len(material))]
            return mean_average_precision(outcome.findings, truth, material.classes, iou)


def judged_types(task: Task, classes: Sequence[str], material: Material) -> NDArray[np.bool_]:
    """(n, types): which of the package's defect types each sample shows. An anomaly model has one, for any defect."""
    if task == "anomaly":
        return material.defective[:, None]
    return material.shown[:, [material.classes.index(name) for name in classes]]
