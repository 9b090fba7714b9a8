"""A foreign model as a package: recognised, adapted, run on pictures by the station's own path, packed, and said so."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.decode import DECODERS
from models.errors import InferenceFailed, ModelRejected
from models.golden import answer, read_picture
from models.lifecycle.data.manifest import hash_of
from models.lifecycle.describe import describe
from models.lifecycle.foreign.adapt import adapted
from models.lifecycle.foreign.exported import read_exported
from models.lifecycle.foreign.recognise import Given, Recognised, recognise
from models.lifecycle.material import Format
from models.lifecycle.pack import Naming
from models.lifecycle.quantise import save
from models.package import ModelPackage, open_package, write_package
from models.runner import Runner

GOLDEN = 4


@dataclass(frozen=True, slots=True)
class Brought:
    """The package, what was recognised, and what it says about each picture: score and number of findings."""

    package: ModelPackage
    recognised: Recognised
    answers: tuple[tuple[str, float, int], ...]


def bring(
    path: Path,
    pictures: Sequence[Path],
    root: Path,
    naming: Naming,
    given: Given = Given(),
    key: Ed25519PrivateKey | None = None,
) -> Brought:
    """Write `<root>/<name>/<version>` around an exported model. Raises ModelRejected, ImportError without the extra.

    pictures: at least two, of good and of defective parts. A model that says the same about all of them is refused.
    """
    if len(pictures) < 2:
        raise ModelRejected(str(path), "pictures", len(pictures), "give at least two, a good and a defective part")
    model = read_exported(path)
    found = recognise(model, given)
    if not found.classes:
        raise model.refusal("classes", "", "the file names no classes: name them in order")
    folder = root / naming.name / naming.version
    if folder.exists():
        raise ModelRejected(str(folder), "version", naming.version, "exists already: choose another version")
    folder.mkdir(parents=True)
    try:
        save(adapted(model, found), folder / "fp32.xml")
        about = _about(path, naming, found)
        write_package(folder, about)
        answers, golden = _tried(open_package(root, naming.name, naming.version), pictures)
        package = write_package(folder, {**about, "golden": golden}, key)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return Brought(package, found, answers)


def _about(path: Path, naming: Naming, found: Recognised) -> dict[str, Any]:
    shipped = [name for name in found.classes if name != found.good] if found.task == "classify" else found.classes
    about = describe(
        naming.name,
        naming.version,
        found.task,
        shipped,
        Format(*found.size, channels=3),
        training_hash=hash_of(path),
        graphs={"fp32": "fp32.xml"},
        output=found.output,
        licence=naming.licence,
        created=naming.created,
        notes="; ".join(
            (f"{found.family}, imported from {path.name}; its hash stands for the training data", *found.notes)
        ),
    )
    if found.task == "classify":
        about |= {"classes": list(found.classes), "good_class": found.good}
    about["input"] |= {"colour": found.colour, "mean": list(found.mean), "std": list(found.std)}
    return {**about, "preferred": "fp32", "metrics": {}}


def _tried(
    package: ModelPackage, pictures: Sequence[Path]
) -> tuple[tuple[tuple[str, float, int], ...], list[dict[str, Any]]]:
    """What the model says about each picture, and the first of them as golden images."""
    runner = Runner(package)
    decode = DECODERS[package.manifest.task]
    (package.folder / "golden").mkdir(exist_ok=True)
    answers: list[tuple[str, float, int]] = []
    golden: list[dict[str, Any]] = []
    try:
        runner.load()
        runner.warm_up()
        for number, picture in enumerate(pictures, 1):
            said = answer(runner, decode, read_picture(picture))
            answers.append((str(picture), said.score, len(said.findings)))
            if number <= GOLDEN:
                file = f"golden/{number}.png"
                kept = read_picture(picture)
                cv2.imwrite(
                    str(package.folder / file), kept if kept.ndim == 2 else cv2.cvtColor(kept, cv2.COLOR_RGB2BGR)
                )
                golden.append({"file": file, "score": round(said.score, 4), "findings": len(said.findings)})
    except InferenceFailed as error:
        raise ModelRejected(
            str(package.folder), "outputs", package.manifest.task, f"cannot be read: {error}"
        ) from error
    finally:
        runner.close()
    if np.ptp([score for _, score, _ in answers]) < 1e-6:
        cure = "the model says the same about every picture: wrong normalisation, or not the outputs that were taken"
        raise ModelRejected(str(package.folder), "scores", round(answers[0][1], 6), cure)
    return tuple(answers), golden
