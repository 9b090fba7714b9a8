"""The simulated cameras as GenTL devices: builds the producer of hil_tests/gentl and describes its cameras."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from controller.errors import DeviceUnavailable
from controller.sim.belt import Belt

SOURCE = Path(__file__).parents[2] / "hil_tests" / "gentl"
_DEVICE = "simulated GenTL cameras"
SERIAL = "SIM-TOP"


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


def describe_camera(folder: Path, belt_name: str) -> dict[str, str]:
    """Write what stands above the belt, which must exist; the environment that tells the producer of it."""
    with Belt.attach(belt_name) as belt:
        width, height = belt.width, belt.height
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / "gentl-cameras"
    described.write_text(f"{SERIAL} {width} {height} {belt_name}\n", encoding="utf-8")
    return {"LINEGATE_GENTL_CONFIG": str(described)}
