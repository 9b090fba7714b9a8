"""The graphs that may ship: measured on validation, gated, and one of them chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from models.catalogue import Catalogue
from models.lifecycle.calibrate import calibration_error, reliability
from models.lifecycle.describe import describe
from models.lifecycle.evaluate import Line, choose_line
from models.lifecycle.gate import Measured, Ruling, rule
from models.lifecycle.job import Say
from models.lifecycle.material import Format, Material
from models.lifecycle.outcome import Outcome, judged_types, metric_of, outcome_of
from models.lifecycle.thresholds import Aim, Chosen, choose_all
from models.package import ModelPackage, Task, write_package

if TYPE_CHECKING:
    from models.lifecycle.tasks import Made

UNSURE, NG = 0.25, 0.5
"""Where an anomaly model's lines are brought to, by a scale in its graph: its raw scores have no meaning."""

NG_SHARE, UNSURE_SHARE = 0.02, 0.05
"""Of the good validation parts, what may lie above an anomaly model's lines while no real defect is known."""

LEAST = 0.02
"""Confidence from which a draft's findings are looked at."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Where a build's graphs lie, and what they are for. classes: the package's defect types."""

    task: Task
    classes: tuple[str, ...]
    format: Format
    work: Path

    def draft(self, folder: Path, hint: str = "f32") -> ModelPackage:
        """A package of the graphs in a folder, without lines, for measuring. hint: the precision they run in."""
        output = {"unsure_from": LEAST} if self.task != "segment" else {}
        about = describe("draft", "0", self.task, self.classes, self.format, output=output)
        return write_package(folder, {**about, "precision_hint": hint})

    @staticmethod
    def line(choice: Mapping[str, Any], name: str) -> Line:
        """The chosen lines of a defect type, as the shipped graph gives confidences."""
        found = choice["lines"][name]
        return Line(found["unsure"], found["ng"])


def judge_candidates(
    candidates: Candidates, made: Made, validation: Material, catalogue: Catalogue, aim: Aim, say: Say
) -> dict[str, Any]:
    """Measure FP32 and INT8 on validation; INT8 ships if the gate lets it, made anew more carefully if need be.

    Otherwise the FP32 graph ships, in BF16 if the gate lets that pass (a processor without BF16 computes in FP32). The
    graphs are left in `work`.
    """
    from models.lifecycle.quantise import save, scaled

    def measured(graph: Any, precision: str) -> tuple[Measured, Outcome, Any]:
        with TemporaryDirectory() as name:
            folder = Path(name)
            for each in ("fp32", "int8"):
                save(graph, folder / f"{each}.xml")
            draft = candidates.draft(folder, "bf16" if precision == "bf16" else "f32")
            outcome = outcome_of(draft, "fp32", validation)
            if candidates.task == "anomaly":
                offset, scale = _scale(_anomaly_line(outcome, validation, candidates, catalogue, aim))
                graph = scaled(graph, offset, scale)
                outcome = Outcome(
                    (outcome.scores - offset) * scale,
                    (outcome.confidences - offset) * scale,
                    outcome.findings,
                    outcome.milliseconds,
                )
        chosen = _lines(outcome, validation, candidates, catalogue, aim)
        return Measured(precision, metric_of(candidates.task, outcome, validation), chosen), outcome, graph

    reference, as_fp32, fp32 = measured(made.fp32, "fp32")
    best, outcome, int8 = measured(made.int8, "int8")
    ruling = rule(reference, best)
    tries: list[tuple[str, Ruling]] = [("int8", ruling)]
    if not ruling.passed:
        say(f"INT8 is refused: {'; '.join(ruling.reasons)}. Quantising again, with more of the first layers in float")
        best, outcome, int8 = measured(made.careful(), "int8")
        ruling = rule(reference, best)
        tries.append(("int8, careful", ruling))
    if not ruling.passed:
        say(f"INT8 is refused: {'; '.join(ruling.reasons)}. Measuring BF16")
        best, outcome, _ = measured(made.fp32, "bf16")
        ruling = rule(reference, best)
        tries.append(("bf16", ruling))
    if not ruling.passed:
        say(f"BF16 is refused: {'; '.join(ruling.reasons)}. The package runs in FP32")
        best, outcome = reference, as_fp32
    save(fp32, candidates.work / "fp32.xml")
    save(int8, candidates.work / "int8.xml")
    return {
        "preferred": best.precision,
        "gate": [{"graph": name, **asdict(found)} for name, found in tries],
        "metrics": {"fp32": _number(reference.metric), best.precision: _number(best.metric)},
        "lines": _line_facts(best.chosen, candidates),
        "reliability": _reliability(outcome, validation, candidates),
    }


def _lines(
    outcome: Outcome, validation: Material, candidates: Candidates, catalogue: Catalogue, aim: Aim
) -> dict[str, Chosen]:
    types = judged_types(candidates.task, candidates.classes, validation)
    return choose_all(outcome.confidences, types, candidates.classes, ~validation.defective, catalogue, aim)


def _anomaly_line(
    outcome: Outcome, validation: Material, candidates: Candidates, catalogue: Catalogue, aim: Aim
) -> Line:
    """By cost where validation shows defects; else by the share of good parts that may be troubled."""
    chosen = _lines(outcome, validation, candidates, catalogue, aim)
    if chosen:
        return next(iter(chosen.values())).line
    return choose_line(outcome.scores, validation.defective, NG_SHARE, UNSURE_SHARE)


def _scale(line: Line) -> tuple[float, float]:
    """offset and scale for `(raw - offset) * scale` that bring the lines to UNSURE and NG."""
    scale = (NG - UNSURE) / max(line.ng - line.unsure, 0.25)
    return line.unsure - UNSURE / scale, scale


def _line_facts(chosen: Mapping[str, Chosen], candidates: Candidates) -> dict[str, Any]:
    if candidates.task == "anomaly" and not chosen:
        return {name: {"unsure": UNSURE, "ng": NG} for name in candidates.classes}
    return {name: {"unsure": c.line.unsure, "ng": c.line.ng, **asdict(c)} for name, c in chosen.items()}


def _reliability(outcome: Outcome, validation: Material, candidates: Candidates) -> dict[str, Any]:
    if candidates.task == "anomaly":
        return {}
    types = judged_types(candidates.task, candidates.classes, validation)
    bins = reliability(np.clip(outcome.confidences, 0, 1).ravel(), types.ravel())
    return {"bins": [asdict(b) for b in bins], "error": _number(calibration_error(bins))}


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return round(value, 6) if np.isfinite(value) else None
