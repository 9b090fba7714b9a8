"""`make train-bars`: builds on the real sets beside the project, and each figure against its bar. Takes an hour or two.

    python -m tests.bench.train_bars --data ../shared/data --out build/bars [--only cookies-anomaly] [--share 0.5]

With `--share` less is learnt from and the same is judged: three such runs are a learning curve.

Every build can be interrupted and goes on. The pictures are for evaluation only: nothing from here is shipped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.catalogue import Catalogue
from models.lifecycle.average_precision import average_precisions
from models.lifecycle.build import Order, build, parts
from models.lifecycle.data.labelled_set import LabelledSet, open_set, save_set
from models.lifecycle.data.sample import Box, Sample, Split
from models.lifecycle.data.sources.table import read_table
from models.lifecycle.evaluate import auroc, choose_line
from models.lifecycle.job import Settings
from models.lifecycle.material import Format, Material, load
from models.lifecycle.outcome import Outcome, metric_of, outcome_of
from models.lifecycle.pack import Naming
from models.package import ModelPackage, Task

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Bar:
    """One build. bars: figure by name, and what it must at least be (with a minus in front: at most)."""

    data: str
    task: Task
    bars: Mapping[str, float]
    figures: Callable[[Outcome, Material, Outcome, Material], Figures]


def anomaly(test: Outcome, on: Material, _kept: Outcome, _held: Material) -> Figures:
    return {"image_auroc": metric_of("anomaly", test, on)}


def elpv(test: Outcome, on: Material, kept: Outcome, held: Material) -> Figures:
    """Probability 0 against 1: the doubtful third and two thirds are left out. The line is drawn on validation."""
    certain = np.array([sample.certainty in (0.0, 1.0) for sample in on.samples])
    bad = on.defective
    steps = np.unique(kept.scores)
    right = [((kept.scores > step) == held.defective).mean() for step in steps]
    line = steps[int(np.argmax(right))]
    return {
        "image_auroc": auroc(test.scores[certain], bad[certain]),
        "accuracy": float(((test.scores > line) == bad)[certain].mean()),
    }


def tiles(test: Outcome, on: Material, kept: Outcome, held: Material) -> Figures:
    """Recall of each type at the line that 5 % of validation's good parts cross, and how well masks fit."""
    line = choose_line(kept.scores, held.defective, 0.05, 0.05).ng
    caught = test.scores > line
    found: Figures = {"image_auroc": auroc(test.scores, on.defective)}
    for number, name in enumerate(on.classes):
        found[f"recall_{name}"] = float(caught[on.shown[:, number]].mean())
    found["recall_least"] = min(value for name, value in found.items() if name.startswith("recall_"))
    found["false_rejects"] = float(caught[~on.defective].mean())
    return found | _masks(test, on)


def _masks(test: Outcome, on: Material) -> Figures:
    """Overlap of found with true regions by their boxes' pixels, and error of the longest side in input pixels."""
    shared = total = 0
    errors: list[float] = []
    for index in np.flatnonzero(on.defective):
        truth = on.label_map(int(index)) > 0
        drawn = np.zeros_like(truth)
        for finding in test.findings[index]:
            x, y, w, h = finding.region
            drawn[y : y + h, x : x + w] = True
        shared, total = shared + int((truth & drawn).sum()), total + int((truth | drawn).sum())
        if truth.any() and test.findings[index]:
            points = np.argwhere(truth)[:, ::-1].astype(np.float32)
            longest = max(cv2.minAreaRect(points)[1]) + 1
            errors.append(abs(max(f.length_px for f in test.findings[index]) - longest))
    return {"box_iou": shared / max(1, total), "length_error_px": float(np.median(errors)) if errors else float("nan")}


def detector(iou: float) -> Callable[[Outcome, Material, Outcome, Material], Figures]:
    def figures(test: Outcome, on: Material, _kept: Outcome, _held: Material) -> Figures:
        truth = [on.boxes(i) for i in range(len(on))]
        each = average_precisions(test.findings, truth, on.classes, iou)
        return {"mean_average_precision": float(np.mean(list(each.values())))} | {f"of_{n}": v for n, v in each.items()}

    return figures


