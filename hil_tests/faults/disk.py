"""A small disk of its own for the station's data, which can be filled to the last byte."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SIZE_MB = 96


def can_mount() -> bool:
    """Whether this user may mount a disk."""
    return sys.platform == "linux" and os.geteuid() == 0 and _run("unshare", "-m", "true")


@contextmanager
def small_disk(where: Path) -> Generator[Path]:
    """A disk in memory at this place. Raises RuntimeError where it cannot be mounted."""
    where.mkdir(parents=True, exist_ok=True)
    if not _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(where)):
        raise RuntimeError(f"no disk can be mounted at {where}")
    try:
        yield where
    finally:
        # Lazily: the station may still be letting go of its files.
        _run("umount", "-l", str(where))


@contextmanager
def filled(folder: Path) -> Generator[None]:
    """The folder's disk has no byte left. Raises RuntimeError where it is not a small one of its own."""
    if not os.path.ismount(folder):
        raise RuntimeError(f"{folder} is not on a small disk of its own")
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                while _took(file.fileno(), size):
                    pass
        yield
    finally:
        ballast.unlink(missing_ok=True)


def _took(descriptor: int, size: int) -> bool:
    try:
        return os.write(descriptor, bytes(size)) > 0
    except OSError:
        return False


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
