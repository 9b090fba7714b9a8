"""Boxes around defects: an anchor-free detector fine-tuned on crops, so that small defects of large frames stay large.

The net is convolutional throughout: what is learnt on crops runs on the whole frame at its own resolution, without the
seams that tiles have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.decode import detect as decoder
from models.finding import RawFinding
from models.lifecycle.augment import Augmentation, lit, motion
from models.lifecycle.average_precision import mean_average_precision
from models.lifecycle.backbone import STRIDE, normalised
from models.lifecycle.classify_fit import Draw, FitPlan, channels_last, parameter_groups
from models.lifecycle.describe import draft
from models.lifecycle.loop import Curve, Tick, step_rng, train
from models.lifecycle.material import Boxes, Material
from models.lifecycle.task_nets import DetectNet, DetectOutput, boxes_of

VISIBLE = 0.4
"""A defect of which a crop shows less is not asked for in it, nor counted as background."""


@dataclass(frozen=True, slots=True)
class DetectPlan:
    """crop: side of the training pictures, a multiple of 16; a smaller picture is shown whole."""

    fit: FitPlan = field(default_factory=lambda: FitPlan(augment=Augmentation(turn_degrees=0, quarter=True, noise=3)))
    crop: int = 256
    iou: float = 0.5


def fit(
    net: DetectNet,
    train_on: Material,
    validate_on: Material,
    plan: DetectPlan,
    show: Callable[[Tick], None],
    checkpoint: Path | None = None,
) -> Curve:
    """Fine-tune the net in place; the best on validation, by mean average precision."""
    draw = Draw(train_on)
    boxes = [train_on.boxes(i) for i in range(len(train_on))]
    truth = [validate_on.boxes(i) for i in range(len(validate_on))]
    side = min(plan.crop, train_on.format.width, train_on.format.height) // 16 * 16

    def batch_of(step: int) -> tuple[Tensor, list[Boxes]]:
        rng = step_rng(plan.fit.seed, step)
        drawn = [crop(train_on.pixels[i], boxes[i], side, rng, plan.fit.augment) for i in draw(plan.fit.batch, rng)]
        return normalised(np.stack([pixels for pixels, _ in drawn])), [found for _, found in drawn]

    def loss_of(batch: tuple[Tensor, list[Boxes]]) -> Tensor:
        pictures, found = batch
        logits, sides = cast(tuple[Tensor, Tensor], net(pictures))
        return detect_loss(logits, sides, found)

    def validate() -> float:
        return mean_average_precision(detections(net, validate_on), truth, validate_on.classes, plan.iou)

    channels_last(net)
    return train(
        net, parameter_groups(net), batch_of, loss_of, plan.fit.loop(), show, validate=validate, checkpoint=checkpoint
    )


def crop(
    pixels: NDArray[np.uint8], boxes: Boxes, side: int, rng: np.random.Generator, plan: Augmentation
) -> tuple[NDArray[np.float32], Boxes]:
    """A varied square of the picture and the boxes in it; one of a defect that is hardly seen has class -1.

    Eight times in ten a defect lies in it, if there is one.
    """
    height, width = pixels.shape[:2]
    matrix = motion(height, width, rng, plan)
    aim = rng.uniform((0, 0), (width, height))
    if len(boxes) and rng.random() < 0.8:
        box = boxes[int(rng.integers(len(boxes)))]
        aim = rng.uniform(box[1:3], box[3:5])
    if max(height, width) <= side * 1.05:
        aim = np.array([width / 2, height / 2])
        wanted = np.full(2, side / 2) + rng.uniform(-plan.shift, plan.shift, 2) * side
    else:
        wanted = rng.uniform(0.15, 0.85, 2) * side
    matrix[:, 2] += wanted - (matrix[:, :2] @ aim + matrix[:, 2])
    moved = cv2.warpAffine(pixels, matrix, (side, side), borderValue=[float(pixels.mean())] * 3)
    return lit(moved.astype(np.float32), rng, plan), moved_boxes(boxes, matrix, side)


def moved_boxes(boxes: Boxes, matrix: NDArray[np.float32], side: int) -> Boxes:
    """Boxes after a motion, cut at the edges of the crop."""
    if not len(boxes):
        return boxes
    corners = boxes[:, [[1, 2], [3, 2], [3, 4], [1, 4]]] @ matrix[:, :2].T + matrix[:, 2]
    whole = np.concatenate([corners.min(1), corners.max(1)], 1)
    cut = np.clip(whole, 0, side)
    seen = _areas(cut) / np.maximum(_areas(whole), 1e-6)
    classes = np.where(seen >= VISIBLE, boxes[:, 0], -1.0)
    return np.concatenate([classes[:, None], cut], 1).astype(np.float32)[seen > 0.02]


def _areas(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip(corners[:, 2:] - corners[:, :2], 0, None).prod(1)


def targets(boxes: Boxes, classes: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """What each cell (of h * w) is asked: its class or -1, its box, and whether it is asked at all.

    Cells around a box's middle answer for it; where boxes overlap, for the smaller one. The cells between that middle
    and the box's edge are asked for nothing: they see the defect, but are too far off to measure it.
    """
    kind = torch.full((height * width,), -1, dtype=torch.int64)
    wanted = torch.zeros(height * width, 4)
    asked = torch.ones(height * width, dtype=torch.bool)
    ys, xs = np.mgrid[0:height, 0:width]
    middles = np.stack([xs.ravel() + 0.5, ys.ravel() + 0.5], 1) * STRIDE
    for row in sorted(boxes, key=lambda b: -float((b[3] - b[1]) * (b[4] - b[2]))):
        low, high = row[1:3], row[3:5]
        middle, half = (low + high) / 2, (high - low) / 2
        inside = ((middles > low) & (middles < high)).all(1)
        if row[0] < 0:
            asked[torch.from_numpy(inside & (kind.numpy() < 0))] = False
            continue
        near = (np.abs(middles - middle) <= np.maximum(0.4 * half, 0.75 * STRIDE)).all(1)
        core = inside & near
        if not core.any():
            core = np.arange(len(middles)) == np.abs(middles - middle).sum(1).argmin()
        asked[torch.from_numpy(inside & ~core & (kind.numpy() < 0))] = False
        chosen = torch.from_numpy(core)
        asked[chosen], kind[chosen] = True, int(row[0])
        wanted[chosen] = torch.from_numpy(row[1:5])
    return kind, wanted, asked


def detect_loss(logits: Tensor, sides: Tensor, boxes: list[Boxes]) -> Tensor:
    """Focal loss of the classes, whose target is how well the cell's box fits (so that sure boxes are good boxes), and
    generalised overlap of the boxes."""
    classes, height, width = logits.shape[1:]
    rows = [targets(b, classes, height, width) for b in boxes]
    kind, wanted, asked = (torch.stack([row[i] for row in rows]).flatten(0, 1) for i in range(3))
    found = boxes_of(sides).permute(0, 2, 3, 1).reshape(-1, 4)
    scores = logits.permute(0, 2, 3, 1).reshape(-1, classes)
    positive = kind >= 0
    count = max(1, int(positive.sum()))
    fit_, general = _overlaps(found[positive], wanted[positive])
    quality = torch.zeros_like(scores)
    quality[positive, kind[positive]] = fit_.detach().clamp(0.1, 1)
    chance = torch.sigmoid(scores)
    weight = (quality - chance.detach()).abs().square() * asked[:, None]
    focal = nn.functional.binary_cross_entropy_with_logits(scores, quality, weight=weight, reduction="sum")
    return focal / count + 2 * (1 - general).sum() / count


def detections(net: DetectNet, material: Material, least: float = 0.03) -> list[tuple[RawFinding, ...]]:
    """Findings in each picture, in pixels of the samples' own pictures as they are in `material` (the input's size)."""
    output = DetectOutput(net, torch.ones(1), torch.zeros(1)).eval()
    about = draft("detect", material.classes, material.format, unsure_from=least)
    width, height = material.format.width, material.format.height
    found: list[tuple[RawFinding, ...]] = []
    with torch.inference_mode():
        for pixels in material.pixels:
            raw = cast(Tensor, output(normalised(pixels[None]))).numpy()
            found.append(decoder.decode({"output0": raw}, about, width, height).findings)
    return found


def _overlaps(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and the same less the share of the hull that neither covers, of pairs of boxes."""

    def area(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp(min=0).prod(1)

    low, high = torch.maximum(found[:, :2], wanted[:, :2]), torch.minimum(found[:, 2:], wanted[:, 2:])
    shared = area(low, high)
    union = area(found[:, :2], found[:, 2:]) + area(wanted[:, :2], wanted[:, 2:]) - shared
    hull = area(torch.minimum(found[:, :2], wanted[:, :2]), torch.maximum(found[:, 2:], wanted[:, 2:]))
    iou = shared / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)
