"""A frame is told of before it is copied: nobody sees its pixels before all of them are there."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from controller.drivers.camera import genicam
from controller.drivers.camera import genicam_messages as say
from controller.drivers.camera.genicam import GenicamCamera
from controller.errors import DeviceTimeout, DeviceUnavailable
from controller.frame_pool import FramePool
from models.frame import Frame
from statemachines.vocabulary import MS, Health, Ns, PartKey

PIXELS = np.arange(16, dtype=np.uint8).reshape(4, 4)


class Process:
    """The camera's process, as the test plays it: what it says, and what it copies."""

    def __init__(
        self,
        _name: str,
        _entry: object,
        settings: say.GenicamSettings,
        on_message: Callable[[Any], None],
        on_health: Callable[[str, Health, str], None],
        **_options: Any,
    ) -> None:
        self.say, self.health = on_message, on_health
        self.asked: list[Any] = []
        self.pool = FramePool.attach(settings.pool_name, settings.pool, settings.largest)
        self._frames = 0

    def start(self) -> None:
        self.say(say.CameraUp("S1", "script"))

    async def stop(self) -> None:
        self.pool.close()

    def offer(self, message: Any) -> bool:
        self.asked.append(message)
        return True

    def take(self, exposed_at: int, token: int = 0) -> int:
        """A frame came: its slot."""
        slot = self.pool.reserve(PIXELS.nbytes, exposed_at)
        assert slot is not None
        self._frames += 1
        self.say(say.FrameTaken(slot, PIXELS.shape, token, self._frames, exposed_at, True, 0))
        return slot

    def copy(self, slot: int) -> None:
        self.pool.fill(slot, PIXELS)
        self.say(say.FrameWhole(slot))


class Bench:
    """One camera that is up, its process, and a capture that waits."""

    def __init__(self, camera: GenicamCamera, process: Process, acquisition: say.Acquisition) -> None:
        self.camera, self.process, self.acquisition = camera, process, acquisition

    async def capture(
        self, patience_ms: int = 10_000, *, ahead_ms: int = 0
    ) -> tuple[asyncio.Task[Frame], Callable[[], int]]:
        """A capture, and what tells the process that its frame came. ahead_ms: by which it is exposed later than now,
        to be no neighbour of the part before."""
        now = time.monotonic_ns() + ahead_ms * MS
        until = Ns(now + patience_ms * MS)
        task = asyncio.create_task(self.camera.capture(PartKey(1, "plc", 1), "top", Ns(now), until, until))
        await asyncio.sleep(0)
        asked = self.process.asked
        token = asked[-1].token if asked and self.acquisition == "software" else 0
        return task, lambda: self.process.take(now, token)

    def given_back(self) -> None:
        """Nobody holds pixels any more."""
        gc.collect()
        assert self.camera.held == 0


@pytest.fixture(params=["software", "hardware"])
async def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    processes: list[Process] = []

    def started(*args: Any, **options: Any) -> Process:
        processes.append(Process(*args, **options))
        return processes[-1]

    monkeypatch.setattr(genicam, "SupervisedChild", started)
    camera = GenicamCamera(say.GenicamSettings("copy", "", acquisition=request.param, pool=3, largest=64))
    await camera.open(Ns(time.monotonic_ns() + 10_000 * MS))
    yield Bench(camera, processes[0], request.param)
    gc.collect()
    await camera.close()


async def turns(count: int = 10) -> None:
    """Let everything go on that can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_frame_is_handed_over_when_it_is_whole_and_not_before(bench: Bench) -> None:
    waiting, came = await bench.capture()
    slot = came()
    await turns()
    assert not waiting.done(), "its pixels are not there yet"
    bench.process.copy(slot)
    frame = await waiting
    assert np.array_equal(frame.pixels, PIXELS)


async def test_a_process_that_dies_while_it_copies_costs_the_part_its_frame(bench: Bench) -> None:
    waiting, came = await bench.capture()
    came()
    await turns()
    bench.process.health("camera", Health.MAINTENANCE, "killed")
    with pytest.raises(DeviceUnavailable, match="killed"):
        await waiting
    del waiting
    bench.given_back()


async def test_nor_is_it_handed_over_where_the_process_dies_before_anybody_looks(bench: Bench) -> None:
    waiting, came = await bench.capture()
    came()
    bench.process.health("camera", Health.MAINTENANCE, "killed")
    with pytest.raises(DeviceUnavailable, match="killed"):
        await waiting


async def test_a_device_that_comes_back_and_refuses_its_features_is_lost_until_it_takes_them(bench: Bench) -> None:
    bench.process.say(say.FeatureRefused("Gain", "99", "give 0 to 12"))
    waiting, _ = await bench.capture()
    with pytest.raises(DeviceUnavailable, match="Gain = '99': give 0 to 12"):
        await waiting
    bench.process.say(say.CameraUp("S2", "script"))
    waiting, came = await bench.capture(ahead_ms=1000)
    slot = came()
    bench.process.copy(slot)
    assert (await waiting).camera == "S2"


async def test_word_of_another_slot_makes_no_frame_whole(bench: Bench) -> None:
    waiting, came = await bench.capture()
    slot = came()
    bench.process.say(say.FrameWhole(slot + 1))
    await turns()
    assert not waiting.done()
    bench.process.copy(slot)
    assert np.array_equal((await waiting).pixels, PIXELS)


async def test_a_copy_that_takes_too_long_is_no_frame(bench: Bench) -> None:
    waiting, came = await bench.capture(patience_ms=50)
    came()
    with pytest.raises(DeviceTimeout, match="copied"):
        await waiting
    del waiting
    bench.given_back()


@pytest.mark.parametrize("bench", ["hardware"], indirect=True)
async def test_a_capture_that_finds_its_frame_in_the_middle_of_the_copy_waits_for_the_rest(bench: Bench) -> None:
    now = time.monotonic_ns()
    slot = bench.process.take(now)
    waiting, _ = await bench.capture()
    await turns()
    assert not waiting.done()
    bench.process.copy(slot)
    assert np.array_equal((await waiting).pixels, PIXELS)
