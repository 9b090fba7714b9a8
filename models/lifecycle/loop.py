"""The training loop of every task: one step after another, from a checkpoint where there is one.

A batch is a function of seed and step, so a run that was killed goes on from its checkpoint to the same net as one that
was not. The best net on validation is kept; a net that no longer gets better there ends the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """How long and how fast. rates: peak learning rate of each parameter group. validate_every: steps, 0 for never;
    patience: validations without a better one after which the run ends."""

    steps: int
    rates: tuple[float, ...]
    seed: int = 1
    warm_share: float = 0.1
    weight_decay: float = 1e-2
    validate_every: int = 0
    patience: int = 4
    checkpoint_every: int = 50
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Tick:
    """How the run stands: shown while it runs. loss: mean of the last steps. validation: the last, where there was
    one."""

    step: int
    steps: int
    loss: float
    seconds: float
    validation: float | None = None


@dataclass
class Curve:
    """Loss of every step, and validation by step."""

    losses: list[float] = field(default_factory=list[float])
    validations: dict[int, float] = field(default_factory=dict[int, float])
    best_step: int = 0

    @property
    def best(self) -> float:
        return self.validations.get(self.best_step, -math.inf)


def step_rng(seed: int, step: int) -> np.random.Generator:
    """The random numbers of one step, whichever steps ran before it."""
    return np.random.default_rng((seed, step))


def train(
    net: nn.Module,
    groups: Sequence[Sequence[nn.Parameter]],
    batch_of: Callable[[int], Batch],
    loss_of: Callable[[Batch], Tensor],
    plan: LoopPlan,
    show: Callable[[Tick], None],
    *,
    validate: Callable[[], float] | None = None,
    checkpoint: Path | None = None,
) -> Curve:
    """Train the net in place; it is in evaluation mode afterwards, with its best weights.

    batch_of: the batch of a step, from step_rng. validate: a figure that is better when higher, of the net in
    evaluation mode. checkpoint: a file that is written now and then, and read where it exists; one of another plan is
    refused with ValueError. Raises FloatingPointError when the loss is no number.
    """
    torch.set_num_threads(plan.threads)
    optimiser = torch.optim.AdamW(
        [{"params": list(group), "peak": rate} for group, rate in zip(groups, plan.rates, strict=True)],
        lr=0.0,
        weight_decay=plan.weight_decay,
    )
    curve, best, first = Curve(), _copy(net), 1
    if checkpoint is not None and checkpoint.exists():
        first, curve, best = _restore(checkpoint, plan, net, optimiser)
    started = time.monotonic()
    for step in range(first, plan.steps + 1):
        if _worn_out(curve, step, plan):
            break
        net.train()
        _keep_statistics(net)
        torch.manual_seed(plan.seed * 1_000_003 + step)
        _set_rates(optimiser, plan, step)
        loss = loss_of(batch_of(step))
        if not math.isfinite(float(loss.detach())):
            raise FloatingPointError(f"the loss is {float(loss.detach())} at step {step}: lower the learning rates")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for group in groups for p in group], 10.0)
        optimiser.step()
        curve.losses.append(float(loss.detach()))
        found = None
        if validate is not None and plan.validate_every and (step % plan.validate_every == 0 or step == plan.steps):
            net.eval()
            found = curve.validations[step] = validate()
            if found > curve.best or not curve.best_step:
                curve.best_step, best = step, _copy(net)
        if checkpoint is not None and (step % plan.checkpoint_every == 0 or step == plan.steps):
            _save(checkpoint, plan, step, net, optimiser, curve, best)
        if found is not None or step == 1 or step % max(1, plan.steps // 20) == 0:
            show(Tick(step, plan.steps, float(np.mean(curve.losses[-20:])), time.monotonic() - started, found))
    if curve.best_step:
        net.load_state_dict(best)
    net.eval()
    return curve


def _worn_out(curve: Curve, step: int, plan: LoopPlan) -> bool:
    since = [at for at in curve.validations if at > curve.best_step and at < step]
    return bool(curve.best_step) and len(since) >= plan.patience


def _set_rates(optimiser: torch.optim.Optimizer, plan: LoopPlan, step: int) -> None:
    """Up along a line, then down along a cosine."""
    warm = max(1.0, plan.warm_share * plan.steps)
    down = (step - warm) / max(1.0, plan.steps - warm)
    share = step / warm if step < warm else 0.5 * (1 + math.cos(math.pi * min(1.0, down)))
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * max(share, 1e-3)


def _keep_statistics(net: nn.Module) -> None:
    """A pretrained batch normalisation keeps its statistics: a small batch is too few to measure them anew."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _copy(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def _save(
    path: Path, plan: LoopPlan, step: int, net: nn.Module, optimiser: Any, curve: Curve, best: dict[str, Tensor]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    state = {
        "plan": asdict(plan),
        "step": step,
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "curve": asdict(curve),
        "best": best,
    }
    torch.save(state, new)
    new.replace(path)


def _restore(path: Path, plan: LoopPlan, net: nn.Module, optimiser: Any) -> tuple[int, Curve, dict[str, Tensor]]:
    state = cast(dict[str, Any], torch.load(path, map_location="cpu", weights_only=True))
    kept = {**state["plan"], "rates": tuple(state["plan"]["rates"])}
    if kept != asdict(plan):
        changed = ", ".join(sorted(key for key in kept if kept[key] != asdict(plan).get(key)))
        raise ValueError(f"{path} is of a run with another plan ({changed}): remove it to start anew")
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"]) + 1, Curve(**state["curve"]), state["best"]
