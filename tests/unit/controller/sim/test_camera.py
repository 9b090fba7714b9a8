"""The simulated camera: exposes the part that is in view now, honestly timed, and fails as told."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from controller.errors import DeviceTimeout, DeviceUnavailable
from controller.sim import mark
from controller.sim.belt import Belt, ExposureFault
from controller.sim.camera import SimCamera
from controller.sim.conveyor import arrivals
from controller.sim.renderer_process import RendererProcess, RendererSettings, windows
from controller.sim.source import RenderedSettings
from models.frame import Frame
from statemachines.vocabulary import MS, Ns, PartKey

PART = PartKey(1, "plc", 1)


def filled(value: int) -> NDArray[np.uint8]:
    return np.full((60, 80), value, np.uint8)


def soon(ms: int = 5000) -> Ns:
    return Ns(time.monotonic_ns() + ms * MS)


async def shot(camera: SimCamera, deadline_ms: int = 5000) -> Frame:
    return await camera.capture(PART, "top", Ns(time.monotonic_ns()), soon(), soon(deadline_ms))


@pytest.fixture
def name() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def belt(name: str) -> Iterator[Belt]:
    with Belt.create(name, 80, 60, slots=4) as made:
        made.set_empty(filled(3))
        yield made


@pytest_asyncio.fixture
async def camera(belt: Belt, name: str) -> AsyncIterator[SimCamera]:
    camera = SimCamera(name)
    await camera.open(soon())
    yield camera
    await camera.close()


async def test_sees_the_part_in_view_or_the_empty_belt(camera: SimCamera, belt: Belt) -> None:
    assert (await shot(camera)).pixels[0, 0] == 3
    belt.place(4, filled(44))
    assert ((await shot(camera)).pixels == 44).all()
    belt.remove()
    assert (await shot(camera)).pixels[0, 0] == 3


async def test_sees_what_the_running_line_shows_now(camera: SimCamera, belt: Belt) -> None:
    belt.put(1, 0, 60_000 * MS, filled(1))
    belt.put(2, 60_000 * MS, 120_000 * MS, filled(2))
    belt.start(time.monotonic_ns())
    assert (await shot(camera)).pixels[0, 0] == 1
    belt.start(time.monotonic_ns() - 60_000 * MS)
    assert (await shot(camera)).pixels[0, 0] == 2


async def test_frame_is_honest_about_its_time(camera: SimCamera) -> None:
    before = time.monotonic_ns()
    frame = await shot(camera)
    after = time.monotonic_ns()
    assert before <= frame.exposed_at <= after - 200_000  # no frame before its exposure is over
    assert (frame.view, frame.camera) == ("top", "sim-camera")
    assert frame.pixels.flags.c_contiguous


async def test_counter_rises_even_when_opened_anew(camera: SimCamera) -> None:
    counters = [(await shot(camera)).counter for _ in range(3)]
    await camera.close()
    await camera.open(soon())
    counters.append((await shot(camera)).counter)
    assert counters == [1, 2, 3, 4]


async def test_too_late_to_expose(camera: SimCamera) -> None:
    with pytest.raises(DeviceTimeout, match="left view"):
        await camera.capture(PART, "top", soon(), Ns(time.monotonic_ns() - 1), soon())


async def test_silent_until_the_deadline(camera: SimCamera, belt: Belt) -> None:
    belt.set_fault(ExposureFault.SILENT, count=1)
    deadline = soon(40)
    with pytest.raises(DeviceTimeout, match="no frame"):
        await camera.capture(PART, "top", soon(), soon(), deadline)
    assert time.monotonic_ns() >= deadline
    assert (await shot(camera)).counter == 1


async def test_slow(camera: SimCamera, belt: Belt) -> None:
    belt.set_fault(ExposureFault.SLOW, count=1, delay_ms=30)
    started = time.monotonic_ns()
    frame = await shot(camera)
    assert time.monotonic_ns() - started >= 30 * MS
    assert frame.exposed_at - started < 30 * MS


async def test_slow_beyond_the_deadline(camera: SimCamera, belt: Belt) -> None:
    belt.set_fault(ExposureFault.SLOW, count=1, delay_ms=10_000)
    with pytest.raises(DeviceTimeout, match="after the deadline"):
        await shot(camera, deadline_ms=20)


async def test_same_frame_twice(camera: SimCamera, belt: Belt) -> None:
    belt.place(1, filled(1))
    first = await shot(camera)
    belt.place(2, filled(2))
    belt.set_fault(ExposureFault.SAME_FRAME, count=1)
    again = await shot(camera)
    assert (again.counter, again.exposed_at, int(again.pixels[0, 0])) == (first.counter, first.exposed_at, 1)
    after = await shot(camera)
    assert (after.counter, int(after.pixels[0, 0])) == (first.counter + 1, 2)


async def test_black(camera: SimCamera, belt: Belt) -> None:
    belt.place(1, filled(1))
    belt.set_fault(ExposureFault.BLACK, count=1)
    assert not (await shot(camera)).pixels.any()
    assert (await shot(camera)).pixels.all()


async def test_a_belt_that_goes_and_comes_back(camera: SimCamera, belt: Belt, name: str) -> None:
    belt.close()
    with pytest.raises(DeviceTimeout, match="gone"):
        await shot(camera)
    with Belt.create(name, 80, 60) as fresh:
        fresh.place(1, filled(9))
        assert (await shot(camera)).pixels[0, 0] == 9


async def test_no_belt(name: str) -> None:
    camera = SimCamera(name)
    with pytest.raises(DeviceUnavailable, match="no belt"):
        await camera.open(soon(30))
    with pytest.raises(DeviceUnavailable, match="not open"):
        await shot(camera)
    await camera.close()


async def test_waits_for_a_belt_that_comes_later(name: str) -> None:
    camera = SimCamera(name)
    opening = asyncio.create_task(camera.open(soon()))
    await asyncio.sleep(0)
    with Belt.create(name, 80, 60):
        await opening
        assert (await shot(camera)).counter == 1
        await camera.close()


def test_view_windows_follow_the_arrivals() -> None:
    source = RenderedSettings(seed=1)
    at_600 = RendererSettings("b", source, parts=50, rate_ppm=600, jitter_ms=5, arrival_seed=4)
    seen = windows(at_600)
    assert [enters for enters, _ in seen] == arrivals(4, 600, 5, 50)
    assert {leaves - enters for enters, leaves in seen} == {50 * MS}
    slow = RendererSettings("b", source, parts=3, rate_ppm=60)
    assert {leaves - enters for enters, leaves in windows(slow)} == {60 * MS}
    crowded = RendererSettings("b", source, parts=20, rate_ppm=600, in_view_ms=500)
    for (_, leaves), (enters, _) in zip(windows(crowded), windows(crowded)[1:], strict=False):
        assert leaves == enters
    assert windows(RendererSettings("b", source, parts=3, rate_ppm=0)) == []


async def test_renderer_process_fills_the_belt_and_takes_it_away(name: str) -> None:
    source = RenderedSettings(seed=5, width=640, height=400)
    settings = RendererSettings(name, source, parts=12, rate_ppm=6000, in_view_ms=5, slots=4)
    camera = SimCamera(name)
    with RendererProcess(settings) as renderer:
        assert await asyncio.to_thread(renderer.wait_filled, 40)
        with Belt.attach(name) as belt:
            assert belt.newest == 4
            await camera.open(soon())
            assert mark.read((await shot(camera)).pixels) is None
            for number, (enters, _) in enumerate(windows(settings)[:4], 1):
                seen = belt.in_view(0)
                assert seen is None
                belt.start(1)
                seen = belt.in_view(1 + enters)
                belt.start(0)
                assert seen is not None
                assert mark.read(seen.pixels) == number
            belt.start(time.monotonic_ns() - 1000 * MS)  # as if the line had run for a second
            deadline = soon(20_000)
            while belt.newest < 12 and time.monotonic_ns() < deadline:
                await asyncio.sleep(0.01)
            assert belt.newest == 12
    with pytest.raises(DeviceTimeout):
        await shot(camera)
    await camera.close()
    with pytest.raises(FileNotFoundError):
        Belt.attach(name)
