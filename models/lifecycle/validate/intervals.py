"""Rates with exact intervals, and how many more parts it takes to prove one.

Clopper and Pearson (1934): the interval holds the true rate in at least 95 of 100 cases, whatever the rate and the
count; it never promises too much, as approximations do at the 0 and 1 that inspection is about.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
_STEPS = 60
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `total`; NaN and the whole range from 0 to 1 where there is nothing to count."""

    hits: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.total:
            raise ValueError(f"{self.hits} of {self.total} is no rate")

    @property
    def value(self) -> float:
        return self.hits / self.total if self.total else math.nan

    @property
    def low(self) -> float:
        """Lower bound of the exact interval."""
        if not self.hits:
            return 0.0
        return _solve(lambda p: at_least(self.hits, self.total, p) - (1 - LEVEL) / 2)

    @property
    def high(self) -> float:
        """Upper bound of the exact interval."""
        if self.hits == self.total:
            return 1.0
        return _solve(lambda p: (1 - LEVEL) / 2 - (1 - at_least(self.hits + 1, self.total, p)))

    def __str__(self) -> str:
        if not self.total:
            return "none to count"
        return f"{self.value:.1%} ({self.hits}/{self.total}, 95 %: {self.low:.1%} to {self.high:.1%})"


def at_least(hits: int, total: int, rate: float) -> float:
    """Chance of so many hits or more in so many tries: the upper tail of the binomial distribution."""
    if hits <= 0:
        return 1.0
    if rate <= 0 or rate >= 1:
        return float(rate >= 1)
    ways = np.arange(hits, total + 1)
    return min(
        1.0, float(np.exp(_chosen(hits, total) + ways * math.log(rate) + (total - ways) * math.log1p(-rate)).sum())
    )


@lru_cache(maxsize=4)
def _chosen(hits: int, total: int) -> NDArray[np.float64]:
    """Logarithm of the number of ways to choose `hits` and more of `total`."""
    ways = range(hits, total + 1)
    return np.array([math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) for k in ways])


def more_to_prove(found: Rate, wanted: float) -> int | None:
    """How many more defects must be shown until the interval lies above the wanted recall, if the model goes on as so
    far; 0: proven. None: never, the recall itself is not above it.

    Misses to come are counted up: nobody is promised that they stop. Raises ValueError for a rate outside 0 to 1.
    """
    if not 0 < wanted < 1:
        raise ValueError(f"a recall of {wanted} cannot be proven: name one between 0 and 1")
    if found.total and found.value <= wanted:
        return None
    missed = 1 - found.value if found.total else 0.0

    def proven(total: int) -> bool:
        misses = found.total - found.hits + math.ceil(missed * (total - found.total) - 1e-9)
        return misses < total and Rate(total - misses, total).low >= wanted

    if proven(max(found.total, 1)) and found.total:
        return 0
    most = max(found.total, 16)
    while not proven(most):
        most *= 2
        if most > _MOST:
            return None
    least = max(found.total, 1)
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if proven(middle) else (middle, most)
    return most - found.total


def _solve(rises: Callable[[float], float]) -> float:
    """Where a rising function of a rate crosses 0, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) > 0 else (middle, high)
    return (low + high) / 2
