"""How well a judge knows the simulated product: its answers about drawn parts, held against the truth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean

from controller.sim.product import Kind, SimDefect, SimPart
from controller.sim.render import Renderer
from models.frame import Frame
from models.lane import Judge
from statemachines.vocabulary import Finding, Severity, Verdict

NEAR_MM = 1.0
"""A finding belongs to a defect when its region comes this close to the defect's middle."""


@dataclass
class Tally:
    """Counts over many parts. errors: measured less true size, mm or for stains mm², of what was found."""

    defective: int = 0
    good: int = 0
    defective_passed: int = 0
    good_rejected: int = 0
    present: dict[Kind, int] = field(default_factory=dict[Kind, int])
    caught: dict[Kind, int] = field(default_factory=dict[Kind, int])
    named: dict[Kind, int] = field(default_factory=dict[Kind, int])
    errors: dict[Kind, list[float]] = field(default_factory=dict[Kind, list[float]])

    def figures(self) -> dict[str, float]:
        """By name, as a package's manifest keeps them."""
        figures = {
            "parts": float(self.defective + self.good),
            "defective_parts": float(self.defective),
            "defective_passed": float(self.defective_passed),
            "good_rejected": float(self.good_rejected),
            "false_reject_rate": _share(self.good_rejected, self.good),
        }
        for kind in Kind:
            if self.present.get(kind):
                figures[f"recall_{kind.value}"] = _share(self.caught.get(kind, 0), self.present[kind])
            if self.caught.get(kind):
                figures[f"named_right_{kind.value}"] = _share(self.named.get(kind, 0), self.caught[kind])
            if errors := self.errors.get(kind):
                unit = "mm2" if kind is Kind.STAIN else "mm"
                figures[f"size_bias_{kind.value}_{unit}"] = round(fmean(errors), 3)
                figures[f"size_error_{kind.value}_{unit}"] = round(fmean(map(abs, errors)), 3)
        return figures


def measure(judge: Judge, renderer: Renderer, parts: Iterable[SimPart], tally: Tally | None = None) -> Tally:
    """Let a judge look at every part and count. Recall counts defects beyond their limit that were graded as such."""
    tally = Tally() if tally is None else tally
    for number, part in enumerate(parts, 1):
        frame = Frame("top", renderer.render(part), exposed_at=0, counter=number, camera="measure")
        assessment = judge.inspect(frame)
        passed = assessment.verdict is Verdict.OK
        if part.defective:
            tally.defective += 1
            tally.defective_passed += passed
        else:
            tally.good += 1
            tally.good_rejected += not passed
        for defect in part.defects:
            if defect.ratio > 1:
                _count(tally, defect, _findings_at(renderer, part, defect, assessment.findings))
    return tally


def _count(tally: Tally, defect: SimDefect, findings: list[Finding]) -> None:
    kind = defect.kind
    tally.present[kind] = tally.present.get(kind, 0) + 1
    graded = [finding for finding in findings if finding.severity is not Severity.NONE]
    if not graded:
        return
    tally.caught[kind] = tally.caught.get(kind, 0) + 1
    worst = max(graded, key=lambda finding: finding.area_mm2)
    if worst.defect == kind.value:
        tally.named[kind] = tally.named.get(kind, 0) + 1
    size = worst.area_mm2 if kind is Kind.STAIN else worst.length_mm
    tally.errors.setdefault(kind, []).append(size - defect.size)


def _findings_at(renderer: Renderer, part: SimPart, defect: SimDefect, findings: Iterable[Finding]) -> list[Finding]:
    """The findings whose region lies over the defect's middle, or close by."""
    x, y = renderer.place_of(part, defect)
    near = math.ceil(NEAR_MM / renderer.mm_per_px)
    over: list[Finding] = []
    for finding in findings:
        left, top, width, height = finding.region
        if left - near <= x <= left + width + near and top - near <= y <= top + height + near:
            over.append(finding)
    return over


def _share(part: int, whole: int) -> float:
    return round(part / whole, 5) if whole else 0.0
