"""The training loop: same net after an interruption, early stopping, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")

import torch
from torch import Tensor, nn

from models.lifecycle.loop import Curve, LoopPlan, Tick, step_rng, train
from models.lifecycle.progress import sparkline

pytestmark = pytest.mark.timeout(600)

PLAN = LoopPlan(steps=20, rates=(0.05,), validate_every=5, checkpoint_every=4, threads=1)


class Killed(Exception):
    pass


def net() -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(3, 1)


def run(model: nn.Linear, checkpoint: Path | None = None, kill_at: int = 0, plan: LoopPlan = PLAN) -> Curve:
    def batch_of(step: int) -> Tensor:
        if step == kill_at:
            raise Killed
        return torch.from_numpy(step_rng(1, step).normal(size=(8, 3))).float()

    def loss_of(batch: Tensor) -> Tensor:
        return (model(batch)[:, 0] - batch.sum(1)).square().mean()

    def validate() -> float:
        return -float((model.weight.detach() - 1).abs().sum())

    return train(
        model, [list(model.parameters())], batch_of, loss_of, plan, lambda _: None, validate=validate,
        checkpoint=checkpoint,
    )  # fmt: skip


def test_killed_and_resumed_is_the_same_net_and_curve(tmp_path: Path) -> None:
    whole, resumed = net(), net()
    expected = run(whole)
    with pytest.raises(Killed):
        run(resumed, tmp_path / "c.pt", kill_at=15)
    again = net()
    curve = run(again, tmp_path / "c.pt")
    assert torch.equal(whole.weight, again.weight)
    assert curve == expected and len(curve.losses) == 20 and set(curve.validations) == {5, 10, 15, 20}


def test_learns_and_keeps_the_best() -> None:
    model = net()
    curve = run(model, plan=LoopPlan(steps=120, rates=(0.05,), validate_every=20, threads=1))
    assert curve.losses[-1] < curve.losses[0] / 10
    assert -float((model.weight.detach() - 1).abs().sum()) == pytest.approx(curve.best, abs=1e-6)


def test_stops_when_validation_gets_no_better() -> None:
    model = net()
    falling = iter(range(100, 0, -1))
    ticks: list[Tick] = []
    curve = train(
        model, [list(model.parameters())], lambda step: step,
        lambda _: model.weight.square().sum(), LoopPlan(100, (0.1,), validate_every=5, patience=3, threads=1),
        ticks.append, validate=lambda: float(next(falling)),
    )  # fmt: skip
    assert curve.best_step == 5 and len(curve.losses) == 20
    assert [t.validation for t in ticks if t.validation is not None] == [100, 99, 98, 97]


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    model = net()
    with pytest.raises(FloatingPointError, match="step 1"):
        train(model, [list(model.parameters())], lambda s: s, lambda _: model.weight.sum() * float("nan"), PLAN,
              lambda _: None)  # fmt: skip


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    run(net(), tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"another plan \(seed\)"):
        run(net(), tmp_path / "c.pt", plan=LoopPlan(20, (0.05,), 2, validate_every=5, checkpoint_every=4, threads=1))


def test_curve_in_one_line() -> None:
    assert sparkline([3, 2, 1]) == "█▅▁"
    assert len(sparkline(list(range(1000)))) == 20
    assert sparkline([]) == "" and sparkline([2.0, 2.0]) == "▁▁"
