"""What a package says about pictures, on the station's own path, at the pictures' own size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.decode import DECODERS
from models.finding import RawFinding
from models.lifecycle.data.pictures import read_colour, read_grey
from models.lifecycle.data.sample import Sample
from models.lifecycle.outcome import confidences_of
from models.lifecycle.validate.predictions import Place, Prediction
from models.package import ModelPackage
from models.runner import Runner


def answers_of(package: ModelPackage, root: Path, samples: Sequence[Sample]) -> list[Prediction]:
    """Every graph's answer for every sample; a graph after the other, so that timings do not mix.

    Raises ModelRejected, InferenceFailed or DatasetError.
    """
    return [said for graph in package.manifest.graphs for said in _of_graph(package, graph, root, samples)]


def _of_graph(package: ModelPackage, graph: str, root: Path, samples: Sequence[Sample]) -> list[Prediction]:
    runner = Runner(package, graph=graph)
    runner.load()
    manifest = package.manifest
    decode = DECODERS[manifest.task]
    read = read_grey if manifest.input.channels == 1 else read_colour
    found: list[Prediction] = []
    try:
        runner.warm_up()
        for sample in samples:
            pixels = read(root / sample.image)
            started = time.perf_counter()
            outputs = runner.infer(pixels)
            decoded = decode(outputs, manifest, sample.width, sample.height)
            took = (time.perf_counter() - started) * 1e3
            sure = np.clip(confidences_of(manifest, outputs), 0.0, 1.0).tolist()
            scores = dict(zip(manifest.defect_classes, sure, strict=True))
            found.append(Prediction(sample.image, graph, took, scores, tuple(map(_place, decoded.findings))))
    finally:
        runner.close()
    return found


def _place(raw: RawFinding) -> Place:
    x, y, width, height = map(float, raw.region)
    return Place(raw.defect, raw.confidence, x, y, width, height, raw.length_px, raw.width_px)
