"""Several defect types in one picture: a pretrained net fine-tuned on labels alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.lifecycle.augment import Augmentation, vary
from models.lifecycle.backbone import FROZEN, normalised
from models.lifecycle.evaluate import auroc
from models.lifecycle.loop import Curve, LoopPlan, Tick, step_rng, train
from models.lifecycle.material import Material
from models.lifecycle.task_nets import ClassifyNet

_AUGMENT = Augmentation(turn_degrees=5, zoom=(0.9, 1.1), gamma=(0.8, 1.25), gain=(0.8, 1.2))


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How to fit a supervised task: steps of `batch` pictures, half of them defective."""

    steps: int = 400
    batch: int = 8
    head_rate: float = 2e-3
    body_rate: float = 4e-4
    seed: int = 1
    checks: int = 8
    patience: int = 4
    threads: int = 2
    augment: Augmentation = _AUGMENT

    def loop(self) -> LoopPlan:
        """The same for the training loop."""
        every = max(1, self.steps // max(1, self.checks))
        return LoopPlan(
            self.steps,
            (self.head_rate, self.body_rate),
            self.seed,
            validate_every=every,
            patience=self.patience,
            threads=self.threads,
        )


def parameter_groups(net: Any) -> list[list[nn.Parameter]]:
    """The head's parameters, and the backbone's that are not frozen."""
    body = [p for block in net.backbone.blocks[FROZEN:] for p in block.parameters()]
    return [[p for name, p in net.named_parameters() if not name.startswith("backbone.")], body]


def channels_last(net: Any) -> None:
    """Change how weights lie in memory: a step takes two thirds of the time on a CPU."""
    net.to(memory_format=torch.channels_last)


class Draw:
    """Which samples a step sees: half defective, rare defect types more often than their share, certain labels more."""

    def __init__(self, material: Material) -> None:
        self.good = np.flatnonzero(~material.defective)
        self.bad = np.flatnonzero(material.defective)
        if not self.bad.size:
            raise ValueError("no sample of the train split has a defect: label some, or use the anomaly task")
        counts = material.shown.sum(0).clip(1)
        rarity = np.array([(1 / np.sqrt(counts[row])).max() if row.any() else 1.0 for row in material.shown[self.bad]])
        self._weights = rarity / rarity.sum()

    def __call__(self, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        bad = size if not self.good.size else size // 2
        chosen = rng.choice(self.bad, bad, p=self._weights)
        return np.concatenate([chosen, rng.choice(self.good, size - bad)]) if bad < size else chosen


def fit(
    net: ClassifyNet,
    train_on: Material,
    validate_on: Material,
    plan: FitPlan,
    show: Callable[[Tick], None],
    checkpoint: Path | None = None,
) -> Curve:
    """Fine-tune the net in place; the best on validation (AUROC of defective against good, or mean over types)."""
    draw, targets = Draw(train_on), _targets(train_on)

    def batch_of(step: int) -> tuple[Tensor, Tensor]:
        rng = step_rng(plan.seed, step)
        chosen = draw(plan.batch, rng)
        pixels = np.stack([vary(train_on.pixels[i], None, rng, plan.augment)[0] for i in chosen])
        return normalised(pixels), torch.from_numpy(targets[chosen])

    def loss_of(batch: tuple[Tensor, Tensor]) -> Tensor:
        pictures, wanted = batch
        # Softened targets: a label is right in most cases, not in all.
        return nn.functional.binary_cross_entropy_with_logits(net(pictures), wanted * 0.96 + 0.02)

    channels_last(net)
    return train(
        net,
        parameter_groups(net),
        batch_of,
        loss_of,
        plan.loop(),
        show,
        validate=lambda: ranking(logits_of(net, validate_on), validate_on),
        checkpoint=checkpoint,
    )


def logits_of(net: nn.Module, material: Material) -> NDArray[np.float64]:
    """(n, 1 + classes), one picture at a time."""
    with torch.inference_mode():
        return np.array([cast(Tensor, net(normalised(p[None])))[0].numpy() for p in material.pixels], np.float64)


def ranking(logits: NDArray[np.float64], material: Material) -> float:
    """Mean AUROC: of being defective at all, and of each defect type that some samples have and some have not."""
    truths = np.column_stack([material.defective, material.shown])
    found = [auroc(logits[:, i], truths[:, i]) for i in range(truths.shape[1])]
    known = [value for value in found if np.isfinite(value)]
    return float(np.mean(known)) if known else 0.5


def _targets(material: Material) -> NDArray[np.float32]:
    return np.column_stack([material.defective, material.shown]).astype(np.float32)
