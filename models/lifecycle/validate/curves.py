"""Curves over all thresholds: precision against recall, and risk against how many parts the UNSURE band leaves over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """A point for each threshold that makes a difference, thresholds falling. average: mean precision over recall."""

    thresholds: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    average: float


@dataclass(frozen=True, slots=True)
class Decided:
    """One width of the UNSURE band. coverage: parts decided without a person; risk: of those, decided wrongly."""

    band: float
    coverage: float
    risk: float


def precision_recall(scores: Scores, truth: Truth) -> PrecisionRecall:
    """Pictures from the highest score down count as found. Raises ValueError without a positive picture."""
    if not truth.any():
        raise ValueError("no picture shows the defect: there is no recall")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last = np.append(ranked[1:] != ranked[:-1], True)
    found = np.arange(1, scores.size + 1)[last]
    precision, recall = hits[last] / found, hits[last] / truth.sum()
    average = float((np.diff(recall, prepend=0.0) * precision).sum())
    return PrecisionRecall(tuple(ranked[last].tolist()), tuple(precision.tolist()), tuple(recall.tolist()), average)


def risk_coverage(scores: Scores, truth: Truth, line: float, steps: int = 41) -> tuple[Decided, ...]:
    """What a band of each width around the line would leave undecided, and how wrong the rest is.

    scores: 0 to 1, how bad. The band grows from nothing to everything, its ends in step: at share b the scores from
    line·(1 − b) to line + (1 − line)·b are UNSURE.
    """
    found: list[Decided] = []
    for share in np.linspace(0, 1, steps)[:-1]:
        low, high = line * (1 - share), line + (1 - line) * share
        good, bad = scores < low, scores >= high
        if share == 0:
            good = ~bad
        decided = int((good | bad).sum())
        wrong = int((good & truth).sum() + (bad & ~truth).sum())
        if decided:
            found.append(Decided(float(share), decided / scores.size, wrong / decided))
    return tuple(found)
