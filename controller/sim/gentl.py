"""The simulated cameras as GenTL devices: builds the producer of hil_tests/gentl and describes its cameras."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from controller.errors import DeviceUnavailable
from controller.sim.belt import Belt

SOURCE = Path(__file__).parents[2] / "hil_tests" / "gentl"
DESCRIBED = "gentl-cameras"
_DEVICE = "simulated GenTL cameras"


def serial(camera: str) -> str:
    """The serial number of the simulated camera of this name."""
    return f"SIM-{camera.upper()}"


def socket_of(folder: Path, camera: str) -> str:
    """Where it hears of edges and faults."""
    return f"{folder / DESCRIBED}.{serial(camera)}"


def build_producer() -> Path:
    """The producer, compiled where that is not done yet. LINEGATE_GENTL_PRODUCER names one that is built already.

    Raises DeviceUnavailable where there is no compiler, or no source beside an installed package.
    """
    named = os.environ.get("LINEGATE_GENTL_PRODUCER")
    if named:
        return Path(named)
    if not (SOURCE / "Makefile").is_file():
        raise DeviceUnavailable(_DEVICE, f"{SOURCE} is not there: run from a source checkout")
    if shutil.which("cc") is None or shutil.which("make") is None:
        raise DeviceUnavailable(_DEVICE, "a C compiler and make are missing. On Debian: apt-get install gcc make")
    built = subprocess.run(["make", "-s", "-C", str(SOURCE)], capture_output=True, text=True, timeout=120, check=False)
    if built.returncode != 0:
        raise DeviceUnavailable(_DEVICE, f"cannot be built: {built.stderr.strip()}")
    return SOURCE.parents[1] / "build" / "gentl" / "linegate_sim.cti"


def describe_cameras(folder: Path, belt_name: str, cameras: Sequence[str]) -> dict[str, str]:
    """Write what stands above the belt, which must exist; the environment that tells the producer of it."""
    with Belt.attach(belt_name) as belt:
        width, height = belt.width, belt.height
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / DESCRIBED
    lines = (f"{serial(camera)} {width} {height} {belt_name}\n" for camera in cameras)
    described.write_text("".join(lines), encoding="utf-8")
    return {"LINEGATE_GENTL_CONFIG": str(described)}
