"""Makes the demo's model package: `python -m controller.sim.demo_model --out models/packages`.

A small net is trained on drawn washers with exact labels, quantised, and measured on parts that it has never seen, with
the very runner, decoder and catalogue that the station uses. Seeds are fixed. It lives above `models` because it needs
the simulated product; all that is not about that product is in `models.lifecycle`. Takes the `train` extra.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.sim.measure import measure
from controller.sim.product import SimPart, sim_part
from controller.sim.render import KINDS, Renderer
from models.catalogue import load_catalogue
from models.inspector import Inspector
from models.lifecycle.segment_fit import Batch, FitPlan, FitReport, export, fit, quantise, save
from models.lifecycle.segment_net import STRIDE
from models.package import ModelPackage, open_package, write_package
from models.runner import Runner

Grey = NDArray[np.uint8]

WIDTH, HEIGHT = 960, 600
"""The model's input: half a frame of 1920 x 1200 each way, where linear resizing is an exact mean of four pixels."""

SHRINK = 2
CELL_PX = SHRINK * STRIDE
CROP = 192
BATCH = 32
TRAIN_SEED = 1001
HELD_OUT_SEED = 2002
CALIBRATION_PARTS = 150
PLAN = FitPlan(classes=len(KINDS) + 1, steps=1600, mean=90.0, std=60.0)

PIXEL_THRESHOLD = 0.4
"""Below one half, so that a place which two defect types share is not lost between them."""

NAME, VERSION = "sim-washer", "1.0.0"
CATALOGUE = Path(__file__).parent / "station" / "recipes" / "washer" / "catalogue.toml"


def shrunk(frame: Grey) -> Grey:
    """A frame as the model sees it."""
    return cast(Grey, cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR))


def training_part(number: int) -> SimPart:
    """Part for training: many defects of every size, among them sizes near the limits."""
    return sim_part(TRAIN_SEED, number, defective_share=0.6, blemish_share=0.8, draw_borderline=number % 3 == 0)


def batches(renderer: Renderer) -> Iterator[Batch]:
    """Endless crops with their labels, every one from a part of its own."""
    rng = np.random.default_rng(TRAIN_SEED)
    number = 0
    while True:
        pictures = np.empty((BATCH, CROP, CROP), np.uint8)
        labels = np.empty((BATCH, CROP // STRIDE, CROP // STRIDE), np.uint8)
        for index in range(BATCH):
            number += 1
            part = training_part(number)
            picture, label = shrunk(renderer.render(part)), renderer.mask(part, CELL_PX)
            row, column = _corner(rng, label)
            pictures[index] = picture[row * STRIDE : row * STRIDE + CROP, column * STRIDE : column * STRIDE + CROP]
            labels[index] = label[row : row + CROP // STRIDE, column : column + CROP // STRIDE]
        yield pictures, labels


class Hashed:
    """Batches as they come, and the SHA-256 of all that went by."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        pictures, labels = next(self._batches)
        self._hash.update(pictures.tobytes())
        self._hash.update(labels.tobytes())
        return pictures, labels

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def make_package(out: Path, plan: FitPlan = PLAN, held_out_parts: int = 2000) -> tuple[ModelPackage, FitReport]:
    """Train, quantise, measure and write `<out>/sim-washer/1.0.0`, in place of what is there."""
    renderer = Renderer()
    seen = Hashed(batches(renderer))
    net, report = fit(plan, seen)
    folder = out / NAME / VERSION
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    graph = export(net, HEIGHT, WIDTH)
    save(graph, folder / "fp32.xml")
    calibration = (training_part(10**6 + number) for number in range(CALIBRATION_PARTS))
    save(quantise(graph, [shrunk(renderer.render(part)) for part in calibration], plan), folder / "int8.xml")
    manifest = _manifest(plan, report, seen.hexdigest())
    package = write_package(folder, manifest)
    manifest["metrics"] = {
        precision: measured(package, precision, renderer, held_out_parts) for precision in ("fp32", "int8")
    }
    return write_package(folder, manifest), report


def measured(
    package: ModelPackage, precision: str, renderer: Renderer, parts: int, seed: int = HELD_OUT_SEED
) -> dict[str, float]:
    """How one graph of a package does on parts of a line that it was not trained on."""
    runner = Runner(package, graph=precision)
    inspector = Inspector(runner, load_catalogue(CATALOGUE), renderer.mm_per_px)
    inspector.warm_up()
    try:
        return measure(inspector, renderer, (sim_part(seed, number) for number in range(1, parts + 1))).figures()
    finally:
        runner.close()


def _manifest(plan: FitPlan, report: FitReport, data_hash: str) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": NAME,
        "version": VERSION,
        "task": "segment",
        "classes": [kind.value for kind in KINDS],
        "input": {
            "width": WIDTH,
            "height": HEIGHT,
            "channels": 1,
            "colour": "grey",
            "mean": [plan.mean],
            "std": [plan.std],
        },
        "output": {"pixel_threshold": PIXEL_THRESHOLD, "min_area_px": 1},
        "graphs": {"int8": "int8.xml", "fp32": "fp32.xml"},
        "preferred": "int8",
        "training_data_sha256": data_hash,
        "metrics": {},
        "licence": "Apache-2.0",
        "created": datetime.now(UTC).date().isoformat(),
        "notes": (
            f"Washers drawn by controller.sim.render, seed {TRAIN_SEED}, {report.steps} batches of {BATCH} crops. "
            f"Metrics: drawn washers, seed {HELD_OUT_SEED}. Knows nothing about real parts."
        ),
    }


def _corner(rng: np.random.Generator, label: Grey) -> tuple[int, int]:
    """Upper left cell of a crop: mostly around a defect, else anywhere."""
    side = CROP // STRIDE
    last_row, last_column = label.shape[0] - side, label.shape[1] - side
    defects = np.argwhere(label)
    if len(defects) and rng.random() < 0.85:
        row, column = defects[rng.integers(len(defects))] - rng.integers(4, side - 4, 2)
        return int(np.clip(row, 0, last_row)), int(np.clip(column, 0, last_column))
    return int(rng.integers(0, last_row + 1)), int(rng.integers(0, last_column + 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the package, or with --measure only measure the one that is there."""
    parser = argparse.ArgumentParser(prog="python -m controller.sim.demo_model", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/packages"), help="folder of model packages")
    parser.add_argument("--steps", type=int, default=PLAN.steps, help="training steps")
    parser.add_argument("--parts", type=int, default=2000, help="held-out parts to measure on")
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED, help="seed of the line measured with --measure")
    parser.add_argument("--measure", action="store_true", help="train nothing; measure the package that is there")
    chosen = parser.parse_args(arguments)
    if chosen.measure:
        package = open_package(chosen.out, NAME, VERSION)
        renderer = Renderer()
        figures = {p: measured(package, p, renderer, chosen.parts, chosen.seed) for p in package.manifest.graphs}
    else:
        package, report = make_package(chosen.out, replace(PLAN, steps=chosen.steps), chosen.parts)
        figures = package.manifest.metrics
        sys.stdout.write(f"{report.steps} steps in {report.seconds:.0f} s, loss {report.last_loss:.4f}\n")
    for precision, values in figures.items():
        sys.stdout.write(f"{precision}: " + ", ".join(f"{key} {value:g}" for key, value in values.items()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
