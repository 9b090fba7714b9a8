"""A build's graphs as a package: with its lines, its figures and golden images, signed where there is a key."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.decode import DECODERS
from models.golden import answer, read_picture
from models.lifecycle.candidates import UNSURE, Candidates
from models.lifecycle.data.labelled_set import LabelledSet
from models.lifecycle.describe import describe
from models.lifecycle.material import Material
from models.lifecycle.outcome import METRIC
from models.package import ModelPackage, open_package, write_package
from models.runner import Runner

GOLDEN = 4
"""Golden images: two good ones and two defective ones of validation, where there are so many."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What a package is called. created: ISO 8601, None for now; given, the same build has the same hash."""

    name: str
    version: str
    licence: str = "not stated"
    created: str | None = None
    notes: str = ""


def pack(
    candidates: Candidates,
    choice: Mapping[str, Any],
    naming: Naming,
    data: LabelledSet,
    validation: Material,
    root: Path,
    key: Ed25519PrivateKey | None = None,
) -> ModelPackage:
    """Write `<root>/<name>/<version>`, in place of what an interrupted build left there. Raises ModelRejected."""
    folder = root / naming.name / naming.version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for precision in ("fp32", "int8"):
        for ending in (".xml", ".bin"):
            shutil.copyfile(candidates.work / f"{precision}{ending}", folder / f"{precision}{ending}")
    about = _about(candidates, choice, naming, data)
    write_package(folder, about)
    golden = _golden(open_package(root, naming.name, naming.version), validation)
    return write_package(folder, {**about, "golden": golden}, key)


def _about(candidates: Candidates, choice: Mapping[str, Any], naming: Naming, data: LabelledSet) -> dict[str, Any]:
    low = min((line["unsure"] for line in choice["lines"].values()), default=0.5)
    output: dict[str, Any] = {"unsure_from": round(min(max(low, 0.0), 1.0), 6)}
    if candidates.task == "segment":
        # One threshold cuts out every type's regions: at most one half, or their sizes would be too small.
        output = {"pixel_threshold": round(min(max(low, 0.05), 0.5), 6)}
    if candidates.task == "anomaly":
        output = {"unsure_from": UNSURE, "pixel_threshold": UNSURE}
    about = describe(
        naming.name,
        naming.version,
        candidates.task,
        candidates.classes,
        candidates.format,
        training_hash=data.version,
        output=output,
        licence=naming.licence,
        created=naming.created,
        notes=naming.notes,
    )
    metric = METRIC[candidates.task]
    figures = {name: value for name, value in choice["metrics"].items() if value is not None}
    about["metrics"] = {name: {f"validation_{metric}": value} for name, value in figures.items()}
    if choice["preferred"] == "fp32":
        about["preferred"] = "fp32"
    if choice["preferred"] == "bf16":
        about["graphs"] = {"bf16": "fp32.xml", "fp32": "fp32.xml", "int8": "int8.xml"}
        about["preferred"], about["precision_hint"] = "bf16", "bf16"
    return about


def _golden(package: ModelPackage, validation: Material) -> list[dict[str, Any]]:
    """Pictures whose scores lie far from the lines, and what the preferred graph says about them."""
    runner = Runner(package)
    runner.load()
    decode = DECODERS[package.manifest.task]
    folder = package.folder / "golden"
    folder.mkdir(exist_ok=True)
    kept: list[dict[str, Any]] = []
    try:
        for bad in (False, True):
            places = np.flatnonzero(validation.defective == bad)
            said = [(answer(runner, decode, validation.pixels[i]), int(i)) for i in places[:24]]
            said.sort(key=lambda row: row[0].score, reverse=bad)
            for _, index in said[: GOLDEN // 2]:
                file = folder / f"{len(kept) + 1}.png"
                _write_picture(file, validation.pixels[index])
                found = answer(runner, decode, read_picture(file))
                score = round(found.score, 4)
                kept.append({"file": f"golden/{file.name}", "score": score, "findings": len(found.findings)})
    finally:
        runner.close()
    return kept


def _write_picture(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    cv2.imwrite(str(path), pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
