"""A whole validation: the test split opened once, every figure computed, ready for the page and for JSON."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.catalogue import Catalogue
from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.labelled_set import LabelledSet
from models.lifecycle.data.sample import Sample
from models.lifecycle.data.seal import Use
from models.lifecycle.validate.agreement import Appraisal, Judgement, appraise, between_judges, cohen_kappa
from models.lifecycle.validate.curves import Decided
from models.lifecycle.validate.figures import (
    Answers,
    Confusion,
    GraphFigures,
    as_one_type,
    by_graph,
    confusion,
    found_defects,
    graph_figures,
    unsure_band,
)  # fmt: skip
from models.lifecycle.validate.inspectors import read_judgements
from models.lifecycle.validate.intervals import Rate
from models.lifecycle.validate.measuring import SizeError, size_errors
from models.lifecycle.validate.predictions import Prediction

Ask = Callable[[Sequence[Sample]], Sequence[Prediction]]

MODEL = "model"
RECALL_LOSS, METRIC_LOSS = 0.01, 0.005
"""What INT8 may lose against FP32: of any defect's recall, and of the share caught."""


@dataclass(frozen=True, slots=True)
class People:
    """Inspectors and model on the same parts. with_model: kappa of each inspector's looks with the model's answer."""

    appraisals: tuple[Appraisal, ...]
    between: float
    with_model: Mapping[str, float]
    disagreements: tuple[tuple[str, bool, bool, Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """Everything that the report shows. shown: the graph that the station runs, which the pictures are about."""

    title: str
    made_at: str
    facts: Mapping[str, str]
    wanted_recall: float
    shown: str
    graphs: tuple[GraphFigures, ...]
    confusion: Confusion
    band: tuple[Decided, ...]
    sizes: tuple[SizeError, ...]
    people: People | None
    uses: tuple[Use, ...]
    test_version: str
    samples: tuple[Sample, ...] = field(repr=False)
    answers: Answers = field(repr=False)

    def losses(self) -> list[str]:
        """What INT8 loses against FP32 beyond what the gate allows; empty where one of them is missing."""
        graphs = {graph.graph: graph for graph in self.graphs}
        full, small = graphs.get("fp32"), graphs.get("int8")
        if full is None or small is None:
            return []
        lost: list[str] = []
        if small.caught.total and full.caught.value - small.caught.value > METRIC_LOSS:
            lost.append(f"caught: {full.caught.value:.1%} to {small.caught.value:.1%}")
        for one, other in zip(full.defects, small.defects, strict=True):
            if one.found.total and one.found.value - other.found.value > RECALL_LOSS:
                lost.append(f"{one.name}: recall {one.found.value:.1%} to {other.found.value:.1%}")
        return lost

    def as_json(self) -> dict[str, Any]:
        """Every figure, without pictures; rates with their bounds, and nothing that JSON cannot hold."""
        content: dict[str, Any] = {
            "title": self.title, "made_at": self.made_at, "facts": dict(self.facts),
            "wanted_recall": self.wanted_recall, "shown": self.shown, "graphs": self.graphs,
            "int8_losses": self.losses(), "confusion": self.confusion,
            "unsure_band": self.band, "sizes_mm": self.sizes, "people": self.people, "test_uses": self.uses,
            "test_version": self.test_version,
        }  # fmt: skip
        return {key: _plain(value) for key, value in content.items()}


def validate(
    labelled: LabelledSet,
    catalogue: Catalogue,
    ask: Ask,
    *,
    source: str,
    purpose: str,
    inspectors: Path | None = None,
    mm_per_px: float | None = None,
    wanted_recall: float = 0.90,
    facts: Mapping[str, str] | None = None,
) -> Validation:
    """Compute everything. The use of the test split is written down first, come of it what may. Raises DatasetError.

    ask: gives the answers for the test samples. source: where they come from, for complaints.
    """
    samples = labelled.open_test(purpose)
    if not samples:
        cure = "no picture is in the test split: `linegate data split` deals it"
        raise DatasetError(Complaint(str(labelled.root), "split", "test", cure))
    known = {defect.name for defect in catalogue.defects}
    if len(known) == 1 and not known & {name for sample in samples for name in sample.classes}:
        samples = as_one_type(samples, known.pop())
    graphs = by_graph(ask(samples), samples, catalogue, source)
    shown = next((name for name in ("int8", "bf16") if name in graphs), next(iter(graphs)))
    answers = graphs[shown]
    truth = {sample.image: not sample.is_good for sample in samples}
    return Validation(
        title=catalogue.product,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        facts={
            "data set": f"{labelled.root.name}, version {labelled.version}",
            "test split": f"{len(samples)} pictures, version {labelled.test_version}",
            "catalogue": catalogue.hash,
            "computer": f"{platform.node()}, {platform.machine()}, {platform.system()} {platform.release()}",
            **(facts or {}),
        },
        wanted_recall=wanted_recall,
        shown=shown,
        graphs=tuple(graph_figures(name, said, samples, catalogue, wanted_recall) for name, said in graphs.items()),
        confusion=confusion(answers, samples, catalogue),
        band=unsure_band(answers, samples, catalogue),
        sizes=tuple(size_errors(labelled.root, samples, answers, catalogue, mm_per_px)) if mm_per_px else (),
        people=_people(read_judgements(inspectors, set(truth)), truth, answers, catalogue) if inspectors else None,
        uses=labelled.test_uses(),
        test_version=labelled.test_version,
        samples=samples,
        answers=answers,
    )


def _people(
    judgements: Sequence[Judgement], truth: Mapping[str, bool], answers: Answers, catalogue: Catalogue
) -> People:
    seen = sorted({said.image for said in judgements})
    model = {image: bool(found_defects(answers[image], catalogue)) for image in seen}
    judges = sorted({said.judge for said in judgements})
    looks = {judge: [said for said in judgements if said.judge == judge] for judge in judges}
    appraisals = (
        *appraise(judgements, truth),
        *appraise([Judgement(image, MODEL, 0, model[image]) for image in seen], truth),
    )
    differ: list[tuple[str, bool, bool, Mapping[str, str]]] = []
    for image in seen:
        said = {
            judge: "".join("B" if look.defective else "G" for look in looks[judge] if look.image == image)
            for judge in judges
        }
        answers_here = {letter for letters in said.values() for letter in letters}
        if answers_here != {"B" if model[image] else "G"}:
            differ.append((image, truth[image], model[image], said))
    return People(
        appraisals,
        between_judges(judgements),
        {
            judge: cohen_kappa([look.defective for look in looks[judge]], [model[look.image] for look in looks[judge]])
            for judge in judges
        },
        tuple(differ),
    )


def _plain(value: Any) -> Any:
    """Dataclasses as objects, rates with their bounds, NaN as null."""
    if isinstance(value, Rate):
        return {
            "hits": value.hits,
            "total": value.total,
            "value": _plain(value.value),
            "low": value.low,
            "high": value.high,
        }
    if isinstance(value, Appraisal):
        return {name: _plain(getattr(value, name)) for name in (*Appraisal.__slots__, "grade")}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value != value:
        return None
    return value
