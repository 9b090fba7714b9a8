"""Figures of a judge, computed by hand for a few pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.errors import ImageUnfit
from models.frame import Frame
from models.lifecycle.data.pictures import Pictures
from models.lifecycle.data.sample import Sample
from models.lifecycle.evaluate import Rate, auroc, choose_line, judge_all, report
from statemachines.vocabulary import Assessment, Verdict


def pictures(labels: list[str]) -> Pictures:
    """One picture for each label; picture n is as bright as its place."""
    samples = tuple(
        Sample(f"{n}.png", "0" * 64, 8, 8, f"tile_{n}", label == "free", () if label == "free" else (label,))
        for n, label in enumerate(labels)
    )
    flat = tuple(np.full((8, 8), n, np.uint8) for n in range(len(labels)))
    return Pictures(samples, flat, flat)


class ByBrightness:
    """Answers as it was told for each brightness; None: the picture is unfit."""

    def __init__(self, answers: list[Verdict | None]) -> None:
        self.answers = answers

    def inspect(self, frame: Frame) -> Assessment:
        answer = self.answers[int(frame.pixels[0, 0])]
        if answer is None:
            raise ImageUnfit("too dark")
        return Assessment(answer, (), 0.0, "")

    def cancel(self) -> None:
        raise AssertionError("nobody cancels here")


def test_wilson_interval() -> None:
    low, high = Rate(9, 10).interval
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert math.isnan(Rate(0, 0).value)
    assert str(Rate(9, 10)) == "90.0% (9/10, 95 %: 59.6% to 98.2%)"


def test_auroc_counts_pairs_and_halves_ties() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.9])
    assert auroc(scores, np.array([False, False, True, True])) == pytest.approx(3.5 / 4)
    assert auroc(-scores, np.array([False, False, True, True])) == pytest.approx(0.5 / 4)
    assert math.isnan(auroc(scores, np.zeros(4, bool)))


def test_line_lies_half_way_and_lets_only_the_share_across() -> None:
    good = np.arange(20.0)
    scores, defective = np.append(good, [30.0, 3.0]), np.arange(22) >= 20
    line = choose_line(scores, defective, ng_share=0.05, unsure_share=0.1)
    assert (line.ng, line.unsure) == (18.5, 17.5)
    assert choose_line(scores, defective, 0.0, 0.0).ng == 19.5
    with pytest.raises(ValueError, match="no line"):
        choose_line(scores, defective, ng_share=0.2, unsure_share=0.1)
    with pytest.raises(ValueError, match="0 good pictures"):
        choose_line(scores, np.ones(22, bool), 0.0, 0.1)


def test_report_counts_unsure_and_undecided_as_caught() -> None:
    labels = ["crack", "crack", "fray", "fray", "free", "free", "free"]
    verdicts = [Verdict.NG, Verdict.UNSURE, None, Verdict.OK, Verdict.OK, Verdict.UNSURE, Verdict.NG]
    shown = pictures(labels)
    found, milliseconds = judge_all(ByBrightness(verdicts), shown)
    made = report(np.array([4.0, 3, 2, 0, 0, 1, 5]), found, shown, milliseconds)
    assert (made.ng.hits, made.caught.hits, made.caught.total) == (1, 3, 4)
    assert (made.false_ng.hits, made.false_reject.hits, made.false_reject.total) == (1, 2, 3)
    assert {label: (rate.hits, rate.total) for label, rate in made.per_label.items()} == {
        "crack": (2, 2),
        "fray": (1, 2),
    }
    assert made.auroc == pytest.approx((2 + 2 + 2 + 0.5) / 12)
    figures = made.figures()
    assert figures["images"] == 7 and figures["recall"] == 0.75 and figures["recall_fray"] == 0.5
    assert all(math.isfinite(value) for value in figures.values())
