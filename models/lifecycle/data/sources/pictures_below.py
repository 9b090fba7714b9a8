"""Finds the picture that a label file means, whatever folder or drive its author had it in."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from models.lifecycle.data.complaint import Complaint, DatasetError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class PicturesBelow:
    """All picture files below a folder, found by the end of their path. Names are compared without regard to case."""

    def __init__(self, root: Path, leave_out: Callable[[Path], bool] = lambda path: False) -> None:
        self.root = root
        self.files = tuple(
            sorted(
                Path(folder) / name
                for folder, _, names in os.walk(root)
                for name in names
                if name.lower().endswith(SUFFIXES) and not name.startswith(".") and not leave_out(Path(folder) / name)
            )
        )
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for file in self.files:
            self._by_name[file.name.lower()].append(file)
            self._by_stem[file.stem.lower()].append(file)

    def find(self, reference: str, file: str, where: str) -> Path:
        """The picture whose path ends most like the reference (a path, or an address). file, where: of the reference.

        Raises DatasetError where there is none, or two that fit equally well.
        """
        parts = reference.replace("\\", "/").split("/")
        name = parts[-1].lower()
        # Some tools leave the suffix out; a picture with another suffix is another picture.
        candidates = self._by_name[name] if name.endswith(SUFFIXES) else self._by_stem[name]
        return self._choose(candidates, parts, reference, file, where)

    def beside(self, label: Path, where: str = "picture") -> Path:
        """The picture of a label file of its own, by the name without suffix. Raises DatasetError."""
        parts = [part.replace("labels", "images") for part in label.relative_to(self.root).parts[:-1]]
        return self.with_stem(label.stem, parts, str(label), where)

    def with_stem(self, stem: str, folders: Sequence[str], file: str, where: str) -> Path:
        """The picture of this name, whatever its suffix, whose folders end most like these. Raises DatasetError."""
        return self._choose(self._by_stem[stem.lower()], [*folders, ""], stem, file, where)

    def _choose(self, candidates: list[Path], parts: list[str], reference: str, file: str, where: str) -> Path:
        if not candidates:
            cure = f"no such picture below {self.root}: copy it there, or remove the label"
            raise DatasetError(Complaint(file, where, reference, cure))
        scores = {candidate: _common_end(candidate.relative_to(self.root).parts, parts) for candidate in candidates}
        best = [candidate for candidate in candidates if scores[candidate] == max(scores.values())]
        if len(best) > 1:
            cure = f"may mean {best[0]} or {best[1]}: give the pictures different names, or write the folder before it"
            raise DatasetError(Complaint(file, where, reference, cure))
        return best[0]


def _common_end(path: tuple[str, ...], parts: list[str]) -> int:
    """How many folders, counted from the file up, are alike."""
    same = 0
    for mine, other in zip(reversed(path[:-1]), reversed(parts[:-1]), strict=False):
        if mine.lower() != other.lower():
            break
        same += 1
    return same
