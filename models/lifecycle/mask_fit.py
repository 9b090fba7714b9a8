"""Masks fine enough to measure: a pretrained net fine-tuned on the labels of pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.lifecycle.augment import vary
from models.lifecycle.backbone import normalised
from models.lifecycle.classify_fit import Draw, FitPlan, channels_last, parameter_groups
from models.lifecycle.evaluate import auroc
from models.lifecycle.loop import Curve, Tick, step_rng, train
from models.lifecycle.material import Material
from models.lifecycle.task_nets import SegmentNetwork


def fit(
    net: SegmentNetwork,
    train_on: Material,
    validate_on: Material,
    plan: FitPlan,
    show: Callable[[Tick], None],
    checkpoint: Path | None = None,
) -> Curve:
    """Fine-tune the net in place; kept is the best on validation: AUROC of the worst pixel and overlap of the masks."""
    draw = Draw(train_on)
    maps = [train_on.label_map(i) for i in range(len(train_on))]
    truth = [validate_on.label_map(i) for i in range(len(validate_on))]
    classes = 1 + len(train_on.classes)

    def batch_of(step: int) -> tuple[Tensor, Tensor]:
        rng = step_rng(plan.seed, step)
        varied = [vary(train_on.pixels[i], maps[i], rng, plan.augment) for i in draw(plan.batch, rng)]
        labels = np.stack([cells_of(cast(NDArray[np.uint8], labels), net.STRIDE) for _, labels in varied])
        return normalised(np.stack([pixels for pixels, _ in varied])), torch.from_numpy(labels.astype(np.int64))

    def loss_of(batch: tuple[Tensor, Tensor]) -> Tensor:
        pictures, labels = batch
        return mask_loss(cast(Tensor, net(pictures)), labels, classes)

    def validate() -> float:
        scores, overlap = _look(net, validate_on, truth)
        ranked = auroc(scores, validate_on.defective)
        return (ranked if np.isfinite(ranked) else 1.0) + 0.25 * overlap

    channels_last(net)
    return train(
        net, parameter_groups(net), batch_of, loss_of, plan.loop(), show, validate=validate, checkpoint=checkpoint
    )


def cells_of(labels: NDArray[np.uint8], stride: int) -> NDArray[np.uint8]:
    """The class of each cell: the rarest that covers a quarter of it, else none."""
    height, width = labels.shape[0] // stride, labels.shape[1] // stride
    blocks = labels.reshape(height, stride, width, stride).transpose(0, 2, 1, 3).reshape(height, width, -1)
    cells = np.zeros((height, width), np.uint8)
    for number in np.unique(labels):
        if number:
            cells[(blocks == number).mean(2) >= 0.25] = number
    return cells


def mask_loss(logits: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Cross entropy, overlap (Dice) of the classes that occur, and each picture's worst cell against its label."""
    weight = torch.full((classes,), 3.0)
    weight[0] = 1.0
    entropy = nn.functional.cross_entropy(logits, labels, weight=weight)
    chances = torch.softmax(logits, 1)
    truth = nn.functional.one_hot(labels, classes).permute(0, 3, 1, 2).float()
    shared = (chances * truth)[:, 1:].sum((0, 2, 3))
    total = (chances + truth)[:, 1:].sum((0, 2, 3))
    occurs = truth[:, 1:].sum((0, 2, 3)) > 0
    dice = (1 - (2 * shared + 1) / (total + 1))[occurs]
    # log(1 - P(background)) against log P(background), of the cell that looks worst.
    doubt = torch.logsumexp(logits[:, 1:], 1) - logits[:, 0]
    worst = nn.functional.avg_pool2d(doubt[:, None], 3, 1, 1, count_include_pad=False).flatten(1).amax(1)
    defective = (labels > 0).flatten(1).any(1).float()
    ranked = nn.functional.binary_cross_entropy_with_logits(worst, defective)
    return 2 * entropy + (dice.mean() if bool(occurs.any()) else 0.0) + 0.5 * ranked


def _look(net: nn.Module, material: Material, truth: list[NDArray[np.uint8]]) -> tuple[NDArray[np.float64], float]:
    """The worst cell's chance of a defect in each picture, and the mean overlap of marked with true defects."""
    scores: list[float] = []
    shared = total = 0
    with torch.inference_mode():
        for pixels, labels in zip(material.pixels, truth, strict=True):
            chances = torch.softmax(cast(Tensor, net(normalised(pixels[None]))), 1)[0].numpy()
            scores.append(float(chances[1:].max()))
            cells = cells_of(labels, labels.shape[0] // chances.shape[1]) > 0
            marked = 1 - chances[0] > 0.5
            shared += int((cells & marked).sum())
            total += int((cells | marked).sum())
    return np.array(scores), shared / total if total else 1.0
