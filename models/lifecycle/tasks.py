"""The four tasks: from a job to an FP32 and an INT8 graph in their final form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import nn

from models.lifecycle import anomaly_fit, classify_fit, detect_fit, mask_fit
from models.lifecycle.backbone import DEEP_CHANNELS, STRIDE, lite0_backbone, lite0_deep, normalised
from models.lifecycle.calibrate import platt
from models.lifecycle.classify_fit import FitPlan
from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.job import Curves, Job
from models.lifecycle.loop import Curve, Tick
from models.lifecycle.material import Material
from models.lifecycle.progress import sparkline
from models.lifecycle.quantise import FIRST, FIRST_CAREFUL, export, joined, quantised
from models.lifecycle.task_nets import (
    ClassifyNet,
    ClassifyOutput,
    DetectNet,
    DetectOutput,
    SegmentNetwork,
    SegmentOutput,
)
from models.package import Task


@dataclass(frozen=True, slots=True)
class Made:
    """What a task made. careful: makes the INT8 graph anew, closer to FP32 and slower to run."""

    fp32: ov.Model
    int8: ov.Model
    careful: Callable[[], ov.Model]
    curves: Curves = Curves()


def make(job: Job, steps: int) -> Made:
    """Train, export, quantise. Goes on from the job's checkpoint where there is one. Raises DatasetError."""
    torch.manual_seed(job.settings.seed)
    return _MAKERS[job.task](job, steps)


def _anomaly(job: Job, steps: int) -> Made:
    fit_on = job.train_on.chosen(np.flatnonzero(~job.train_on.defective).tolist())
    held = job.validate_on.chosen(np.flatnonzero(~job.validate_on.defective).tolist())
    if len(fit_on) < 2 or len(held) < 2:
        cure = "the anomaly task needs two good parts in train and in validation at least: add good pictures"
        raise DatasetError(Complaint("manifest.csv", "good parts", f"{len(fit_on)} and {len(held)}", cure))
    form = job.train_on.format
    backbone = export(lite0_deep(form.channels), form.shape, ["features"])
    plan = anomaly_fit.AnomalyPlan(pictures=steps, seed=job.settings.seed, threads=job.settings.threads)

    def finished(features: ov.Model, plan: anomaly_fit.AnomalyPlan) -> tuple[ov.Model, anomaly_fit.Look]:
        """Statistics on what this very graph gives, and both as one graph."""
        extract = anomaly_fit.Extractor(features, job.settings.threads)
        validation = job.validate_on
        head, look = anomaly_fit.fit(extract, fit_on.pixels, validation.pixels, validation.defective, plan, job.say)
        grid = (form.shape[1] // STRIDE, form.shape[2] // STRIDE)
        return joined(features, export(head, (sum(DEEP_CHANNELS), *grid), ["map", "score"])), look

    inputs = _calibration(job, fit_on)
    fp32, look = finished(backbone, plan)
    # Both graphs look at the same, so that the gate compares precisions and nothing else.
    same = replace(plan, looks=(look,))

    def in_int8(first: int) -> ov.Model:
        return finished(quantised(backbone, inputs, first=first), same)[0]

    return Made(fp32, in_int8(FIRST), lambda: in_int8(FIRST_CAREFUL))


def _classify(job: Job, steps: int) -> Made:
    net = ClassifyNet(lite0_backbone(job.train_on.format.channels), len(job.classes))
    plan = replace(FitPlan(), steps=steps, seed=job.settings.seed, threads=job.settings.threads)
    curve = classify_fit.fit(net, job.train_on, job.validate_on, plan, _shown(job), job.work / "train.pt")
    logits = classify_fit.logits_of(net, job.validate_on)
    truths = np.column_stack([job.validate_on.defective, job.validate_on.shown])
    lines = np.array([platt(logits[:, i], truths[:, i]) for i in range(truths.shape[1])], np.float32)
    shipped = ClassifyOutput(net, torch.from_numpy(lines[:, 0].copy()), torch.from_numpy(lines[:, 1].copy()))
    return _made(job, shipped, "probabilities", curve)


def _segment(job: Job, steps: int) -> Made:
    net = SegmentNetwork(lite0_backbone(job.train_on.format.channels), len(job.classes))
    plan = replace(FitPlan(), steps=steps, seed=job.settings.seed, threads=job.settings.threads)
    curve = mask_fit.fit(net, job.train_on, job.validate_on, plan, _shown(job), job.work / "train.pt")
    return _made(job, SegmentOutput(net), "probabilities", curve)


def _detect(job: Job, steps: int) -> Made:
    net = DetectNet(lite0_backbone(job.train_on.format.channels), len(job.classes))
    plan = detect_fit.DetectPlan()
    plan = replace(plan, fit=replace(plan.fit, steps=steps, seed=job.settings.seed, threads=job.settings.threads))
    curve = detect_fit.fit(net, job.train_on, job.validate_on, plan, _shown(job), job.work / "train.pt")
    return _made(job, DetectOutput(net, torch.ones(1), torch.zeros(1)), "output0", curve)


_MAKERS: Mapping[Task, Callable[[Job, int], Made]] = {
    "anomaly": _anomaly,
    "classify": _classify,
    "segment": _segment,
    "detect": _detect,
}


def _made(job: Job, net: nn.Module, output: str, curve: Curve) -> Made:
    _contiguous(net)
    graph = export(net, job.train_on.format.shape, [output])
    inputs = _calibration(job, job.train_on)
    curves = Curves(tuple(curve.losses), dict(curve.validations))
    return Made(graph, quantised(graph, inputs), lambda: quantised(graph, inputs, first=FIRST_CAREFUL), curves)


def _calibration(job: Job, material: Material) -> Sequence[NDArray[np.float32]]:
    """Pictures of the train split from which INT8 ranges are taken: half of them defective, where there are any."""
    rng = np.random.default_rng(job.settings.seed)
    bad, good = np.flatnonzero(material.defective), np.flatnonzero(~material.defective)
    most = job.settings.calibration
    half = min(len(bad), max(most // 2, most - len(good)))
    chosen = [*rng.permutation(bad)[:half], *rng.permutation(good)[: most - half]]
    return [normalised(material.pixels[int(i)][None]).numpy() for i in chosen]


def _shown(job: Job) -> Callable[[Tick], None]:
    losses: list[float] = []

    def show(tick: Tick) -> None:
        losses.append(tick.loss)
        checked = "" if tick.validation is None else f", validation {tick.validation:.4f}"
        job.say(
            f"step {tick.step}/{tick.steps}, loss {tick.loss:.3f} {sparkline(losses)}{checked}, {tick.seconds:.0f} s"
        )

    return show


def _contiguous(net: Any) -> None:
    net.to(memory_format=torch.contiguous_format)
