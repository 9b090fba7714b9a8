"""Reads the part's own mark back from every kept image: proof that a verdict came from the part's own frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.sim import mark

_NAME = re.compile(r"^\d+-[a-z]+-\d+-(?P<part_id>\d+)-[^-]+\.(ok\.)?(png|jpg)$")
_REDUCED = 2


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """checked: images found. wrong: the mark is another part's. unmarked: no mark could be read, as on an empty belt,
    although the part was decided."""

    checked: int
    wrong: int
    unmarked: int


def check_images(folder: Path, decided: Mapping[int, bool]) -> ImageCheck:
    """Compare every image below a folder with the part it is filed under.

    decided: by part id, whether the part got a verdict other than NO_DECISION.
    """
    files = [(path, int(match["part_id"])) for path in folder.rglob("*") if (match := _NAME.match(path.name))]
    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(_read, [path for path, _ in files]))
    wrong = sum(1 for (_, filed), found in zip(files, seen, strict=True) if found is not None and found != filed)
    unmarked = sum(
        1 for (_, filed), found in zip(files, seen, strict=True) if found is None and decided.get(filed, False)
    )
    return ImageCheck(len(files), wrong, unmarked)


def _read(path: Path) -> int | None:
    content: NDArray[np.uint8] = np.fromfile(path, np.uint8)
    small = cv2.imdecode(content, cv2.IMREAD_REDUCED_GRAYSCALE_2)
    found = mark.read(small, 1 / _REDUCED) if small is not None else None  # type: ignore[arg-type]
    if found is not None:
        return found
    whole = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    return mark.read(whole) if whole is not None else None  # type: ignore[arg-type]
