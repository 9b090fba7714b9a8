"""The gate: INT8 is measured against FP32 on validation, and ships only where it loses next to nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from models.lifecycle.thresholds import Chosen

MOST_LOST, MOST_RECALL_LOST = 0.005, 0.01
"""Half a point of the task's metric; a point of any defect type's recall."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One graph on validation: the task's metric, and each defect type's lines with their recall."""

    precision: str
    metric: float
    chosen: Mapping[str, Chosen] = field(default_factory=dict[str, Chosen])


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a graph may ship, and why not."""

    passed: bool
    reasons: tuple[str, ...]
    lost: float


def rule(reference: Measured, candidate: Measured) -> Ruling:
    """Hold a graph against FP32. A figure that is no number never passes, unless neither graph could have one.

    Recall is compared at lines that were chosen for each graph by the same rule. Of a type with fewer than a hundred
    defects in validation, one that is lost is more than a point: more pictures make the gate fairer, not laxer.
    """
    lost = reference.metric - candidate.metric
    reasons: list[str] = []
    unknown = math.isnan(reference.metric) and math.isnan(candidate.metric)
    if not unknown and not lost <= MOST_LOST:
        reasons.append(
            f"the metric falls from {reference.metric:.4f} to {candidate.metric:.4f}, by more than {MOST_LOST}"
        )
    for name, before in reference.chosen.items():
        after = candidate.chosen.get(name)
        if after is None:
            reasons.append(f"{name}: no lines for {candidate.precision}")
            continue
        if not before.caught - after.caught <= MOST_RECALL_LOST + 1e-9:
            reasons.append(
                f"{name}: recall falls from {before.caught:.3f} to {after.caught:.3f} of {before.defects} defects"
            )
    return Ruling(not reasons, tuple(reasons), 0.0 if unknown else lost)
