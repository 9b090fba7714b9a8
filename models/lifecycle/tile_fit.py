"""Fitting a TileNet to pictures with pixel masks: augmented batches, half of them with a defect."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.lifecycle.backbone import FROZEN, STRIDE, normalised
from models.lifecycle.data.pictures import Grey, Pictures
from models.lifecycle.tile_net import TileNet

Cells = NDArray[np.float32]
Batch = tuple[NDArray[np.float32], Cells]
Progress = Callable[[str], None]

COVERED, CLEAR = 0.12, 0.01
"""A cell with more than the first share of defect pixels is one; between the two shares it is not asked."""


@dataclass(frozen=True, slots=True)
class TilePlan:
    """How to fit. A step is one batch; half of a batch is good. head_rate, body_rate: peak learning rates."""

    steps: int = 400
    batch: int = 8
    head_rate: float = 3e-3
    body_rate: float = 5e-4
    defect_weight: float = 5.0
    threads: int = 2
    seed: int = 1


def fit(net: TileNet, pictures: Pictures, plan: TilePlan, progress: Progress) -> float:
    """Fit the net in place; returns the mean loss of the last tenth of the steps.

    The same plan and pictures give the same net on the same machine. Raises ValueError without good or without
    defective pictures.
    """
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    # Channels last: a step takes two thirds of the time on a CPU.
    _laid_out(net, torch.channels_last)
    _train_mode(net)
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for name, p in net.named_parameters() if not name.startswith("backbone.")]},
            {"params": list(net.backbone.blocks[FROZEN:].parameters())},
        ],
        weight_decay=1e-2,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [plan.head_rate, plan.body_rate], total_steps=plan.steps, pct_start=0.15
    )
    losses: list[float] = []
    started = time.monotonic()
    for step, (batch, cells) in zip(range(1, plan.steps + 1), batches(pictures, plan), strict=False):
        loss = _loss(cast(Tensor, net(normalised(batch))), torch.from_numpy(cells), plan.defect_weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % max(1, plan.steps // 8) == 0:
            recent = float(np.mean(losses[-plan.steps // 8 :]))
            progress(f"step {step}/{plan.steps}, loss {recent:.3f}, {time.monotonic() - started:.0f} s")
    _laid_out(net, torch.contiguous_format)
    net.eval()
    return float(np.mean(losses[-max(1, plan.steps // 10) :]))


def batches(pictures: Pictures, plan: TilePlan) -> Iterator[Batch]:
    """Endless augmented batches: pixels (N, H, W) from 0 to 255, share of defect in each cell (N, H / 8, W / 8)."""
    rng = np.random.default_rng(plan.seed)
    good, kinds = _by_kind(pictures)
    # Rare kinds come more often than their share, not as often as the common ones: a few pictures teach only so much.
    chances = np.sqrt([len(kind) for kind in kinds])
    chances /= chances.sum()
    while True:
        bad = [int(rng.choice(kinds[int(rng.choice(len(kinds), p=chances))])) for _ in range(plan.batch // 2)]
        chosen = [*bad, *(int(index) for index in rng.choice(good, plan.batch - len(bad)))]
        drawn = [augment(pictures.pixels[index], pictures.masks[index], rng) for index in chosen]
        yield np.stack([pixels for pixels, _ in drawn]), np.stack([cells for _, cells in drawn])


def augment(pixels: Grey, mask: Grey, rng: np.random.Generator) -> tuple[NDArray[np.float32], Cells]:
    """One picture as another exposure of another tile might show it, with its mask moved along."""
    side = pixels.shape[0]
    scale, angle = rng.uniform(0.85, 1.2, 2), np.deg2rad(rng.uniform(-4, 4))
    flips = np.where(rng.random(2) < 0.5, -1.0, 1.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * (scale * flips)
    middle = np.full(2, (side - 1) / 2)
    shift = middle - turn @ middle + rng.uniform(-0.04, 0.04, 2) * side
    matrix = np.hstack([turn, shift[:, None]]).astype(np.float32)
    moved = cv2.warpAffine(pixels, matrix, (side, side), borderMode=cv2.BORDER_REFLECT).astype(np.float32)
    moved_mask = cv2.warpAffine(mask, matrix, (side, side), borderMode=cv2.BORDER_REFLECT)
    lit = 255 * (moved / 255) ** rng.uniform(0.7, 1.4) * rng.uniform(0.75, 1.3)
    lit += rng.normal(0, rng.uniform(0, 4), lit.shape)
    return np.clip(lit, 0, 255).astype(np.float32), cells_of(cast(Grey, moved_mask))


def cells_of(mask: Grey) -> Cells:
    """Share of each map cell that a mask of 0 and 255 covers."""
    size = (mask.shape[1] // STRIDE, mask.shape[0] // STRIDE)
    return cast(Cells, cv2.resize(mask.astype(np.float32) / 255, size, interpolation=cv2.INTER_AREA))


def _by_kind(pictures: Pictures) -> tuple[list[int], list[list[int]]]:
    good = [index for index, sample in enumerate(pictures.samples) if sample.is_good]
    kinds: dict[str, list[int]] = {}
    for index, sample in enumerate(pictures.samples):
        for name in sample.classes:
            kinds.setdefault(name, []).append(index)
    if not good or not kinds:
        raise ValueError(f"{len(good)} good pictures and {len(kinds)} kinds of defect: both are needed")
    return good, [kinds[label] for label in sorted(kinds)]


def _train_mode(net: TileNet) -> None:
    """Training mode, but for batch normalisation: eight pictures are too few to measure its statistics anew."""
    net.train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _laid_out(net: Any, memory_format: torch.memory_format) -> None:
    """Change how weights lie in memory. torch's own annotations do not know this keyword by itself."""
    net.to(memory_format=memory_format)


def _loss(logits: Tensor, cells: Tensor, defect_weight: float) -> Tensor:
    """Cross entropy of every cell, and of each picture's worst cell against whether it shows a defect at all."""
    target = (cells > COVERED).float()
    asked = (target + (cells < CLEAR).float()) * (1 + (defect_weight - 1) * target)
    each = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target, weight=asked)
    worst = logits.flatten(1).amax(1)
    defective = target.flatten(1).amax(1)
    return 4 * each + nn.functional.binary_cross_entropy_with_logits(worst, defective)


def calibration_pictures(pictures: Pictures, count: int, seed: int) -> Sequence[Grey]:
    """Pictures from which INT8 ranges are taken: half good, half defective where there are enough."""
    rng = np.random.default_rng(seed)
    bad = [index for index, sample in enumerate(pictures.samples) if not sample.is_good]
    good = [index for index, sample in enumerate(pictures.samples) if sample.is_good]
    chosen: list[int] = []
    for group in (bad, good):
        chosen += [int(index) for index in rng.permutation(group)[: count // 2]]
    return [pictures.pixels[index] for index in chosen]
