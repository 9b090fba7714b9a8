"""GenTL producers for tests: our own simulated cameras, built once per run, and the genicam package's own."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from controller.ports import Camera
from models.frame import Frame
from statemachines.vocabulary import Ns, PartKey

SOURCE = Path(__file__).parents[2] / "hil_tests" / "gentl"


def viky() -> Path:
    """The genicam package's own producer; skips the test where that is not installed."""
    found = importlib.util.find_spec("genicam")
    if found is None or found.origin is None:
        pytest.skip("the package genicam is not installed")
    return Path(found.origin).parent / "viky.cti"


def tlsimu() -> Path:
    """EMVA's simulated cameras, once shipped with the package genicam; skips the test where they were not fetched."""
    producer = Path(__file__).parents[2] / "build" / "tlsimu" / "TLSimu.cti"
    if not producer.is_file():
        pytest.skip("no TLSimu.cti: make tlsimu fetches it")
    return producer


@functools.cache
def built_producer() -> str:
    """Our producer, compiled; skips the test where there is no C compiler."""
    if shutil.which("cc") is None or shutil.which("make") is None:
        pytest.skip("no C compiler and make to build the simulated GenTL cameras with")
    target = Path(tempfile.mkdtemp(prefix="linegate-gentl-")) / "linegate_sim.cti"
    subprocess.run(["make", "-s", "-C", str(SOURCE), f"OUT={target}"], check=True, timeout=60)
    return str(target)


class GenTLRig:
    """Simulated cameras behind our producer, and the way to tell them of edges and faults."""

    def __init__(self, folder: Path, cameras: str = "TOP 640 480\nSIDE 320 240\n") -> None:
        self.producer = built_producer()
        self._config = folder / "cams"
        self._config.write_text(cameras)
        # The cameras live in the camera's process, which takes its environment from this one.
        os.environ["LINEGATE_GENTL_CONFIG"] = str(self._config)

    def tell(self, text: str, serial: str = "TOP") -> None:
        """Raise an edge ("edge") or order a fault, as hil_tests/gentl/camera.c lists them."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as voice:
            voice.sendto(text.encode(), f"{self._config}.{serial}")

    def unplug(self, serial: str = "TOP") -> None:
        """Pull the cable; it stays pulled however often the producer is loaded anew."""
        Path(f"{self._config}.{serial}.unplugged").touch()
        self.tell("unplug", serial)

    def plug(self, serial: str = "TOP") -> None:
        """Put it back."""
        Path(f"{self._config}.{serial}.unplugged").unlink()
        with suppress(OSError):
            # Nobody listens while no process has the producer loaded: the file says it then.
            self.tell("plug", serial)


WINDOW_MS = 50
"""How far a frame may be from its part's time. Wide: the computer that runs the tests may be busy."""


class PartByPart:
    """A camera that exposes without a command, given parts that keep their distance as on a line.

    rig: whose light barrier sees each part; None for a camera that runs freely.
    """

    def __init__(self, camera: Camera, rig: GenTLRig | None = None) -> None:
        self._camera, self._rig = camera, rig

    async def open(self, deadline: Ns) -> None:
        await self._camera.open(deadline)

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        await asyncio.sleep(2.2 * WINDOW_MS / 1000)
        # The distance of parts is what frames are joined by.
        now = Ns(time.monotonic_ns())
        capture = asyncio.ensure_future(self._camera.capture(part, view, now, until, deadline))
        await asyncio.sleep(0)
        if self._rig is not None and not capture.done():
            self._rig.tell("edge")
        return await capture

    async def close(self) -> None:
        await self._camera.close()