BARS: Mapping[str, Bar] = {
    "cookies-anomaly": Bar("cookies", "anomaly", {"image_auroc": 0.95}, anomaly),
    "elpv-anomaly": Bar("elpv", "anomaly", {"image_auroc": 0.91}, anomaly),
    "tiles-anomaly": Bar("magnetic_tile", "anomaly", {"image_auroc": 0.95}, anomaly),
    "elpv-classify": Bar("elpv", "classify", {"image_auroc": 0.93, "accuracy": 0.88}, elpv),
    "tiles-segment": Bar("magnetic_tile", "segment", {"recall_least": 0.90, "false_rejects": -0.05}, tiles),
    "pcb-detect": Bar("deeppcb", "detect", {"mean_average_precision": 0.95}, detector(0.33)),
    "steel-detect": Bar("neu_det", "detect", {"mean_average_precision": 0.72}, detector(0.5)),
}


def main() -> int:
    """0 where every bar is reached, 1 where one is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.train_bars", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=tuple(BARS))
    parser.add_argument("--steps", type=int, help="fewer, for a first look")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="of what there is to learn from, of each label")
    parser.add_argument("--side", type=int, help="longest side of the input in pixels")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in args.only or BARS:
        rows += run(name, BARS[name], args)
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "bars.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(f"{'build':18}{'figure':26}{'bar':>8}{'INT8':>9}{'FP32':>9}  reached")
    for row in rows:
        bar = "" if row["bar"] is None else f"{abs(row['bar']):.3f}"
        print(f"{row['build']:18}{row['figure']:26}{bar:>8}{row['int8']:9.4f}{row['fp32']:9.4f}  {row['reached']}")
    return int(any(row["reached"] == "no" for row in rows))


def run(name: str, bar: Bar, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Build, and hold the figures of both graphs on the test split against the bars."""
    data = prepared(args.data / bar.data, args.out / "sets" / name, bar.task)
    if args.share < 1.0:
        data = thinned(data, args.share, args.out / "sets" / f"{name}-{args.share:g}")
    started = time.monotonic()
    package = build(_order(name, bar, data, args), lambda text: print(f"{name}: {text}", file=sys.stderr, flush=True))
    seconds = time.monotonic() - started
    spec = package.manifest.input
    classes = package.manifest.defect_classes if bar.task != "anomaly" else data.classes
    form = Format(spec.width, spec.height, spec.channels)
    held = load(data.root, parts(data, 1)[1], classes, form)
    on = load(data.root, data.open_test(f"bars of {name}"), classes, form)
    found = {precision: _figures(bar, package, precision, on, held) for precision in ("int8", "fp32")}
    found["int8"]["ms_p50"], found["fp32"]["ms_p50"] = (found[p].pop("ms") for p in ("int8", "fp32"))
    found["int8"]["build_s"] = found["fp32"]["build_s"] = seconds
    return [
        {
            "build": name,
            "figure": figure,
            "bar": (limit := bar.bars.get(figure)),
            "int8": round(value, 4),
            "fp32": round(found["fp32"][figure], 4),
            "reached": "" if limit is None else "yes" if (value >= limit if limit > 0 else value <= -limit) else "no",
        }
        for figure, value in found["int8"].items()
    ]


def _figures(bar: Bar, package: ModelPackage, precision: str, on: Material, held: Material) -> Figures:
    output = package.manifest.output.model_copy(update={"unsure_from": 0.02} if bar.task == "detect" else {})
    asked = replace(package, manifest=package.manifest.model_copy(update={"output": output}))
    test, kept = outcome_of(asked, precision, on), outcome_of(asked, precision, held)
    return bar.figures(test, on, kept, held) | {"ms": float(np.median(test.milliseconds))}


