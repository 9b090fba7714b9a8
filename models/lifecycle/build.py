"""From a labelled set and a catalogue to a gated INT8 package: open, split, train, quantise, gate, lines, pack, test.

OUT/
    set/                    the labelled set, where DATA is in another tool's format
    build.json              what it is made from, what is done: a killed build goes on from here
    work/                   checkpoint and graphs
    packages/NAME/VERSION/  the package
    catalogue.toml          the catalogue with the chosen confidences
    answers.csv             what every graph says about the test split
    report.html             the validation report; report.json: every figure
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.catalogue import Catalogue
from models.catalogue_text import catalogue_text
from models.lifecycle import job as jobs
from models.lifecycle.build_input import opened
from models.lifecycle.candidates import Candidates, judge_candidates
from models.lifecycle.data.labelled_set import LabelledSet
from models.lifecycle.data.sample import Sample
from models.lifecycle.data.splits import carve_by_batch
from models.lifecycle.job import Job, Say, Settings
from models.lifecycle.ledger import Ledger
from models.lifecycle.material import is_grey, load
from models.lifecycle.outcome import METRIC, metric_of, outcome_of
from models.lifecycle.pack import Naming, pack
from models.lifecycle.predict import format_of, predictions, with_one_type
from models.lifecycle.thresholds import Aim, with_lines
from models.lifecycle.validate.page import page
from models.lifecycle.validate.predictions import Prediction, write_predictions
from models.lifecycle.validate.validation import validate
from models.package import ModelPackage, Task, open_package

VALIDATION_SHARE = 0.2
"""Of the train split's batches, where a set has a test split but none for validation."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built."""

    data: Path
    catalogue: Catalogue
    out: Path
    naming: Naming
    settings: Settings = Settings()
    aim: Aim = Aim()
    key: Ed25519PrivateKey | None = None
    reason: str = "build"


def build(order: Order, say: Say) -> ModelPackage:
    """Build or go on building. Raises DatasetError, ModelRejected, or ImportError without the train extra."""
    data = opened(order.data, order.out / "set", order.catalogue, order.settings.seed, say)
    fit_on, hold = parts(data, order.settings.seed)
    recipe = jobs.suited(fit_on, is_grey(data.root, fit_on), order.settings)
    classes = tuple(sorted({name for sample in data.samples for name in sample.classes}))
    shipped = ("anomaly",) if recipe.task == "anomaly" else classes
    order.catalogue.check_classes(shipped, str(data.root / "manifest.csv"))
    ledger = Ledger(order.out, _made_from(order, data.version, recipe))
    say(f"{recipe.task}: {len(fit_on)} to learn from, {len(hold)} for validation, {recipe.format.width} x "
        f"{recipe.format.height} x {recipe.format.channels}")  # fmt: skip

    validation = load(data.root, hold, classes, recipe.format)
    candidates = Candidates(recipe.task, shipped, recipe.format, order.out / "work")
    if not ledger.done("graphs"):
        from models.lifecycle.tasks import make

        train_on = load(data.root, fit_on, classes, recipe.format)
        wanted = Job(recipe.task, train_on, validation, order.out / "work", order.settings, say)
        made = make(wanted, recipe.steps)
        curve = {"losses": made.curves.losses, "validations": made.curves.validations}
        ledger.stage("curve", lambda: curve)
        verdict = judge_candidates(candidates, made, validation, order.catalogue, order.aim, say)
        ledger.stage("graphs", lambda: verdict)
    choice = ledger.stage("graphs", dict)

    def packed() -> Mapping[str, Any]:
        package = pack(candidates, choice, order.naming, data, validation, order.out / "packages", order.key)
        return {"hash": package.hash, "content": package.content_hash}

    ledger.stage("package", packed)
    package = open_package(order.out / "packages", order.naming.name, order.naming.version)
    lines = {name: candidates.line(choice, name) for name in choice["lines"]}
    changed = with_lines(order.catalogue, lines)
    (order.out / "catalogue.toml").write_text(catalogue_text(changed), encoding="utf-8")
    tested = ledger.stage("test", lambda: _tested(order, package, changed, data, classes, recipe.task))
    report = {
        "package": {"name": order.naming.name, "version": order.naming.version, "hash": package.hash},
        "task": recipe.task,
        "data_set": {"version": data.version, "learnt_from": len(fit_on), "validation": len(hold)},
        "settings": asdict(order.settings),
        "choice": choice,
        "test": tested,
        "test_uses": [asdict(use) for use in data.test_uses()],
    }
    (order.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return package


def parts(data: LabelledSet, seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """What is learnt from and what lines are drawn on; without a validation split, batches of train are set aside."""
    if data.validation:
        return data.train, data.validation
    return carve_by_batch(data.train, VALIDATION_SHARE, seed)


def _made_from(order: Order, version: str, recipe: jobs.Recipe) -> dict[str, Any]:
    settings = asdict(replace(order.settings, threads=0))
    return {
        "data": version,
        "catalogue": order.catalogue.hash,
        "name": order.naming.name,
        "version": order.naming.version,
        "recipe": asdict(recipe),
        "settings": settings,
        "aim": asdict(order.aim),
    }


def _tested(
    order: Order, package: ModelPackage, lines: Catalogue, data: LabelledSet, classes: tuple[str, ...], task: Task
) -> dict[str, Any]:
    """Answers of every graph on the test split, the task's figure, and the report; both looks are written down."""
    named = f"{package.manifest.name}@{package.manifest.version}"
    samples = data.open_test(f"{order.reason}: answers of {named}")
    if not samples:
        return {}
    material = load(data.root, samples, classes, format_of(package))
    figures: dict[str, Any] = {"samples": len(samples), "defective": int(material.defective.sum())}
    answers: list[Prediction] = []
    for precision in package.manifest.graphs:
        found = outcome_of(package, precision, material)
        answers += predictions(package, precision, material, found)
        figures[precision] = {
            METRIC[task]: round(metric_of(task, found, material), 4),
            "inference_ms_p50": round(float(np.median(found.milliseconds)), 3),
        }
    table = order.out / "answers.csv"
    write_predictions(table, answers, package.manifest.defect_classes)
    shown = with_one_type(data, package.manifest.classes[0]) if task == "anomaly" else data
    facts = {"package": f"{named}, hash {package.hash}", "seed": str(order.settings.seed)}
    report = validate(
        shown,
        lines,
        lambda _: answers,
        source=str(table),
        purpose=f"{order.reason}: report on {named}",
        wanted_recall=order.aim.recall,
        facts=facts,
    )
    (order.out / "report.html").write_text(page(report, lines, data.root), encoding="utf-8")
    return figures
