"""Grading: sizes, severities, the UNSURE band, and reasons that a person can read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalogue import Catalogue, load_catalogue
from models.errors import InferenceFailed, ModelRejected
from models.finding import RawFinding
from statemachines.vocabulary import Severity, Verdict

TEXT = """
schema = 1
product = "washer"
[costs]
minor = 1
major = 20
critical = 500
[[defects]]
name = "scratch"
code = 101
measure = "length"
min_confidence = 0.3
sure_confidence = 0.6
unsure_margin = 0.1
[[defects.severities]]
severity = "minor"
above = 1.0
verdict = "OK"
[[defects.severities]]
severity = "major"
above = 2.0
[[defects.severities]]
severity = "critical"
above = 5.0
[[defects]]
name = "pore"
code = 102
measure = "count"
[[defects.severities]]
severity = "major"
above = 2
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return parse(tmp_path, TEXT)


def parse(folder: Path, text: str) -> Catalogue:
    path = folder / "catalogue.toml"
    path.write_text(text, encoding="utf-8")
    return load_catalogue(path)


def scratch(length_mm: float, confidence: float = 0.9) -> RawFinding:
    return RawFinding("scratch", confidence, (0, 0, 10, 10), length_mm * 10, 1.0, 10.0)


def pore(confidence: float = 0.9) -> RawFinding:
    return RawFinding("pore", confidence, (0, 0, 1, 1), 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("length", "confidence", "verdict", "severity", "why"),
    [
        (0.5, 0.9, Verdict.OK, Severity.NONE, "scratch 0.5 mm <= 1 mm: tolerated"),
        (1.5, 0.9, Verdict.OK, Severity.MINOR, "scratch 1.5 mm > 1 mm: minor, tolerated"),
        (1.9, 0.9, Verdict.UNSURE, Severity.MAJOR, "scratch 1.9 mm is within 10% of 2 mm"),
        (2.4, 0.9, Verdict.NG, Severity.MAJOR, "scratch 2.4 mm > 2 mm: major"),
        (2.4, 0.5, Verdict.UNSURE, Severity.MAJOR, "scratch 2.4 mm > 2 mm: major, but confidence 0.50 < 0.60"),
        (5.2, 0.9, Verdict.NG, Severity.MAJOR, "scratch 5.2 mm > 2 mm: major"),
        (9.0, 0.9, Verdict.NG, Severity.CRITICAL, "scratch 9 mm > 5 mm: critical"),
        (9.0, 0.2, Verdict.OK, None, "nothing found"),
    ],
)
def test_size_and_confidence_decide(
    catalogue: Catalogue, length: float, confidence: float, verdict: Verdict, severity: Severity | None, why: str
) -> None:
    judged = catalogue.assess([scratch(length, confidence)], 0.1, 0.5)
    assert (judged.verdict, judged.why) == (verdict, why)
    assert [f.severity for f in judged.findings] == ([] if severity is None else [severity])


def test_counts_are_taken_together(catalogue: Catalogue) -> None:
    assert catalogue.assess([pore()] * 2, 0.1, 0.5).verdict is Verdict.OK
    judged = catalogue.assess([pore()] * 3, 0.1, 0.5)
    assert (judged.verdict, judged.why) == (Verdict.NG, "pore 3 > 2: major")
    unsure = catalogue.assess([pore(), pore(), pore(0.4)], 0.1, 0.5)
    assert unsure.verdict is Verdict.UNSURE


def test_what_was_counted_carries_the_grade_of_the_count(catalogue: Catalogue) -> None:
    judged = catalogue.assess([pore()] * 3, 0.1, 0.5)
    assert [(f.severity, f.why) for f in judged.findings] == [(Severity.MAJOR, "pore 3 > 2: major")] * 3


ORDER = (Verdict.OK, Verdict.UNSURE, Verdict.NG)


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0, 1))
def test_one_more_finding_never_makes_the_verdict_better(confidences: list[float], more: float) -> None:
    counting = Catalogue.model_validate(
        {
            "schema": 1,
            "product": "p",
            "defects": [
                {
                    "name": "pore",
                    "code": 1,
                    "measure": "count",
                    "min_confidence": 0.2,
                    "sure_confidence": 0.6,
                    "unsure_margin": 0.4,
                    "severities": [{"severity": "major", "above": 2}],
                }
            ],
        }
    )
    before = counting.assess([pore(c) for c in confidences], 0.1, 0.5)
    after = counting.assess([pore(c) for c in [*confidences, more]], 0.1, 0.5)
    assert ORDER.index(after.verdict) >= ORDER.index(before.verdict)
    certain = sum(c >= 0.6 for c in confidences)
    assert before.verdict is Verdict.NG or certain <= 2 * 1.4


