"""Percentiles and a table; nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)
