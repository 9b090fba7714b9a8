"""Confidences that mean what they say: of the findings at 0.8, eight in ten are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.lifecycle.evaluate import Scores, Truth


@dataclass(frozen=True, slots=True)
class Bin:
    """Samples whose confidence lies in one tenth: how sure the model was of them, and how often it was right."""

    confidence: float
    share_right: float
    count: int


def platt(logits: Scores, truth: Truth, steps: int = 50) -> tuple[float, float]:
    """slope and shift with which sigmoid(slope * logit + shift) is likeliest (Platt 1999, with his softened targets).

    Too few samples of a kind to say anything (under three): 1 and 0. The slope stays positive: calibration never turns
    the order round.
    """
    good, bad = int((~truth).sum()), int(truth.sum())
    if min(good, bad) < 3:
        return 1.0, 0.0
    target = np.where(truth, (bad + 1) / (bad + 2), 1 / (good + 2))
    scale = float(np.std(logits)) or 1.0
    points = np.stack([logits / scale, np.ones_like(logits)], 1)
    # A weak pull to the logits as they are keeps perfectly parted samples from an endless slope.
    start = np.array([scale, 0.0])
    weights = start.copy()
    pull = np.diag([0.05, 0.01])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(points @ weights, -30, 30)))
        gradient = points.T @ (chance - target) + pull @ (weights - start)
        curvature = (points * (chance * (1 - chance))[:, None]).T @ points + pull
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    return max(float(weights[0] / scale), 1e-3), float(weights[1])


def reliability(confidences: Scores, truth: Truth, bins: int = 10) -> tuple[Bin, ...]:
    """How often the model is right in each tenth of confidence that holds samples."""
    place = np.clip((confidences * bins).astype(int), 0, bins - 1)
    return tuple(
        Bin(float(confidences[inside].mean()), float(truth[inside].mean()), int(inside.sum()))
        for number in range(bins)
        if (inside := place == number).any()
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Mean distance of confidence from being right, weighted by samples (ECE)."""
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.confidence - b.share_right) for b in bins) / total if total else float("nan")
