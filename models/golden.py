"""Golden images: pictures inside a package, and what its model said about them when it was packed.

Hashes prove that the bytes arrived; golden images prove that this computer, with its processor and its OpenVINO, makes
the same of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.decode.decoded import Decoded
from models.errors import InferenceFailed, ModelRejected
from models.package import Manifest
from models.runner import Runner

TOLERANCE = 0.05
"""Most that a score may differ: another processor rounds INT8 elsewhere, a damaged graph answers something else."""

Decode = Callable[[Mapping[str, NDArray[np.float32]], Manifest, int, int], Decoded]


def answer(runner: Runner, decode: Decode, pixels: NDArray[np.uint8]) -> Decoded:
    """What a loaded model says about a picture. Raises InferenceFailed."""
    outputs = runner.infer(pixels)
    return decode(outputs, runner.package.manifest, pixels.shape[1], pixels.shape[0])


def check_golden(runner: Runner, decode: Decode) -> None:
    """Hold a loaded model against its package's golden images. Raises ModelRejected naming the first that differs."""
    package = runner.package
    for golden in package.manifest.golden:
        path = str(package.folder / golden.file)
        try:
            found = answer(runner, decode, read_picture(package.folder / golden.file))
        except InferenceFailed as error:
            raise ModelRejected(path, "golden", golden.file, f"the model fails on it: {error}") from error
        if not abs(found.score - golden.score) <= TOLERANCE:
            cure = f"the model gave {golden.score:.3f} when it was packed: pack it on a computer like this one"
            raise ModelRejected(path, "golden score", round(found.score, 3), cure)
        if bool(found.findings) != bool(golden.findings) and abs(golden.score - 0.5) > 2 * TOLERANCE:
            cure = f"there were {golden.findings} when it was packed: pack it on a computer like this one"
            raise ModelRejected(path, "golden findings", len(found.findings), cure)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A PNG as a frame has it: grey, or RGB. Raises ModelRejected."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ModelRejected(str(path), "golden", path.name, "is no picture: copy the package again")
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(picture, np.uint8)
