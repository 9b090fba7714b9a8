"""A model package from real pictures: `python -m models.lifecycle.real_tiles --data FOLDER --out build/real`.

Fits on the train split of the magnetic tiles, draws the line on a part of it that shares no batch with what was fitted,
and looks at the test split once, at the end, on the station's own path. Pictures and pretrained weights have licences
that forbid shipping: the package goes to a build folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import openvino as ov

from models.catalogue import Catalogue, DefectType, SeverityLimit
from models.errors import ModelError
from models.frame import ImageBand
from models.inspector import Inspector
from models.lifecycle.data.manifest import version_of
from models.lifecycle.data.pictures import Pictures, load_pictures
from models.lifecycle.data.sample import Sample, Split
from models.lifecycle.data.sources.table import read_table
from models.lifecycle.data.splits import carve_by_batch
from models.lifecycle.evaluate import Line, Report, choose_line, judge_all, raw_scores, report
from models.package import ModelPackage, open_package, write_package
from models.runner import Runner

NAME, VERSION = "magnetic-tile", "1.0.0"
DEFECT = "surface_defect"
OUTPUT = "map"
SIDE = 288
"""Every tile is stretched to this square: blowholes of a few pixels survive, and one thread needs a few ms."""

UNSURE, NG = 0.25, 0.5
"""Scaled scores at which a picture becomes UNSURE and NG; the catalogue's confidences are the same numbers."""

NG_SHARE, UNSURE_SHARE = 0.05, 0.10
"""Of the good validation pictures, at most so many may lie above each line: what the rule for the lines is."""

LEAST_GAP = 0.25
"""Least distance of the two lines in logits, so that the scale stays finite."""

BAND = ImageBand(darkest=25, brightest=240, flattest=4)
"""Pictures outside of it are not judged; the train split has mean grey 50 to 216 and contrast from 9."""

CALIBRATION = 120
"""Fitted pictures from which INT8 ranges are taken."""

Precision = Literal["fp32", "int8"]


@dataclass(frozen=True, slots=True)
class Parts:
    """The three parts that share no batch."""

    fitted: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    test: tuple[Sample, ...]


def split(samples: Sequence[Sample], share: float = 0.25, seed: int = 1) -> Parts:
    """The manifest's test split as it is; validation carved from train by batch."""
    train = [sample for sample in samples if sample.split is Split.TRAIN]
    fitted, validation = carve_by_batch(train, share, seed)
    return Parts(fitted, validation, tuple(sample for sample in samples if sample.split is Split.TEST))


def tile_catalogue() -> Catalogue:
    """Any mark is a defect: the data set gives no scale, so there is no size to tolerate."""
    limits = (SeverityLimit(severity="major", above=0.0),)
    kind = DefectType(
        name=DEFECT, code=201, measure="length", min_confidence=UNSURE, sure_confidence=NG, severities=limits
    )
    return Catalogue(schema=1, product="tile", defects=(kind,))


def scale_of(line: Line) -> tuple[float, float]:
    """offset and scale for `(raw - offset) * scale`, so that the lines come to UNSURE and NG.

    Lines too close to each other: the one for NG moves up.
    """
    scale = (NG - UNSURE) / max(line.ng - line.unsure, LEAST_GAP)
    return line.unsure - UNSURE / scale, scale


def manifest(training_hash: str, metrics: dict[str, dict[str, float]], seed: int) -> dict[str, Any]:
    """What the package says of itself; the graphs scale their maps themselves."""
    return {
        "schema": 1,
        "name": NAME,
        "version": VERSION,
        "task": "anomaly",
        "classes": [DEFECT],
        "input": {"width": SIDE, "height": SIDE, "channels": 1, "colour": "grey", "mean": [127.0], "std": [128.0]},
        "output": {"score_orientation": "high_is_bad", "pixel_threshold": UNSURE, "unsure_from": UNSURE},
        "graphs": {"int8": "int8.xml", "fp32": "fp32.xml"},
        "preferred": "int8",
        "training_data_sha256": training_hash,
        "metrics": metrics,
        "licence": "research and evaluation only: pictures (Huang et al. 2018) and ImageNet weights may not be shipped",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "notes": f"EfficientNet-Lite0 to block 10 and a spot head, fitted with seed {seed}; lines on validation: at "
        f"most {NG_SHARE:.0%} of good pictures NG, {UNSURE_SHARE:.0%} at least UNSURE",
    }


def evaluate(package: ModelPackage, precision: Precision, pictures: Pictures, catalogue: Catalogue) -> Report:
    """Figures of one graph on the station's path: runner, decoder, catalogue. One thread."""
    runner = Runner(package, graph=precision)
    inspector = Inspector(runner, catalogue, mm_per_px=1.0, band=BAND)
    inspector.warm_up()
    try:
        verdicts, milliseconds = judge_all(inspector, pictures)
        # The scaled score saturates at 0 and 1; ranking needs the whole range.
        return report(raw_scores(runner, pictures), verdicts, pictures, milliseconds)
    finally:
        runner.close()


