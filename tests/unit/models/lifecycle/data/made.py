"""Small pictures and samples for the tests of data sets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.lifecycle.data.pictures import picture_facts
from models.lifecycle.data.sample import Mask, Sample, Split

REAL = Path(__file__).resolve().parents[5].parent / "shared" / "data"
"""Real data sets beside the project; tests that need one skip where it is absent."""


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write pixels in the format that the name asks for, into a folder that may not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, content = cv2.imencode(path.suffix, pixels)
    assert done
    path.write_bytes(content.tobytes())


def flat(level: int, width: int = 10, height: int = 20) -> NDArray[np.uint8]:
    return np.full((height, width), level, np.uint8)


def textured(seed: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Blurred noise that is like no other seed's."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)
    return cv2.normalize(blurred, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)  # pyright: ignore[reportCallIssue, reportArgumentType]


def made_sample(root: Path, name: str, level: int, *classes: str, batch: str = "", split: Split = Split.NONE) -> Sample:
    """A sample whose picture lies in root, flat at this level; with a full mask for each class."""
    write_picture(root / name, flat(level))
    facts = picture_facts(root / name)
    masks: list[Mask] = []
    for defect in classes:
        file = f"masks/{Path(name).stem}_{defect}.png"
        write_picture(root / file, flat(255))
        masks.append(Mask(defect, file, picture_facts(root / file).sha256))
    return Sample(
        name, facts.sha256, facts.width, facts.height, batch, not classes, tuple(sorted(classes)),
        masks=tuple(masks), split=split,
    )  # fmt: skip


def bare_sample(number: int, *classes: str, batch: str = "", split: Split = Split.NONE) -> Sample:
    """A sample without files."""
    return Sample(f"{number:04}.png", f"{number:064x}", 10, 20, batch, not classes, classes, split=split)
