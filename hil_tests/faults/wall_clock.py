"""A station's wall clock under the rig's thumb: a small library that is preloaded into it (wall_clock.c)."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

from controller.errors import DeviceUnavailable

_SOURCE = Path(__file__).with_suffix(".c")
_BUILT = Path(__file__).parents[2] / "build" / "hil" / "wall_clock.so"


class WallClock:
    """Shifts the time of day of a process that was started with `environment`, and of its children."""

    def __init__(self, folder: Path) -> None:
        """Raises DeviceUnavailable where the library cannot be built."""
        self._file = folder / "wall-clock"
        self._file.write_bytes(struct.pack("q", 0))
        self.environment = {"LD_PRELOAD": str(_library()), "LINEGATE_RIG_CLOCK": str(self._file)}

    def shift(self, seconds: float) -> None:
        """From now on the wall clock differs from this computer's by so much."""
        with self._file.open("r+b", buffering=0) as file:
            # In one write: whoever reads sees the old value or the new one.
            file.write(struct.pack("q", round(seconds * 1e9)))


def can_shift() -> bool:
    """Whether this computer can build and preload the library."""
    return sys.platform == "linux" and shutil.which("cc") is not None


@cache
def _library() -> Path:
    _BUILT.parent.mkdir(parents=True, exist_ok=True)
    half = _BUILT.with_suffix(f".{os.getpid()}")
    command = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-o", half, _SOURCE]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if built.returncode != 0:
        raise DeviceUnavailable("wall clock", f"cannot be built: {built.stderr.strip()}")
    half.replace(_BUILT)
    return _BUILT
