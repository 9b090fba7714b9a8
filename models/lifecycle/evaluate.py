"""How good a judge is on labelled pictures, and at which score to draw the line.

Nothing here trains: scores and verdicts go in, figures come out. Rates carry their Wilson interval, because a rate of a
few dozen pictures is a guess with a width.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from models.errors import ImageUnfit
from models.frame import Frame
from models.lane import Judge
from models.lifecycle.data.pictures import Pictures
from models.runner import Runner
from statemachines.vocabulary import Verdict

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `total`, with a 95 % interval after Wilson."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        return self.hits / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.total:
            return 0.0, 1.0
        share, square = self.hits / self.total, _Z95 * _Z95
        middle = share + square / (2 * self.total)
        spread = _Z95 * math.sqrt(share * (1 - share) / self.total + square / (4 * self.total * self.total))
        scale = 1 + square / self.total
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({self.hits}/{self.total}, 95 %: {low:.1%} to {high:.1%})"


@dataclass(frozen=True, slots=True)
class Line:
    """Where scores turn from good to UNSURE to NG: `score > ng` is NG, `score > unsure` is at least UNSURE."""

    unsure: float
    ng: float


def auroc(scores: Scores, defective: Truth) -> float:
    """Chance that a defective picture scores higher than a good one; a tie counts half. NaN without both kinds."""
    bad, good = scores[defective], np.sort(scores[~defective])
    if not (bad.size and good.size):
        return math.nan
    below = np.searchsorted(good, bad, "left") + np.searchsorted(good, bad, "right")
    return float(below.sum() / (2 * bad.size * good.size))


def choose_line(scores: Scores, defective: Truth, ng_share: float, unsure_share: float) -> Line:
    """The lowest lines that at most these shares of the good pictures cross.

    ng_share, unsure_share: of good pictures allowed above each line, 0 <= ng_share <= unsure_share < 1. Each line lies
    half way to the next good score, so that it does not hang on one picture. Raises ValueError without good pictures or
    for shares out of order.
    """
    good = np.sort(scores[~defective])[::-1]
    if not good.size or not 0 <= ng_share <= unsure_share < 1:
        raise ValueError(f"{good.size} good pictures, shares {ng_share} and {unsure_share}: no line can be drawn")
    return Line(unsure=_crossed_by(good, unsure_share), ng=_crossed_by(good, ng_share))


def _crossed_by(falling: Scores, share: float) -> float:
    allowed = min(int(share * falling.size), falling.size - 1)
    if allowed:
        return float((falling[allowed - 1] + falling[allowed]) / 2)
    # None may cross: as far above the highest as half its distance from the next.
    return float(falling[0] + (falling[0] - falling[min(1, falling.size - 1)]) / 2)


@dataclass
class Report:
    """What a judge answered about a set of pictures. Recall: NG or UNSURE (`caught`), and NG alone (`ng`)."""

    images: int
    auroc: float
    ng: Rate
    caught: Rate
    false_ng: Rate
    false_reject: Rate
    per_label: dict[str, Rate] = field(default_factory=dict[str, Rate])
    inference_ms: float = math.nan

    def figures(self) -> dict[str, float]:
        """By name, as a package's manifest keeps them."""
        low, high = self.caught.interval
        reject_low, reject_high = self.false_reject.interval
        return {
            "images": float(self.images),
            "image_auroc": round(self.auroc, 4),
            "recall": round(self.caught.value, 4),
            "recall_low95": round(low, 4),
            "recall_high95": round(high, 4),
            "recall_ng_only": round(self.ng.value, 4),
            "false_reject_rate": round(self.false_reject.value, 4),
            "false_reject_low95": round(reject_low, 4),
            "false_reject_high95": round(reject_high, 4),
            "false_ng_rate": round(self.false_ng.value, 4),
            "inference_ms_p50": round(self.inference_ms, 3),
            **{f"recall_{label}": round(rate.value, 4) for label, rate in sorted(self.per_label.items())},
        }


def report(scores: Scores, verdicts: Sequence[Verdict], pictures: Pictures, inference_ms: float) -> Report:
    """Figures from what a judge said about each picture. NO_DECISION counts as caught: the fallback rejects it."""
    defective = np.array([not sample.is_good for sample in pictures.samples])
    is_ng = np.array([verdict is Verdict.NG for verdict in verdicts])
    is_caught = np.array([verdict is not Verdict.OK for verdict in verdicts])
    shown = {name for sample in pictures.samples for name in sample.classes}
    return Report(
        images=len(pictures),
        auroc=auroc(scores, defective),
        ng=_rate(is_ng, defective),
        caught=_rate(is_caught, defective),
        false_ng=_rate(is_ng, ~defective),
        false_reject=_rate(is_caught, ~defective),
        per_label={
            name: _rate(is_caught, np.array([name in sample.classes for sample in pictures.samples]))
            for name in sorted(shown)
        },
        inference_ms=inference_ms,
    )


def _rate(hit: Truth, among: Truth) -> Rate:
    return Rate(int((hit & among).sum()), int(among.sum()))


def judge_all(judge: Judge, pictures: Pictures, view: str = "top") -> tuple[list[Verdict], float]:
    """Verdict of every picture on the station's own path, and the median time of one in ms.

    A picture that is unfit to be judged is NO_DECISION, as on the line. Raises InferenceFailed.
    """
    verdicts: list[Verdict] = []
    times: list[float] = []
    for number, pixels in enumerate(pictures.pixels, 1):
        frame = Frame(view, pixels, exposed_at=0, counter=number, camera="evaluation")
        started = time.perf_counter()
        try:
            verdicts.append(judge.inspect(frame).verdict)
        except ImageUnfit:
            verdicts.append(Verdict.NO_DECISION)
        times.append((time.perf_counter() - started) * 1e3)
    return verdicts, median(times) if times else math.nan


def raw_scores(runner: Runner, pictures: Pictures) -> Scores:
    """Each picture's score before any scaling: the maximum of the graph's only map. For drawing the line."""
    return np.array([float(next(iter(runner.infer(pixels).values())).max()) for pixels in pictures.pixels])
