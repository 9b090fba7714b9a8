"""The byte budget of a folder of images: what lies there, and what must go to make room."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from pathlib import Path

OK_MARK = ".ok"
"""In front of the ending of images of good parts ("….ok.jpg"): these may go first."""


def is_ok_image(path: Path) -> bool:
    """Whether the name says that the part was OK."""
    return path.stem.endswith(OK_MARK)


class FolderBudget:
    """Keeps the bytes under a folder within a budget by deleting the oldest images, those of good parts first.

    `scan` may run in another thread while images are added; `merge` then joins what it found. All
    else belongs to one thread.
    """

    def __init__(self, root: Path, budget_bytes: int) -> None:
        self._root, self._budget = root, budget_bytes
        self.used = 0
        self.error = ""
        self._ok: deque[bytes] = deque()
        self._others: deque[bytes] = deque()
        self._added: set[bytes] | None = set()
        self._found: list[tuple[int, bytes]] | None = None

    def scan(self) -> None:
        """List the images of earlier runs, oldest first, and remove half-written ones. Slow; changes nothing else."""
        found: list[tuple[int, bytes]] = []
        for folder, _, names in os.walk(self._root):
            for name in names:
                path = Path(folder) / name
                with contextlib.suppress(OSError):
                    if name.endswith((".png", ".jpg")):
                        status = path.stat()
                        found.append((status.st_mtime_ns, self._noted(path, status.st_size)))
                    elif name.endswith(".tmp") and time.time() - path.stat().st_mtime > 60:
                        path.unlink()
        self._found = sorted(found)

    def merge(self) -> None:
        """Take over what `scan` found, once it is done."""
        if self._found is None or self._added is None:
            return
        older_ok: list[bytes] = []
        older_others: list[bytes] = []
        for _, noted in self._found:
            path, size = self._read(noted)
            if noted not in self._added:
                (older_ok if is_ok_image(path) else older_others).append(noted)
                self.used += size
        self._ok.extendleft(reversed(older_ok))
        self._others.extendleft(reversed(older_others))
        self._found = self._added = None

    def make_room(self, size: int, for_ok: bool) -> bool:
        """Delete until `size` more bytes fit; False where they cannot.

        An image of a good part never drives out one of another verdict.
        """
        if size > self._budget:
            return False
        while self.used + size > self._budget:
            if self._ok:
                self._delete(*self._read(self._ok.popleft()))
            elif self._others and not for_ok:
                self._delete(*self._read(self._others.popleft()))
            else:
                return False
        return True

    def add(self, path: Path, size: int) -> None:
        """An image was written."""
        noted = self._noted(path, size)
        (self._ok if is_ok_image(path) else self._others).append(noted)
        self.used += size
        if self._added is not None:
            self._added.add(noted)

    def _noted(self, path: Path, size: int) -> bytes:
        """What is kept of an image: a station has hundreds of thousands, and a Path is four times as large."""
        return b"%d %s" % (size, os.fsencode(path.relative_to(self._root)))

    def _read(self, noted: bytes) -> tuple[Path, int]:
        size, name = noted.split(b" ", 1)
        return self._root / os.fsdecode(name), int(size)

    def _delete(self, path: Path, size: int) -> None:
        # One that cannot be deleted is not counted any more: it must not make all others go in its place.
        self.used -= size
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self.error = f"an old image cannot be deleted: {error}"
            return
        with contextlib.suppress(OSError):
            path.parent.rmdir()