def _order(name: str, bar: Bar, data: LabelledSet, args: argparse.Namespace) -> Order:
    names = ("anomaly",) if bar.task == "anomaly" else data.classes
    limits = [{"severity": "major", "above": 0.0}]
    kinds = [{"name": n, "code": i, "measure": "area", "severities": limits} for i, n in enumerate(names, 1)]
    catalogue = Catalogue.model_validate({"schema": 1, "product": name, "defects": kinds})
    settings = Settings(task=bar.task, steps=args.steps, side=args.side, threads=args.threads)
    naming = Naming(name, "1.0.0", "evaluation only", created="2026-01-01T00:00:00+00:00")
    return Order(data.root, catalogue, args.out / "builds" / data.root.name, naming, settings)


def prepared(source: Path, root: Path, task: Task) -> LabelledSet:
    """The shared set as a set of our own, with one label for any defect where the task knows no more."""
    if (root / "manifest.csv").is_file():
        return open_set(root)
    samples = read_table(source / "manifest.csv", good_names=("free", "ok", "normal", "possibly_ok_0.33"))
    if source.name == "elpv":
        samples = tuple(_certain(sample, source) for sample in samples)
    if source.name in ("deeppcb", "neu_det"):
        samples = tuple(_boxed(sample, source) for sample in samples)
    return _saved(samples, source, root, f"{source.name} for {task}")


def thinned(data: LabelledSet, share: float, root: Path) -> LabelledSet:
    """A set with a share of what is learnt from; more is the same and some. Validation and test are the whole set's."""
    learnt, held = parts(data, 1)
    kept: list[Sample] = []
    for shown in sorted({sample.classes for sample in learnt}):
        group = [sample for sample in learnt if sample.classes == shown]
        order = np.random.default_rng(1).permutation(len(group))
        kept += [group[i] for i in sorted(order[: round(np.ceil(share * len(group)))])]
    judged = [replace(sample, split=Split.VALIDATION) for sample in held]
    judged += [sample for sample in data.samples if sample.split is Split.TEST]
    samples = (*kept, *judged)
    return _saved(samples, data.root, root, f"{share:g} of {data.root.name}")


def _saved(samples: tuple[Sample, ...], source: Path, root: Path, why: str) -> LabelledSet:
    for sample in samples:
        for file in (sample.image, *(mask.file for mask in sample.masks)):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, root / file)
    return save_set(root, samples, why)


def _certain(sample: Sample, source: Path) -> Sample:
    classes = () if sample.is_good else ("defect",)
    return replace(sample, classes=classes, certainty=_probabilities(source)[sample.image])


def _probabilities(source: Path) -> dict[str, float]:
    rows = (line.split() for line in (source / "labels.csv").read_text(encoding="utf-8").splitlines())
    return {row[0]: float(row[1]) for row in rows if len(row) == 3}


def _boxed(sample: Sample, source: Path) -> Sample:
    boxes = _pcb(source, sample) if source.name == "deeppcb" else _voc(source / "ANNOTATIONS", sample)
    return replace(sample, boxes=boxes, classes=tuple(sorted({box.defect for box in boxes})), is_good=not boxes)


_PCB = ("", "open", "short", "mousebite", "spur", "copper", "pin-hole")


def _pcb(source: Path, sample: Sample) -> tuple[Box, ...]:
    folder, file = (source / sample.image).parent, Path(sample.image).stem.removesuffix("_test") + ".txt"
    lines = (folder.parent / f"{folder.name}_not" / file).read_text(encoding="utf-8").split("\n")
    rows = [[int(word) for word in line.replace(",", " ").split()] for line in lines if line.strip()]
    return tuple(Box(_PCB[kind], x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2, kind in rows)


def _voc(folder: Path, sample: Sample) -> tuple[Box, ...]:
    root = ElementTree.parse(folder / f"{Path(sample.image).stem}.xml").getroot()
    boxes: list[Box] = []
    for item in root.iter("object"):
        x1, y1, x2, y2 = (float(item.findtext(f"bndbox/{side}", "0")) for side in ("xmin", "ymin", "xmax", "ymax"))
        boxes.append(Box(item.findtext("name", ""), x1, y1, x2 - x1, y2 - y1))
    return tuple(boxes)


if __name__ == "__main__":
    sys.exit(main())
