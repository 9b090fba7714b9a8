"""Counting a judge's answers: what is passed, rejected, found, named and measured."""

from __future__ import annotations

import pytest

from controller.sim import mark
from controller.sim.measure import measure
from controller.sim.product import Kind, SimDefect, SimPart
from controller.sim.render import Renderer
from models.frame import Frame
from statemachines.vocabulary import Assessment, Finding, Severity, Verdict

SCRATCH = SimDefect(Kind.SCRATCH, 4.0, 0.3, 1.2, 13.0, 0.0, 0.0, ((-1.85, 0.0), (1.85, 0.0)), 0.5)
BLEMISH = SimDefect(Kind.SCRATCH, 0.8, 0.3, 0.2, 13.0, 0.0, 0.0, ((-0.25, 0.0), (0.25, 0.0)), 0.5)
PARTS = {
    1: SimPart(1, 1, (SCRATCH,), True),
    2: SimPart(2, 2, (SCRATCH,), True),
    3: SimPart(3, 3, (BLEMISH,), False),
    4: SimPart(4, 4, (), False),
}


class Scripted:
    """Answers by the part's mark."""

    def __init__(self, answers: dict[int, Assessment]) -> None:
        self.answers = answers

    def inspect(self, frame: Frame) -> Assessment:
        number = mark.read(frame.pixels)
        assert number is not None
        return self.answers[number]

    def cancel(self) -> None:
        pass


def finding(defect: str, at: tuple[int, int], length_mm: float, severity: Severity = Severity.MAJOR) -> Finding:
    return Finding(defect, 1, severity, 0.9, (at[0] - 10, at[1] - 5, 20, 10), length_mm, 0.3, 1.0, "")


def answer(verdict: Verdict, *findings: Finding) -> Assessment:
    return Assessment(verdict, findings, 0.5, "")


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(960, 600)


HERE, ELSEWHERE = (480 + 130, 300), (300, 300)


def test_all_right(renderer: Renderer) -> None:
    judge = Scripted(
        {
            1: answer(Verdict.NG, finding("scratch", HERE, 4.2)),
            2: answer(Verdict.NG, finding("scratch", HERE, 3.6)),
            3: answer(Verdict.OK, finding("scratch", HERE, 0.8, Severity.NONE)),
            4: answer(Verdict.OK),
        }
    )
    assert measure(judge, renderer, PARTS.values()).figures() == {
        "parts": 4,
        "defective_parts": 2,
        "defective_passed": 0,
        "good_rejected": 0,
        "false_reject_rate": 0,
        "recall_scratch": 1,
        "named_right_scratch": 1,
        "size_bias_scratch_mm": pytest.approx(-0.1),
        "size_error_scratch_mm": pytest.approx(0.3),
    }


def test_each_kind_of_mistake_counts(renderer: Renderer) -> None:
    judge = Scripted(
        {
            1: answer(Verdict.OK, finding("scratch", HERE, 1.0, Severity.NONE), finding("dent", ELSEWHERE, 5)),
            2: answer(Verdict.UNSURE, finding("crack", HERE, 4.0)),
            3: answer(Verdict.UNSURE),
            4: answer(Verdict.OK),
        }
    )
    figures = measure(judge, renderer, PARTS.values()).figures()
    assert figures["defective_passed"] == 1
    assert figures["good_rejected"] == 1
    assert figures["false_reject_rate"] == 0.5
    assert figures["recall_scratch"] == 0.5
    assert figures["named_right_scratch"] == 0
