"""The defect catalogue of a product: what is a defect, how bad it is by size, and when the model is not sure.

The verdict of a view follows from it alone, and says why: "scratch 2.4 mm > 2.0 mm: major".

catalogue.toml::

    schema = 1
    product = "washer"

    [costs]                     # money per part that escapes with such a defect
    minor = 0.5
    major = 20
    critical = 500
    false_reject = 1            # money per good part that is thrown away
    second_look = 0.2           # money per UNSURE part that a person looks at

    [[defects]]
    name = "scratch"
    code = 101                  # 1 to 9999, as the PLC shows it
    measure = "length"          # length or width in mm, area in mm2, count of findings of this type, graded together
    min_confidence = 0.3        # below: ignored
    sure_confidence = 0.6       # from min to sure: UNSURE instead of NG
    unsure_margin = 0.1         # within this share of a limit: UNSURE (0.1: 1.8 to 2.2 mm around 2.0 mm)
    reference_images = ["reference/scratch.png"]

    [[defects.severities]]      # from small to large
    severity = "major"
    above = 2.0
    verdict = "NG"              # or "OK": recorded, tolerated
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import InferenceFailed, ModelRejected
from models.finding import RawFinding
from models.optics.scale import Scale, UniformScale
from statemachines.vocabulary import Assessment, Finding, Severity, Verdict

_UNIT = {"length": "mm", "width": "mm", "area": "mm²", "count": ""}
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeverityLimit(_Strict):
    """From which size on a defect has this severity, and what that means for the part."""

    severity: Literal["minor", "major", "critical"]
    above: Positive
    verdict: Literal["OK", "NG"] = "NG"

    @property
    def level(self) -> Severity:
        return Severity[self.severity.upper()]


class DefectType(_Strict):
    """One type of defect and its limits."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    code: Annotated[int, Field(ge=1, le=9999)]
    measure: Literal["length", "width", "area", "count"]
    min_confidence: Share = 0.3
    sure_confidence: Share = 0.5
    unsure_margin: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    reference_images: tuple[str, ...] = ()
    severities: Annotated[tuple[SeverityLimit, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.sure_confidence < self.min_confidence:
            raise ValueError("sure_confidence must not be below min_confidence")
        for smaller, larger in zip(self.severities, self.severities[1:], strict=False):
            if not (smaller.above < larger.above and smaller.level < larger.level):
                raise ValueError("severities must rise in severity and limit, from small to large")
            if smaller.verdict == "NG" and larger.verdict == "OK":
                raise ValueError(f"{larger.severity} is tolerated although {smaller.severity} is not")
        return self


class Costs(_Strict):
    """Money per escaped defect, per good part that is rejected, and per part that a person looks at once more; used to
    choose thresholds."""

    minor: Positive = 1.0
    major: Positive = 10.0
    critical: Positive = 100.0
    false_reject: Positive = 1.0
    second_look: Positive = 0.2


class Catalogue(_Strict):
    """All defect types of a product."""

    schema_: Literal[1] = Field(alias="schema")
    product: Annotated[str, Field(min_length=1)]
    costs: Costs = Costs()
    defects: Annotated[tuple[DefectType, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names, codes = [d.name for d in self.defects], [str(d.code) for d in self.defects]
        for what, values in (("name", names), ("code", codes)):
            double = sorted({value for value in values if values.count(value) > 1})
            if double:
                raise ValueError(f"{what} {double[0]} stands for two defect types: give each its own")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of everything that can change a verdict."""
        content = self.model_dump(mode="json", exclude={"costs": True, "defects": {"__all__": {"reference_images"}}})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def cost_of(self, severity: Severity) -> float:
        """Money that a defect of this severity costs when it escapes."""
        return 0.0 if severity is Severity.NONE else float(getattr(self.costs, severity.name.lower()))

    def check_classes(self, classes: Iterable[str], file: str) -> None:
        """Refuse a model that can find what the catalogue does not know. Raises ModelRejected."""
        known = [defect.name for defect in self.defects]
        for name in classes:
            if name not in known:
                raise ModelRejected(
                    file, "classes", name, f"the catalogue knows {', '.join(known)}: add this defect type to it"
                )

    def assess(self, findings: Sequence[RawFinding], mm_per_px: float | Scale, score: float) -> Assessment:
        """Grade a view's findings. Pure.

        mm_per_px: a number, or the scale of a calibrated plane. score: how bad the model thinks the view is, 0 to 1.
        Raises InferenceFailed for a number that is not finite or a defect type that is not in the catalogue: never
        "nothing found".
        """
        scale = _scale(mm_per_px)
        if not 0 <= score <= 1:
            raise InferenceFailed(f"the model's score is {score}, not between 0 and 1")
        types = {defect.name: defect for defect in self.defects}
        kept: list[tuple[DefectType, RawFinding]] = []
        for raw in findings:
            _check_finite(raw)
            kind = types.get(raw.defect)
            if kind is None:
                raise InferenceFailed(f"the model found {raw.defect!r}, which the catalogue does not know")
            if not raw.confidence < kind.min_confidence:
                kept.append((kind, raw))
        counts = {
            name: _grade_count(types[name], [raw.confidence for kind, raw in kept if kind.name == name])
            for name in {kind.name: None for kind, _ in kept if kind.measure == "count"}
        }
        graded: list[Finding] = []
        verdicts: list[tuple[Verdict, str]] = []
        for kind, raw in kept:
            length, width, area = scale.size(raw)
            if not math.isfinite(length + width + area):
                raise InferenceFailed(f"a finding of {raw.defect!r} has no size on the inspection plane: {raw}")
            if kind.measure == "count":
                severity, verdict, why = counts[kind.name]
            else:
                size = {"length": length, "width": width, "area": area}[kind.measure]
                severity, verdict, why = _grade(kind, size, raw.confidence)
                verdicts.append((verdict, why))
            graded.append(
                Finding(raw.defect, kind.code, severity, raw.confidence, raw.region, length, width, area, why)
            )
        verdicts += [(verdict, why) for _, verdict, why in counts.values()]
        return _conclude(graded, verdicts, score)


def _scale(mm_per_px: float | Scale) -> Scale:
    if not isinstance(mm_per_px, (int, float)):
        return mm_per_px
    if not (math.isfinite(mm_per_px) and mm_per_px > 0):
        raise InferenceFailed(f"mm per pixel is {mm_per_px}")
    return UniformScale(mm_per_px)


def _check_finite(raw: RawFinding) -> None:
    numbers = (raw.confidence, raw.length_px, raw.width_px, raw.area_px)
    if not (all(math.isfinite(number) and number >= 0 for number in numbers) and raw.confidence <= 1):
        raise InferenceFailed(f"a finding of {raw.defect!r} has a number that is not finite or out of range: {raw}")


def _grade_count(kind: DefectType, confidences: Sequence[float]) -> tuple[Severity, Verdict, str]:
    """Grade how many there are, for all of them together: another doubtful one never makes a sure NG less sure."""
    certain = [confidence for confidence in confidences if confidence >= kind.sure_confidence]
    grade = _grade(kind, float(len(certain)), 1.0)
    if grade[1] is Verdict.NG or len(certain) == len(confidences):
        return grade
    return _grade(kind, float(len(confidences)), min(confidences))


def _grade(kind: DefectType, size: float, confidence: float) -> tuple[Severity, Verdict, str]:
    """Severity by size; NG only where size and confidence both leave no doubt."""
    unit = _UNIT[kind.measure]
    shown = f"{kind.name} {size:.3g} {unit}".rstrip()
    sure = _highest(kind, size, 1 + kind.unsure_margin)
    possible = _highest(kind, size, 1 - kind.unsure_margin)
    if sure is not None and sure.verdict == "NG":
        bound = f"{sure.above:.3g} {unit}".rstrip()
        why = f"{shown} > {bound}: {sure.severity}"
        if confidence >= kind.sure_confidence:
            return sure.level, Verdict.NG, why
        doubt = f"confidence {confidence:.2f} < {kind.sure_confidence:.2f}"
        return sure.level, Verdict.UNSURE, f"{why}, but {doubt}"
    if possible is not None and possible.verdict == "NG":
        bound = f"{possible.above:.3g} {unit}".rstrip()
        return possible.level, Verdict.UNSURE, f"{shown} is within {kind.unsure_margin:.0%} of {bound}"
    if possible is not None:
        bound = f"{possible.above:.3g} {unit}".rstrip()
        return possible.level, Verdict.OK, f"{shown} > {bound}: {possible.severity}, tolerated"
    first = f"{kind.severities[0].above:.3g} {unit}".rstrip()
    return Severity.NONE, Verdict.OK, f"{shown} <= {first}: tolerated"


def _highest(kind: DefectType, size: float, factor: float) -> SeverityLimit | None:
    """The gravest limit that the size exceeds when limits are stretched by a factor; not a number exceeds them all."""
    return next((limit for limit in reversed(kind.severities) if not size <= limit.above * factor), None)


def _conclude(graded: list[Finding], verdicts: list[tuple[Verdict, str]], score: float) -> Assessment:
    for verdict in (Verdict.NG, Verdict.UNSURE):
        reasons = [why for found, why in verdicts if found is verdict]
        if reasons:
            return Assessment(verdict, tuple(graded), score, "; ".join(reasons))
    why = "; ".join(why for _, why in verdicts) or "nothing found"
    return Assessment(Verdict.OK, tuple(graded), score, why)


def load_catalogue(path: Path) -> Catalogue:
    """Read and check a catalogue. Raises ModelRejected naming file, key, value and cure."""
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelRejected(str(path), "file", "", f"cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ModelRejected(str(path), "syntax", "", f"is not valid TOML: {error}") from error
    try:
        catalogue = Catalogue.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"]) or "file"
        value = first.get("input") if first["loc"] else path.name
        raise ModelRejected(str(path), key, value, first["msg"]) from error
    for defect in catalogue.defects:
        for image in defect.reference_images:
            if not (path.parent / image).is_file():
                key = f"defects.{defect.name}.reference_images"
                raise ModelRejected(
                    str(path), key, image, "no such file beside the catalogue: add it or remove the line"
                )
    return catalogue
