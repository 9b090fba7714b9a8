"""A GenTL camera that misbehaves: each fault costs its own part, and the camera comes back by itself."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.drivers.camera.genicam import GenicamCamera
from controller.drivers.camera.genicam_messages import GenicamSettings
from controller.errors import ConfigError, DeviceError, DeviceTimeout, DeviceUnavailable
from models.frame import Frame
from statemachines.vocabulary import MS, Ns, PartKey
from tests.contract.gentl import GenTLRig

PART = PartKey(1, "plc", 1)


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


@pytest.fixture
def rig(tmp_path: Path) -> GenTLRig:
    return GenTLRig(tmp_path)


@pytest.fixture
async def camera(rig: GenTLRig) -> AsyncIterator[GenicamCamera]:
    opened = GenicamCamera(GenicamSettings("sim", rig.producer, "TOP", pool=4, largest=400_000))
    await opened.open(within(15_000))
    yield opened
    gc.collect()
    await opened.close()


async def capture(camera: GenicamCamera, patience_ms: float = 3000) -> Frame:
    return await camera.capture(PART, "top", within(0), within(patience_ms), within(patience_ms))


async def works_again(camera: GenicamCamera) -> Frame:
    """The first frame after a fault; fails where none comes in ten seconds."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await capture(camera)
            except DeviceError:
                await asyncio.sleep(0.02)


async def last_good_before(camera: GenicamCamera, rig: GenTLRig, fault: str) -> Frame:
    """Order a fault that keeps one frame away; the producer takes the order when it comes to it."""
    last = await capture(camera)
    rig.tell(fault)
    async with asyncio.timeout(10):
        while True:
            try:
                last = await capture(camera, 100)
            except DeviceTimeout:
                return last


@pytest.mark.parametrize(("fault", "message"), [("incomplete 1", "incomplete"), ("small 1", "")])
async def test_a_spoilt_frame_costs_its_own_part(
    camera: GenicamCamera, rig: GenTLRig, fault: str, message: str
) -> None:
    rig.tell(fault)
    if message:
        with pytest.raises(DeviceError, match=message):
            await capture(camera)
    else:
        assert (await capture(camera)).pixels.shape == (240, 640)
    assert (await capture(camera)).pixels.shape == (480, 640)


async def test_a_frame_that_comes_too_late_is_never_the_next_parts(camera: GenicamCamera, rig: GenTLRig) -> None:
    last = await last_good_before(camera, rig, "late 1 300")
    asked_at = time.monotonic_ns()
    frame = await capture(camera)
    assert frame.exposed_at >= asked_at
    assert frame.counter == last.counter + 2


async def test_a_lost_frame_does_not_hold_up_the_next_part(camera: GenicamCamera, rig: GenTLRig) -> None:
    last = await last_good_before(camera, rig, "drop 1")
    assert (await capture(camera, 1800)).counter == last.counter + 2


async def test_frame_numbers_rise_through_a_replug(camera: GenicamCamera, rig: GenTLRig) -> None:
    before = [await capture(camera) for _ in range(3)][-1]
    rig.unplug()
    async with asyncio.timeout(5):
        while True:
            with pytest.raises(DeviceError) as refused:
                await capture(camera, 500)
            if isinstance(refused.value, DeviceUnavailable):
                break
    rig.plug()
    assert (await works_again(camera)).counter > before.counter


async def test_a_doubled_frame_is_not_the_next_parts(camera: GenicamCamera, rig: GenTLRig) -> None:
    rig.tell("twice 1")
    first = await capture(camera)
    assert (await capture(camera)).counter == first.counter + 1


async def test_an_unplugged_camera_says_so_and_comes_back(camera: GenicamCamera, rig: GenTLRig) -> None:
    told: list[str] = []
    camera.watch(told.append)
    await capture(camera)
    rig.unplug()
    async with asyncio.timeout(5):
        while True:
            with pytest.raises(DeviceError) as refused:
                await capture(camera, 500)
            if isinstance(refused.value, DeviceUnavailable):
                break
    assert told and told[-1], "without anybody asking it for a frame"
    rig.plug()
    await works_again(camera)
    assert told[-1] == ""


async def test_a_producer_that_hangs_is_killed_with_its_process(camera: GenicamCamera, rig: GenTLRig) -> None:
    await capture(camera)
    pid = camera.pid
    rig.tell("hang 60000")
    with pytest.raises(DeviceError):
        await capture(camera, 300)
    await works_again(camera)
    assert camera.pid != pid


async def test_a_killed_process_is_started_again(camera: GenicamCamera) -> None:
    pid = camera.pid
    assert pid is not None
    held = await capture(camera)
    os.kill(pid, signal.SIGKILL)
    again = await works_again(camera)
    assert held.pixels is not again.pixels


async def test_frames_that_nobody_gives_back_cost_new_ones_and_no_memory(camera: GenicamCamera) -> None:
    held = [await capture(camera) for _ in range(4)]
    with pytest.raises(DeviceError, match="held already"):
        await capture(camera)
    assert camera.held == 4
    held.pop()
    gc.collect()
    await capture(camera)


@pytest.mark.parametrize(
    ("features", "word"),
    [
        ({"ExposureTime": 5e7}, "10 to 1e\\+06"),
        ({"PixelFormat": "Mono99"}, "Mono8, Mono10"),
        ({"Exposure": 1.0}, "no such feature"),
        ({"Width": 17}, "in steps of 16"),
        ({"DeviceVendorName": "me"}, "not writable"),
    ],
)
async def test_a_refused_feature_names_itself_and_its_range(
    rig: GenTLRig, features: dict[str, bool | int | float | str], word: str
) -> None:
    camera = GenicamCamera(GenicamSettings("sim", rig.producer, "TOP", features=features, largest=400_000))
    with pytest.raises(ConfigError, match=word) as refused:
        await camera.open(within(15_000))
    assert refused.value.key == next(iter(features))


async def test_a_camera_that_is_not_there_names_those_that_are(rig: GenTLRig) -> None:
    camera = GenicamCamera(GenicamSettings("sim", rig.producer, "BOTTOM", largest=400_000))
    with pytest.raises(DeviceUnavailable, match="TOP, SIDE"):
        await camera.open(within(4_000))


@pytest.mark.parametrize("pixel_format", ["Mono10", "Mono12", "Mono12p", "Mono16", "BayerRG8", "RGB8"])
async def test_every_pixel_format_arrives(rig: GenTLRig, pixel_format: str) -> None:
    features: dict[str, bool | int | float | str] = {"PixelFormat": pixel_format, "TestPattern": "GreyDiagonalRamp"}
    camera = GenicamCamera(GenicamSettings("sim", rig.producer, "SIDE", features=features, largest=400_000))
    await camera.open(within(15_000))
    try:
        pixels = (await capture(camera)).pixels
        grey = pixels if pixels.ndim == 2 else pixels[..., 1]
        assert grey.shape == (240, 320)
        # A Bayer pattern is interpolated: away from the wrap of the ramp it is the ramp.
        assert abs(int(grey[50, 60]) - 110) <= 1
        del pixels, grey
        gc.collect()
    finally:
        await camera.close()
