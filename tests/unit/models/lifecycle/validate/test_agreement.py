"""Kappa against published examples; the attribute study on parts counted by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable

import pytest

from models.lifecycle.validate.agreement import (
    Appraisal,
    Judgement,
    appraise,
    between_judges,
    cohen_kappa,
    fleiss_kappa,
)
from models.lifecycle.validate.intervals import Rate


def test_cohen_of_twenty_and_fifteen() -> None:
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohen_kappa([a for a, _ in pairs], [b for _, b in pairs]) == pytest.approx(0.4)
    assert cohen_kappa([1, 2, 3], [1, 2, 3]) == 1
    assert cohen_kappa([0, 1], [1, 0]) == -1
    assert math.isnan(cohen_kappa([1, 1], [1, 1])) and math.isnan(cohen_kappa([], []))
    with pytest.raises(ValueError, match="1 judgements against 2"):
        cohen_kappa([1], [1, 2])


def test_fleiss_of_the_fourteen_raters() -> None:
    # Ten subjects, fourteen raters, five categories: the example in every description of the statistic.
    rows = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    counts: list[Counter[Hashable]] = [Counter(dict(enumerate(row))) for row in rows]
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)
    with pytest.raises(ValueError, match=r"judged \[13, 14\] times"):
        fleiss_kappa([*counts[1:], Counter({0: 13})])


def said(judge: str, *answers: str) -> list[Judgement]:
    """Answers for parts p0, p1 …: G good, B bad, one letter for each look."""
    return [
        Judgement(f"p{part}", judge, repeat, look == "B")
        for part, looks in enumerate(answers)
        for repeat, look in enumerate(looks)
    ]


TRUTH = {"p0": False, "p1": False, "p2": True, "p3": True}


def test_attribute_study() -> None:
    anna, ben = appraise([*said("ben", "GB", "GG", "BB", "GG"), *said("anna", "GG", "GG", "BB", "BB")], TRUTH)
    assert (anna.judge, anna.grade, anna.kappa) == ("anna", "acceptable", 1)
    assert (ben.judge, ben.grade) == ("ben", "unacceptable")
    assert (ben.repeatability, ben.effectiveness) == (Rate(3, 4), Rate(2, 4))
    assert (ben.misses, ben.false_alarms) == (Rate(2, 4), Rate(1, 4))
    assert ben.kappa == pytest.approx(cohen_kappa([0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 0, 0, 1, 1, 0, 0]))
    with pytest.raises(KeyError):
        appraise([Judgement("p9", "anna", 0, True)], TRUTH)


@pytest.mark.parametrize(
    ("effective", "missed", "alarmed", "grade"),
    [
        (90, 2, 5, "acceptable"),
        (89, 2, 5, "marginal"),
        (95, 3, 5, "marginal"),
        (95, 0, 6, "marginal"),
        (80, 5, 10, "marginal"),
        (79, 0, 0, "unacceptable"),
        (99, 6, 0, "unacceptable"),
        (99, 0, 11, "unacceptable"),
    ],
)
def test_grades_follow_the_worst_of_three(effective: int, missed: int, alarmed: int, grade: str) -> None:
    of = (Rate(100, 100), Rate(effective, 100), Rate(missed, 100), Rate(alarmed, 100))
    assert Appraisal("x", *of, kappa=1).grade == grade


def test_agreement_between_judges_takes_parts_that_all_saw() -> None:
    both = [*said("anna", "G", "G", "B", "B"), *said("ben", "G", "B", "B", "B")]
    assert between_judges([*both, Judgement("p9", "anna", 0, True)]) == between_judges(both)
    assert between_judges(both) == pytest.approx((0.75 - (25 / 64 + 9 / 64)) / (1 - (25 / 64 + 9 / 64)))
    assert math.isnan(between_judges(said("anna", "G", "B")))