def draw_line(package: ModelPackage, precision: Precision, pictures: Pictures) -> Line:
    """The two lines, from a graph's scores on pictures that were not fitted."""
    runner = Runner(package, graph=precision)
    runner.load()
    try:
        scores = raw_scores(runner, pictures)
    finally:
        runner.close()
    defective = np.array([not sample.is_good for sample in pictures.samples])
    return choose_line(scores, defective, NG_SHARE, UNSURE_SHARE)


def pack(graphs: Mapping[Precision, ov.Model], validation: Pictures, folder: Path, about: Mapping[str, Any]) -> None:
    """Draw each graph's lines, build the scale into it, write the package. about: the manifest."""
    from models.lifecycle import quantise

    with TemporaryDirectory() as name:
        for precision, graph in graphs.items():
            quantise.save(graph, Path(name) / f"{precision}.xml")
        unscaled = write_package(Path(name), about)
        for precision, graph in graphs.items():
            line = draw_line(unscaled, precision, validation)
            quantise.save(quantise.scaled(graph, *scale_of(line)), folder / f"{precision}.xml")
    write_package(folder, about)


def build(data: Path, out: Path, seed: int, steps: int) -> dict[str, Any]:
    """Fit, pack, measure. Returns every figure, ready for JSON. Raises ModelError, ImportError without the extra."""
    from models.lifecycle import backbone, quantise, tile_fit, tile_net

    path = data / "manifest.csv"
    samples = read_table(path)
    say(f"{len(samples)} pictures in {path}, each with the SHA-256 that the table states")
    parts = split(samples)
    say(f"fit on {len(parts.fitted)}, lines on {len(parts.validation)}, test on {len(parts.test)}; no batch shared")
    train = (*parts.fitted, *parts.validation)
    training_hash = version_of(train)
    fitted = load_pictures(data, parts.fitted, SIDE)
    validation = load_pictures(data, parts.validation, SIDE)

    net = tile_net.TileNet(backbone.lite0_backbone())
    tile_fit.fit(net, fitted, tile_fit.TilePlan(steps=steps, seed=seed), say)
    graph = quantise.export(net, (1, SIDE, SIDE), [OUTPUT])
    say("quantising to INT8")
    chosen = tile_fit.calibration_pictures(fitted, CALIBRATION, seed)
    calibration = [backbone.normalised(picture[None]).numpy() for picture in chosen]
    graphs: dict[Precision, ov.Model] = {
        "fp32": graph,
        "int8": quantise.quantised(graph, calibration, first=0, symmetric=False),
    }
    folder = out / "packages" / NAME / VERSION
    pack(graphs, validation, folder, manifest(training_hash, {}, seed))
    package = open_package(out / "packages", NAME, VERSION)
    catalogue = tile_catalogue()
    on_validation = evaluate(package, "int8", validation, catalogue)
    say(f"validation: AUROC {on_validation.auroc:.3f}, recall {on_validation.caught}")
    test = load_pictures(data, parts.test, SIDE)
    reports: dict[Precision, Report] = {
        "fp32": evaluate(package, "fp32", test, catalogue),
        "int8": evaluate(package, "int8", test, catalogue),
    }
    metrics = {name: found.figures() for name, found in reports.items()}
    package = write_package(folder, manifest(training_hash, metrics, seed))
    sys.stdout.write(table(reports) + "\n")
    return {
        "package": folder.as_posix(),
        "hash": package.hash,
        "seed": seed,
        "images": {"fitted": len(fitted), "validation": len(validation), "test": len(test)},
        "validation": {"int8": on_validation.figures()},
        "test": metrics,
    }


def table(reports: dict[Precision, Report]) -> str:
    """The figures of every graph side by side."""
    names = list(reports)
    columns = [reports[name] for name in names]
    rows: list[tuple[str, list[str]]] = [
        ("test images", [str(r.images) for r in columns]),
        ("image AUROC", [f"{r.auroc:.4f}" for r in columns]),
        ("recall (NG or UNSURE)", [str(r.caught) for r in columns]),
        ("recall (NG alone)", [str(r.ng) for r in columns]),
        ("false rejects (NG or UNSURE)", [str(r.false_reject) for r in columns]),
        ("false rejects (NG alone)", [str(r.false_ng) for r in columns]),
    ]
    labels = sorted({label for r in columns for label in r.per_label})
    rows.extend((f"  recall {label}", [str(r.per_label[label]) for r in columns]) for label in labels)
    rows.append(("inspection, p50, 1 thread", [f"{r.inference_ms:.2f} ms" for r in columns]))
    wide = max(len(cell) for _, cells in rows for cell in cells)
    head = f"{'':30}" + "".join(f"{name.upper():<{wide + 2}}" for name in names)
    return "\n".join([head, *(f"{name:30}" + "".join(f"{cell:<{wide + 2}}" for cell in cells) for name, cells in rows)])


def say(text: str) -> None:
    """One line of progress, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 with one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m models.lifecycle.real_tiles", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the magnetic tiles, with manifest.csv")
    parser.add_argument("--out", type=Path, required=True, help="build folder; the package goes to OUT/packages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=400, help="training steps of 8 pictures")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    chosen = parser.parse_args(arguments)
    try:
        figures = build(chosen.data, chosen.out, chosen.seed, chosen.steps)
    except (ModelError, ImportError) as error:
        say(str(error))
        return 2
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
