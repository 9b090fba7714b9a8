"""What every camera must do. Add a camera with one line in `CAMERAS`."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from controller.drivers.camera.folder import FolderCamera
from controller.drivers.camera.genicam import GenicamCamera
from controller.drivers.camera.genicam_messages import Acquisition, GenicamSettings
from controller.drivers.camera.opencv import OpenCvCamera, OpenCvSettings
from controller.errors import DeviceTimeout, DeviceUnavailable
from controller.ports import Camera
from statemachines.vocabulary import MS, Ns, PartKey
from tests.contract.gentl import WINDOW_MS, GenTLRig, PartByPart, tlsimu, viky
from tests.contract.motion_jpeg import MotionJpegServer, StreamedCamera


def _folder_camera(folder: Path) -> Camera:
    for index in range(3):
        pixels = np.full((24, 32), 40 * index, dtype=np.uint8)
        _, png = cv2.imencode(".png", pixels)
        (folder / f"{index}.png").write_bytes(png.tobytes())
    return FolderCamera("folder", folder)


def _video_camera(folder: Path) -> Camera:
    """A video file of 25 frames, so that twenty captures do not come to its end."""
    path = str(folder / "line.avi")
    video = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48), isColor=True)
    for index in range(25):
        video.write(np.full((48, 64, 3), 10 * index, dtype=np.uint8))
    video.release()
    return OpenCvCamera(OpenCvSettings("video", path, live=False))


def _stream_camera(folder: Path) -> Camera:
    """A network camera that sends a frame every 20 ms over HTTP."""
    return StreamedCamera(MotionJpegServer())


def _viky_camera(device: str) -> Callable[[Path], Camera]:
    """One of the three virtual cameras of the genicam package: no trigger, no timestamps."""

    def make(_: Path) -> Camera:
        settings = GenicamSettings(
            "viky", str(viky()), device, acquisition="free_running", largest=4_000_000, window_ns=WINDOW_MS * MS
        )
        return PartByPart(GenicamCamera(settings))

    return make


def _tlsimu_camera(acquisition: Acquisition) -> Callable[[Path], Camera]:
    """A second opinion: cameras that we did not make."""

    def make(_: Path) -> Camera:
        settings = GenicamSettings(
            "tlsimu", str(tlsimu()), "SN_InterfaceA_0", acquisition, largest=4_000_000, window_ns=WINDOW_MS * MS
        )
        camera = GenicamCamera(settings)
        return camera if acquisition == "software" else PartByPart(camera)

    return make


def _pylon_camera(acquisition: Acquisition) -> Callable[[Path], Camera]:
    """The emulator inside pypylon, where that was installed: its licence keeps it out of our list of packages."""

    def make(_: Path) -> Camera:
        if importlib.util.find_spec("pypylon") is None:
            pytest.skip("pypylon is not installed")
        # The SDK is loaded by the camera's own process, which takes its environment from this one.
        os.environ["PYLON_CAMEMU"] = "1"
        features: dict[str, bool | int | float | str] = {"ExposureTime": 1000.0}
        settings = GenicamSettings(
            "basler", "", "0815-0000", acquisition, features=features, window_ns=WINDOW_MS * MS, sdk="pylon"
        )
        camera = GenicamCamera(settings)
        return camera if acquisition == "software" else PartByPart(camera)

    return make


def _gentl_camera(acquisition: Acquisition, cameras: str = "TOP 640 480") -> Callable[[Path], Camera]:
    def make(folder: Path) -> Camera:
        rig = GenTLRig(folder, cameras)
        features: dict[str, bool | int | float | str] = {"ExposureTime": 500.0, "AcquisitionFrameRate": 100.0}
        camera = GenicamCamera(
            GenicamSettings(
                "sim", rig.producer, "TOP", acquisition, features=features, largest=400_000, window_ns=WINDOW_MS * MS
            )
        )
        if acquisition == "software":
            return camera
        return PartByPart(camera, rig if acquisition == "hardware" else None)

    return make


CAMERAS: dict[str, Callable[[Path], Camera]] = {
    "folder": _folder_camera,
    "opencv-file": _video_camera,
    "opencv-stream": _stream_camera,
    "pylon-software": _pylon_camera("software"),
    "pylon-free-running": _pylon_camera("free_running"),
    "viky-0": _viky_camera("0"),
    "viky-1": _viky_camera("1"),
    "viky-2": _viky_camera("2"),
    "tlsimu-software": _tlsimu_camera("software"),
    "tlsimu-free-running": _tlsimu_camera("free_running"),
    "gentl-software": _gentl_camera("software"),
    "gentl-hardware": _gentl_camera("hardware"),
    "gentl-free-running": _gentl_camera("free_running"),
    "gentl-software-no-clock": _gentl_camera("software", "TOP 640 480 - noclock"),
    "gentl-hardware-no-clock": _gentl_camera("hardware", "TOP 640 480 - noclock"),
}
"""Makes a camera that can deliver at least twenty frames; the folder is the test's own."""

PART = PartKey(1, "plc", 1)


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


@pytest.fixture(params=sorted(CAMERAS))
def closed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Camera]:
    camera = CAMERAS[request.param](tmp_path)
    yield camera
    if isinstance(camera, StreamedCamera):
        camera.server.close()


@pytest.fixture
async def camera(closed: Camera) -> AsyncIterator[Camera]:
    await closed.open(within(30_000))
    yield closed
    await closed.close()


async def test_a_frame_is_as_frames_must_be(camera: Camera) -> None:
    before = time.monotonic_ns()
    frame = await camera.capture(PART, "top", within(0), within(2000), within(5000))
    assert frame.view == "top"
    assert frame.camera
    around = WINDOW_MS * MS if isinstance(camera, PartByPart) else 0
    assert before - around <= frame.exposed_at <= time.monotonic_ns()
    assert frame.exposure_ns is None or 0 < frame.exposure_ns < 100 * MS
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.flags.c_contiguous
    assert frame.pixels.ndim == 2 or frame.pixels.shape[2] == 3


async def test_counter_and_exposure_rise_strictly(camera: Camera) -> None:
    frames = [await camera.capture(PART, "top", within(0), within(2000), within(5000)) for _ in range(20)]
    for earlier, later in itertools.pairwise(frames):
        assert later.counter > earlier.counter
        assert later.exposed_at > earlier.exposed_at


async def test_nothing_is_exposed_after_until(camera: Camera) -> None:
    with pytest.raises(DeviceTimeout):
        await camera.capture(PART, "top", within(0), within(-1), within(500))
    await camera.capture(PART, "top", within(0), within(2000), within(5000))


async def test_a_camera_that_is_not_open_is_unavailable(closed: Camera) -> None:
    with pytest.raises(DeviceUnavailable):
        await closed.capture(PART, "top", within(0), within(2000), within(5000))


async def test_closes_twice_and_opens_again(camera: Camera) -> None:
    async with asyncio.timeout(5):
        await camera.close()
        await camera.close()
    with pytest.raises(DeviceUnavailable):
        await camera.capture(PART, "top", within(0), within(2000), within(5000))
    await camera.open(within(30_000))
    await camera.capture(PART, "top", within(0), within(2000), within(5000))
