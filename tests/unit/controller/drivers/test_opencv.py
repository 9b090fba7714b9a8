"""An OpenCV camera whose stream stalls, breaks off and comes back, and one on a video file."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from controller.drivers.camera.opencv import OpenCvCamera, OpenCvSettings
from controller.errors import DeviceError, DeviceTimeout, DeviceUnavailable
from models.frame import Frame
from statemachines.vocabulary import MS, Ns, PartKey
from tests.contract.motion_jpeg import MotionJpegServer, StreamedCamera

PART = PartKey(1, "plc", 1)


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


@pytest.fixture
def server() -> Iterator[MotionJpegServer]:
    running = MotionJpegServer()
    yield running
    running.close()


async def capture(camera: OpenCvCamera | StreamedCamera, patience_ms: float = 5000) -> Frame:
    return await camera.capture(PART, "top", within(0), within(patience_ms), within(patience_ms))


async def works_again(camera: StreamedCamera) -> Frame:
    """The first frame after a fault; fails where none comes in twenty seconds."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await capture(camera, 500)
            except DeviceError:
                await asyncio.sleep(0.02)


async def test_a_frame_counts_as_exposed_before_it_came_and_after_it_was_asked_for(server: MotionJpegServer) -> None:
    camera = StreamedCamera(server, latency_ms=80)
    await camera.open(within(10_000))
    asked_at = time.monotonic_ns()
    frame = await capture(camera)
    assert frame.exposed_at >= asked_at
    assert time.monotonic_ns() - asked_at >= 80 * MS
    await camera.close()


async def test_a_stream_that_stalls_costs_parts_and_comes_back(server: MotionJpegServer) -> None:
    camera = StreamedCamera(server)
    await camera.open(within(10_000))
    await capture(camera)
    server.stalled.set()
    with pytest.raises(DeviceTimeout):
        while True:
            # What was sent before the stall may still arrive.
            await capture(camera, 100)
    server.stalled.clear()
    await works_again(camera)
    await camera.close()


async def test_a_stream_that_is_cut_is_unavailable_and_opened_again(server: MotionJpegServer) -> None:
    camera = StreamedCamera(server)
    await camera.open(within(10_000))
    first = await capture(camera)
    server.cut.set()
    async with asyncio.timeout(20):
        while True:
            with pytest.raises(DeviceError) as refused:
                while True:
                    await capture(camera, 300)
            if isinstance(refused.value, DeviceUnavailable):
                break
    server.cut.clear()
    again = await works_again(camera)
    assert again.counter > first.counter
    await camera.close()


async def test_nobody_there_is_named() -> None:
    camera = OpenCvCamera(OpenCvSettings("net", "http://127.0.0.1:1/video.mjpg"))
    with pytest.raises(DeviceUnavailable, match="cannot be opened"):
        await camera.open(within(2_000))


def video(path: Path, frames: int) -> Path:
    """Frame n is n × 20 in blue and 0 in red."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48), isColor=True)
    for index in range(frames):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[..., 0] = 20 * index
        writer.write(picture)
    writer.release()
    return path


async def test_a_file_gives_one_frame_a_capture_and_begins_anew(tmp_path: Path) -> None:
    path = video(tmp_path / "line.avi", 5)
    camera = OpenCvCamera(OpenCvSettings("file", str(path), live=False, colour="rgb"))
    await camera.open(within(10_000))
    blues = [float((await capture(camera)).pixels[..., 2].mean()) for _ in range(7)]
    await camera.close()
    assert blues == pytest.approx([0, 20, 40, 60, 80, 0, 20], abs=4)


async def test_a_capture_that_was_given_up_takes_no_later_frame(tmp_path: Path) -> None:
    camera = OpenCvCamera(OpenCvSettings("file", str(video(tmp_path / "line.avi", 5)), live=False))
    await camera.open(within(10_000))
    with pytest.raises(DeviceTimeout):
        await camera.capture(PART, "top", within(0), within(1000), within(-1))
    asked_at = time.monotonic_ns()
    assert (await capture(camera)).exposed_at >= asked_at
    await camera.close()


async def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.avi").write_bytes(b"nothing")
    camera = OpenCvCamera(OpenCvSettings("file", str(tmp_path / "x.avi"), live=False))
    with pytest.raises(DeviceUnavailable, match="cannot be opened"):
        await camera.open(within(2_000))


async def test_a_camera_that_accepts_and_says_nothing_holds_nobody_for_long() -> None:
    # Connections wait in the listener's queue and are never taken.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        camera = OpenCvCamera(OpenCvSettings("net", f"http://127.0.0.1:{silent.getsockname()[1]}/video.mjpg"))
        async with asyncio.timeout(30):
            with pytest.raises(DeviceUnavailable):
                await camera.open(within(300))
            await camera.close()


class TwoChannels:
    """An open source whose pictures have two channels."""

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        return True, np.zeros((8, 8, 2), np.uint8)

    def release(self) -> None:
        """Nothing to let go of."""


async def test_pictures_that_cannot_be_converted_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> TwoChannels:
        return TwoChannels()

    monkeypatch.setattr(cv2, "VideoCapture", opened)
    camera = OpenCvCamera(OpenCvSettings("file", "line.avi", live=False))
    with pytest.raises(DeviceUnavailable, match="neither grey nor BGR"):
        await camera.open(within(3_000))
