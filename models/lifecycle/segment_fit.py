"""Fitting, exporting and quantising a segmentation net: from batches of pictures to an FP32 and an INT8 graph."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import nncf
import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.lifecycle.segment_net import Probabilities, SegmentNet

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Pictures (N, H, W) and the class of every cell (N, H / 4, W / 4)."""


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How to train. mean, std: of the pixels, 0 to 255. A step is one batch; `seconds` ends the training early."""

    classes: int
    steps: int
    mean: float
    std: float
    seed: int = 7
    peak_rate: float = 4e-3
    seconds: float = 1800.0


@dataclass(frozen=True, slots=True)
class FitReport:
    """How the training went."""

    steps: int
    seconds: float
    last_loss: float


def fit(plan: FitPlan, batches: Iterator[Batch]) -> tuple[SegmentNet, FitReport]:
    """Train a net from scratch; the same plan and batches give the same net on the same machine."""
    torch.manual_seed(plan.seed)
    net = SegmentNet(plan.classes)
    net.train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.peak_rate, weight_decay=1e-4)
    started = time.monotonic()
    losses: list[float] = []
    for step in range(plan.steps):
        spent = time.monotonic() - started
        if spent > plan.seconds:
            break
        progress = step / plan.steps
        for group in optimiser.param_groups:
            group["lr"] = plan.peak_rate * _schedule(progress)
        pictures, labels = next(batches)
        logits = cast(Tensor, net(_normalised(pictures, plan)))
        loss = _loss(logits, torch.from_numpy(labels.astype(np.int64)), plan.classes, progress)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    net.eval()
    return net, FitReport(len(losses), time.monotonic() - started, float(np.mean(losses[-50:])))


def export(net: SegmentNet, height: int, width: int) -> ov.Model:
    """The net with its softmax as an OpenVINO graph: normalised (1, 1, H, W) float32 in, probabilities out."""
    example = torch.zeros(1, 1, height, width)
    graph = ov.convert_model(Probabilities(net).eval(), example_input=example, input=[1, 1, height, width])
    graph.output(0).get_tensor().set_names({"probabilities"})
    return graph


def save(graph: ov.Model, path: Path) -> None:
    """Write a graph as .xml with its .bin beside it, weights as they are."""
    ov.save_model(graph, str(path), compress_to_fp16=False)


def quantise(graph: ov.Model, pictures: Sequence[NDArray[np.uint8]], plan: FitPlan) -> ov.Model:
    """The graph in INT8, its ranges taken from these pictures (each (H, W), as many as there are are used)."""
    nncf.set_log_level(logging.ERROR)
    items: Iterable[Any] = [_normalised(picture[None], plan).numpy() for picture in pictures]
    return nncf.quantize(graph, nncf.Dataset(items), subset_size=len(pictures))


def _normalised(pictures: NDArray[np.uint8], plan: FitPlan) -> Tensor:
    return torch.from_numpy(((pictures.astype(np.float32) - plan.mean) / plan.std)[:, None])


def _schedule(progress: float) -> float:
    """Up in the first twentieth, then down along a cosine."""
    warm = 0.05
    if progress < warm:
        return progress / warm + 0.02
    return float(0.5 * (1 + np.cos(np.pi * (progress - warm) / (1 - warm)))) + 0.002


def _loss(logits: Tensor, labels: Tensor, classes: int, progress: float) -> Tensor:
    """Cross entropy and Dice. Defects count more at first, so that they are found, and less at the end."""
    weight = torch.full((classes,), 4.0 if progress < 0.5 else 1.5)
    weight[0] = 1.0
    entropy = nn.functional.cross_entropy(logits, labels, weight=weight)
    chances = torch.softmax(logits, dim=1)[:, 1:]
    truth = nn.functional.one_hot(labels, classes).permute(0, 3, 1, 2)[:, 1:].float()
    shared = (chances * truth).sum((0, 2, 3))
    whole = (chances + truth).sum((0, 2, 3))
    return entropy * 4 + (1 - (2 * shared + 1) / (whole + 1)).mean()