def test_a_confidence_above_1_is_a_failed_inference(catalogue: Catalogue) -> None:
    with pytest.raises(InferenceFailed, match="out of range"):
        catalogue.assess([scratch(1.0, 7.0)], 0.1, 0.5)


def test_one_bad_finding_among_good_ones_decides(catalogue: Catalogue) -> None:
    judged = catalogue.assess([scratch(0.5), scratch(3.0), scratch(1.9)], 0.1, 0.5)
    assert (judged.verdict, judged.why) == (Verdict.NG, "scratch 3 mm > 2 mm: major")


finite = st.floats(0, 100, allow_nan=False)


@given(st.lists(finite, min_size=1, max_size=5))
def test_never_ok_above_a_limit(lengths: list[float]) -> None:
    catalogue = Catalogue.model_validate(
        {
            "schema": 1,
            "product": "p",
            "defects": [
                {
                    "name": "scratch",
                    "code": 1,
                    "measure": "length",
                    "severities": [{"severity": "major", "above": 2.0}],
                }
            ],
        }
    )
    judged = catalogue.assess([scratch(length) for length in lengths], 0.1, 0.5)
    assert (judged.verdict is Verdict.OK) == all(length * 10 * 0.1 <= 2.0 for length in lengths)


@given(finite, finite)
def test_severity_rises_with_size(one: float, other: float) -> None:
    catalogue = Catalogue.model_validate(
        {
            "schema": 1,
            "product": "p",
            "defects": [
                {
                    "name": "scratch",
                    "code": 1,
                    "measure": "length",
                    "severities": [
                        {"severity": "minor", "above": 1.0, "verdict": "OK"},
                        {"severity": "critical", "above": 4.0},
                    ],
                }
            ],
        }
    )
    small, large = sorted((one, other))
    graded = [catalogue.assess([scratch(size)], 0.1, 0.5).findings[0].severity for size in (small, large)]
    assert graded[0] <= graded[1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("field", range(4))
def test_no_number_is_never_nothing_found(catalogue: Catalogue, bad: float, field: int) -> None:
    numbers = [0.9, 1.0, 1.0, 1.0]
    numbers[field] = bad
    raw = RawFinding("scratch", numbers[0], (0, 0, 1, 1), numbers[1], numbers[2], numbers[3])
    with pytest.raises(InferenceFailed):
        catalogue.assess([raw], 0.1, 0.5)


@pytest.mark.parametrize(("mm_per_px", "score"), [(math.nan, 0.5), (0.0, 0.5), (0.1, math.nan), (0.1, 1.5)])
def test_an_unusable_scale_or_score_is_a_failed_inference(catalogue: Catalogue, mm_per_px: float, score: float) -> None:
    with pytest.raises(InferenceFailed):
        catalogue.assess([], mm_per_px, score)


def test_an_unknown_defect_type_is_a_failed_inference(catalogue: Catalogue) -> None:
    with pytest.raises(InferenceFailed, match="dent"):
        catalogue.assess([RawFinding("dent", 0.9, (0, 0, 1, 1), 1, 1, 1)], 0.1, 0.5)


def test_costs_and_hash(catalogue: Catalogue, tmp_path: Path) -> None:
    assert catalogue.cost_of(Severity.CRITICAL) == 500
    assert parse(tmp_path, TEXT.replace("above = 2.0", "above = 2.1")).hash != catalogue.hash
    assert parse(tmp_path, TEXT.replace("critical = 500", "critical = 600")).hash == catalogue.hash


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("schema = 1", "schema = 9", "schema"),
        ('measure = "length"', 'measure = "weight"', "measure"),
        ("code = 102", "code = 101", "101 stands for two"),
        ('name = "pore"', 'name = "scratch"', "scratch stands for two"),
        ("above = 5.0", "above = 1.5", "rise"),
        ("min_confidence = 0.3", "min_confidence = nan", "min_confidence"),
        ("sure_confidence = 0.6", "sure_confidence = 0.1", "sure_confidence"),
        ("above = 2.0", "above = -1", "above"),
        ('product = "washer"', 'product = "washer"\ncolour = "red"', "colour"),
        ("code = 101", 'code = 101\nreference_images = ["no.png"]', "no.png"),
        ("[costs]", "[costs", "valid TOML"),
    ],
)
def test_a_broken_catalogue_names_file_and_key(tmp_path: Path, old: str, new: str, part: str) -> None:
    with pytest.raises(ModelRejected, match=part) as caught:
        parse(tmp_path, TEXT.replace(old, new, 1))
    assert "catalogue.toml" in str(caught.value)
    assert caught.value.cure
