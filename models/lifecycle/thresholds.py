"""Where a confidence becomes UNSURE and where NG: the cheapest lines on validation that find enough defects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.catalogue import Catalogue, DefectType
from models.lifecycle.evaluate import Line, Scores, Truth


@dataclass(frozen=True, slots=True)
class Prices:
    """What a wrong answer costs, in money per part. escaped: a defect that passes. rejected: a good part that is
    thrown away. second_look: a person who looks at an UNSURE part."""

    escaped: float
    rejected: float
    second_look: float


@dataclass(frozen=True, slots=True)
class Aim:
    """What the lines are chosen for. recall: share of a type's defects that must be at least UNSURE, on validation.
    defect_share: of the parts on the line (validation holds far more defects than the line will)."""

    recall: float = 0.95
    defect_share: float = 0.02


@dataclass(frozen=True, slots=True)
class Chosen:
    """The lines of one defect type, and what they do on validation. cost: expected, per part."""

    line: Line
    caught: float
    sure: float
    unsure_good: float
    rejected_good: float
    cost: float
    defects: int
    good: int


def prices_of(catalogue: Catalogue, kind: DefectType) -> Prices:
    """By the gravest severity that is not tolerated: the size of a missed defect is not known."""
    severe = [limit.level for limit in kind.severities if limit.verdict == "NG"]
    escaped = max((catalogue.cost_of(level) for level in severe), default=0.0)
    return Prices(escaped, catalogue.costs.false_reject, catalogue.costs.second_look)


def choose(confidences: Scores, has_it: Truth, good: Truth, prices: Prices, aim: Aim) -> Chosen:
    """The cheapest two lines of one defect type among those that catch `aim.recall` of its defects.

    confidences: of this type, for each validation sample. good: samples that have no defect at all; those of other
    types say nothing about this one. Raises ValueError without defects or without good parts.
    """
    bad, fine = np.sort(confidences[has_it]), np.sort(confidences[good])
    if not (bad.size and fine.size):
        raise ValueError(f"{bad.size} defects and {fine.size} good parts in validation: both are needed for a line")
    lines = _between(np.concatenate([bad, fine]))
    missed = np.searchsorted(bad, lines, "right") / bad.size
    above = 1 - np.searchsorted(fine, lines, "right") / fine.size
    share = aim.defect_share
    # cost(u, n) splits into a part of u and a part of n, so either is chosen by itself.
    of_unsure = (
        share * (missed * prices.escaped - missed * prices.second_look) + (1 - share) * above * prices.second_look
    )
    of_ng = share * missed * prices.second_look + (1 - share) * above * (prices.rejected - prices.second_look)
    allowed = np.flatnonzero(1 - missed >= min(aim.recall, float(1 - missed.min())) - 1e-9)
    low = int(allowed[_last_least(of_unsure[allowed])])
    high = low + _last_least(of_ng[low:])
    return Chosen(
        Line(float(lines[low]), float(lines[high])),
        caught=float(1 - missed[low]),
        sure=float(1 - missed[high]),
        unsure_good=float(above[low] - above[high]),
        rejected_good=float(above[high]),
        cost=float(of_unsure[low] + of_ng[high]),
        defects=int(bad.size),
        good=int(fine.size),
    )


def choose_all(
    confidences: Scores, types: Truth, names: Sequence[str], good: Truth, catalogue: Catalogue, aim: Aim
) -> dict[str, Chosen]:
    """Lines for every defect type that validation shows; one that it does not show is left out."""
    kinds = {kind.name: kind for kind in catalogue.defects}
    return {
        name: choose(confidences[:, i], types[:, i], good, prices_of(catalogue, kinds[name]), aim)
        for i, name in enumerate(names)
        if name in kinds and types[:, i].any() and good.any()
    }


def with_lines(catalogue: Catalogue, lines: Mapping[str, Line]) -> Catalogue:
    """The catalogue with these confidences; types without lines keep theirs."""
    defects = tuple(
        kind.model_copy(update={"min_confidence": _share(line.unsure), "sure_confidence": _share(line.ng)})
        if (line := lines.get(kind.name)) is not None
        else kind
        for kind in catalogue.defects
    )
    return catalogue.model_copy(update={"defects": defects})


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 6)


def _between(values: Scores) -> Scores:
    """Candidate lines: half way between neighbours, so that none hangs on one sample, and one below them all."""
    steps = np.unique(values)
    return np.concatenate([[steps[0] - 1e-6], (steps[1:] + steps[:-1]) / 2, [steps[-1] + 1e-6]])


def _last_least(costs: Scores) -> int:
    """The place of the least cost; of several, the last: the line that troubles the fewest good parts."""
    return int(np.flatnonzero(costs <= costs.min() + 1e-12)[-1])
