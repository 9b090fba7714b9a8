"""Every figure of a validation, from truth, the model's answers and the catalogue's lines. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.catalogue import Catalogue, DefectType
from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sample import Sample
from models.lifecycle.validate.curves import Decided, PrecisionRecall, precision_recall, risk_coverage
from models.lifecycle.validate.intervals import Rate, more_to_prove
from models.lifecycle.validate.predictions import Prediction

GOOD = "good"
UNSURE = "UNSURE"
COLLECT_BELOW = 0.85
"""Recall under which more pictures are wanted before anything else is tried."""

Answers = Mapping[str, Prediction]
"""By image, of one graph."""


@dataclass(frozen=True, slots=True)
class DefectFigures:
    """One defect type. found: NG or UNSURE, as both keep the part from the customer; sure: NG alone.

    more: defects still to be shown to prove the wanted recall; None: not at this recall.
    """

    name: str
    found: Rate
    sure: Rate
    precision: Rate
    f1: float
    more: int | None
    curve: PrecisionRecall | None


@dataclass(frozen=True, slots=True)
class GraphFigures:
    """One graph on the whole test split. caught: defective parts not passed; rejected: good parts not passed."""

    graph: str
    caught: Rate
    rejected: Rate
    defects: tuple[DefectFigures, ...]
    latency_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts by truth (rows) and answer (columns); a part with two defects counts in the row of each."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def by_graph(
    predictions: Sequence[Prediction], samples: Sequence[Sample], catalogue: Catalogue, file: str
) -> dict[str, Answers]:
    """The answers of each graph, proven to be about every test picture and every defect type. Raises DatasetError."""
    names = {defect.name for defect in catalogue.defects}
    wanted = {sample.image for sample in samples}
    scored = set(predictions[0].scores) if predictions else set[str]()
    complaints = [
        Complaint(file, "column", f"score:{name}", "is missing: the catalogue names this defect type")
        for name in sorted(names - scored)
    ]
    complaints += [
        Complaint(
            file, "column", f"score:{name}", "the catalogue does not know this defect type: add it, or drop the column"
        )
        for name in sorted(scored - names)
    ]
    answers: dict[str, dict[str, Prediction]] = {}
    for said in predictions:
        answers.setdefault(said.graph, {})[said.image] = said
    for graph, given in answers.items():
        for image in sorted(wanted - given.keys()):
            complaints.append(Complaint(file, f"graph {graph}", image, "has no row: predict the whole test split"))
        for image in sorted(given.keys() - wanted):
            cure = "is not in the test split of this version: predict the test split that `linegate data show` names"
            complaints.append(Complaint(file, f"graph {graph}", image, cure))
    if complaints:
        raise DatasetError(*complaints)
    return dict(sorted(answers.items()))


def as_one_type(samples: Sequence[Sample], name: str) -> tuple[Sample, ...]:
    """Samples whose every defect is of one type, for a model that tells only good from not good."""

    def renamed(sample: Sample) -> Sample:
        return replace(
            sample,
            classes=() if sample.is_good else (name,),
            boxes=tuple(replace(box, defect=name) for box in sample.boxes),
            polygons=tuple(replace(polygon, defect=name) for polygon in sample.polygons),
            masks=tuple(replace(mask, defect=name) for mask in sample.masks),
        )

    return tuple(renamed(sample) for sample in samples)


def found_defects(said: Prediction, catalogue: Catalogue) -> dict[str, bool]:
    """Defect types that the model reports, and whether it is sure of each."""
    return {
        defect.name: said.scores[defect.name] >= defect.sure_confidence
        for defect in catalogue.defects
        if said.scores[defect.name] >= defect.min_confidence
    }


def graph_figures(
    graph: str, answers: Answers, samples: Sequence[Sample], catalogue: Catalogue, wanted: float
) -> GraphFigures:
    """All figures of one graph. wanted: the recall to be proven for each defect type."""
    found = {sample.image: found_defects(answers[sample.image], catalogue) for sample in samples}
    bad = [sample for sample in samples if not sample.is_good]
    good = [sample for sample in samples if sample.is_good]
    times = np.array([answers[sample.image].latency_ms for sample in samples])
    return GraphFigures(
        graph,
        caught=Rate(sum(bool(found[s.image]) for s in bad), len(bad)),
        rejected=Rate(sum(bool(found[s.image]) for s in good), len(good)),
        defects=tuple(_defect(defect, answers, samples, found, wanted) for defect in catalogue.defects),
        latency_ms={f"p{share:g}": float(np.percentile(times, share)) for share in (50, 90, 99, 99.9)}
        | {"max": float(times.max())},
    )


def _defect(
    defect: DefectType,
    answers: Answers,
    samples: Sequence[Sample],
    found: Mapping[str, Mapping[str, bool]],
    wanted: float,
) -> DefectFigures:
    truth = np.array([defect.name in sample.classes for sample in samples])
    told = np.array([defect.name in found[sample.image] for sample in samples])
    sure = np.array([found[sample.image].get(defect.name, False) for sample in samples])
    recall = Rate(int((truth & told).sum()), int(truth.sum()))
    precision = Rate(int((truth & told).sum()), int(told.sum()))
    both = 2 * recall.hits + (precision.total - precision.hits) + (recall.total - recall.hits)
    scores = np.array([answers[sample.image].scores[defect.name] for sample in samples])
    return DefectFigures(
        defect.name, recall, Rate(int((truth & sure).sum()), int(truth.sum())), precision,
        f1=2 * recall.hits / both if both else math.nan, more=more_to_prove(recall, wanted),
        curve=precision_recall(scores, truth) if truth.any() else None,
    )  # fmt: skip


def confusion(answers: Answers, samples: Sequence[Sample], catalogue: Catalogue) -> Confusion:
    """What the model took each kind of part for: its own defect where it saw it, else the surest it saw."""
    rows = (GOOD, *(defect.name for defect in catalogue.defects))
    columns = (*rows, UNSURE)
    counts: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        said = answers[sample.image]
        found = found_defects(said, catalogue)
        for truth in sample.classes or (GOOD,):
            if not found:
                answer = GOOD
            elif not any(found.values()):
                answer = UNSURE
            else:
                sure = [name for name, certain in found.items() if certain]
                answer = truth if truth in sure else max(sure, key=lambda name: said.scores[name])
            counts[truth, answer] += 1
    return Confusion(rows, columns, tuple(tuple(counts[row, column] for column in columns) for row in rows))


def unsure_band(answers: Answers, samples: Sequence[Sample], catalogue: Catalogue) -> tuple[Decided, ...]:
    """Risk against coverage, by each picture's surest defect, scaled so that its line lies at one half."""
    lines = {defect.name: min(max(defect.sure_confidence, 1e-6), 1 - 1e-6) for defect in catalogue.defects}

    def scaled(said: Prediction) -> float:
        return max(
            0.5 * score / lines[name] if score < lines[name] else 0.5 + 0.5 * (score - lines[name]) / (1 - lines[name])
            for name, score in said.scores.items()
        )

    scores = np.array([scaled(answers[sample.image]) for sample in samples])
    return risk_coverage(scores, np.array([not sample.is_good for sample in samples]), 0.5)
