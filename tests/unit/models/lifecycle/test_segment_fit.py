"""The segmentation net and its training: shapes, learning, the schedule, and both exported graphs agreeing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

import torch

from models.lifecycle.segment_fit import Batch, FitPlan, fit
from models.lifecycle.segment_net import STRIDE, Probabilities, SegmentNet

PLAN = FitPlan(classes=2, steps=60, mean=100.0, std=50.0)


def bright_squares() -> Iterator[Batch]:
    """Class 1 is wherever the picture is bright."""
    rng = np.random.default_rng(2)
    while True:
        labels = np.kron(rng.integers(0, 2, (4, 4, 4)), np.ones((4, 4))).astype(np.uint8)
        pictures = np.kron(labels, np.ones((STRIDE, STRIDE))) * 120 + 40
        yield pictures.astype(np.uint8), labels


def test_output_has_a_cell_for_every_stride() -> None:
    net = Probabilities(SegmentNet(5)).eval()
    with torch.no_grad():
        chances = net(torch.zeros(2, 1, 64, 96))
    assert chances.shape == (2, 5, 64 // STRIDE, 96 // STRIDE)
    assert torch.allclose(chances.sum(1), torch.ones(2, 16, 24), atol=1e-5)


def test_learns_what_it_is_shown() -> None:
    net, report = fit(PLAN, bright_squares())
    pictures, labels = next(islice(bright_squares(), 70, None))
    normalised = torch.from_numpy(((pictures.astype(np.float32) - PLAN.mean) / PLAN.std)[:, None])
    with torch.no_grad():
        found = net(normalised).argmax(1).numpy()
    assert (found == labels).mean() > 0.97
    assert report.steps == 60
    assert not net.training


def test_same_seed_gives_the_same_net() -> None:
    plan = FitPlan(classes=2, steps=3, mean=100.0, std=50.0)
    one, _ = fit(plan, bright_squares())
    two, _ = fit(plan, bright_squares())
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-6)


def test_time_limit_ends_the_training() -> None:
    _, report = fit(FitPlan(classes=2, steps=10**6, mean=100.0, std=50.0, seconds=0.3), bright_squares())
    assert 1 <= report.steps < 10**6
