"""A camera that the line triggers: each part gets the frame of its own edge, whatever happens to the frames."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from controller.drivers.camera.genicam import GenicamCamera
from controller.drivers.camera.genicam_messages import GenicamSettings
from controller.errors import DeviceError, DeviceRefused, DeviceTimeout
from models.frame import Frame
from statemachines.vocabulary import MS, Ns, PartKey
from tests.contract.gentl import WINDOW_MS, GenTLRig


def key(number: int) -> PartKey:
    return PartKey(1, "plc", number)


@pytest.fixture
def rig(tmp_path: Path) -> GenTLRig:
    return GenTLRig(tmp_path)


@pytest.fixture
async def camera(rig: GenTLRig) -> AsyncIterator[GenicamCamera]:
    settings = GenicamSettings("sim", rig.producer, "TOP", "hardware", largest=400_000, window_ns=WINDOW_MS * MS)
    opened = GenicamCamera(settings)
    await opened.open(Ns(time.monotonic_ns() + 60_000 * MS))
    yield opened
    await opened.close()


async def frame_of(camera: GenicamCamera, number: int, edge_at: int, patience_ms: int = 3000) -> Frame:
    until, deadline = Ns(edge_at + WINDOW_MS * MS), Ns(time.monotonic_ns() + patience_ms * MS)
    return await camera.capture(key(number), "top", Ns(edge_at), until, deadline)


def edge(rig: GenTLRig) -> int:
    at = time.monotonic_ns()
    with suppress(OSError):
        # Nobody hears it while the camera is being opened.
        rig.tell("edge")
    return at


async def spaced() -> None:
    """Let the next part come: the distance of parts is what the join goes by."""
    await asyncio.sleep(2.5 * WINDOW_MS / 1000)


async def test_a_frame_that_came_before_its_trigger_was_seen_is_the_parts(camera: GenicamCamera, rig: GenTLRig) -> None:
    edges = []
    for _ in range(3):
        edges.append(edge(rig))
        await spaced()
    frames = [await frame_of(camera, number, at) for number, at in enumerate(edges)]
    assert [frame.counter for frame in frames] == [1, 2, 3]
    assert all(abs(frame.exposed_at - at) <= WINDOW_MS * MS for frame, at in zip(frames, edges, strict=True))


async def test_captures_of_several_parts_wait_side_by_side(camera: GenicamCamera, rig: GenTLRig) -> None:
    rig.tell("drop 1")
    lost = asyncio.ensure_future(frame_of(camera, 1, edge(rig), 1500))
    await spaced()
    after = await frame_of(camera, 2, edge(rig))
    assert not lost.done(), "the second part had its frame while the first still waited"
    assert after.counter == 2
    with pytest.raises(DeviceTimeout, match="when the part passed"):
        await lost


async def test_a_swapped_pair_is_put_right(camera: GenicamCamera, rig: GenTLRig) -> None:
    rig.tell("swap 1")
    first = asyncio.ensure_future(frame_of(camera, 1, edge(rig)))
    await spaced()
    second = asyncio.ensure_future(frame_of(camera, 2, edge(rig)))
    assert (await first).counter == 1
    assert (await second).counter == 2


@pytest.mark.parametrize("fault", ["drop 1", "skip 1", "late 1 400", "incomplete 1"])
async def test_a_fault_costs_its_own_part_only(camera: GenicamCamera, rig: GenTLRig, fault: str) -> None:
    rig.tell(fault)
    with pytest.raises(DeviceTimeout):
        await frame_of(camera, 1, edge(rig), 150)
    await spaced()
    for number in (2, 3):
        at = edge(rig)
        frame = await frame_of(camera, number, at)
        assert abs(frame.exposed_at - at) <= WINDOW_MS * MS
        await spaced()


async def test_a_frame_delivered_twice_and_one_of_nobody_are_nobodys(camera: GenicamCamera, rig: GenTLRig) -> None:
    rig.tell("twice 1")
    first = await frame_of(camera, 1, edge(rig))
    await spaced()
    edge(rig)
    await spaced()
    at = edge(rig)
    third = await frame_of(camera, 3, at)
    assert third.counter == first.counter + 2
    assert abs(third.exposed_at - at) <= WINDOW_MS * MS


async def test_parts_too_close_to_tell_apart_get_no_frame(camera: GenicamCamera, rig: GenTLRig) -> None:
    now = time.monotonic_ns()
    first = asyncio.ensure_future(frame_of(camera, 1, now))
    await asyncio.sleep(0)
    with pytest.raises(DeviceRefused, match="closer than twice"):
        await frame_of(camera, 2, now + WINDOW_MS * MS)
    with pytest.raises(DeviceRefused, match="closer than twice"):
        await first


async def good_again(camera: GenicamCamera, rig: GenTLRig, number: int) -> Frame:
    """The first frame of parts that keep coming; fails where none is good within 15 s."""
    async with asyncio.timeout(15):
        while True:
            await spaced()
            number += 1
            with suppress(DeviceError):
                return await frame_of(camera, number, edge(rig), 200)


async def test_its_counter_rises_through_a_replug(camera: GenicamCamera, rig: GenTLRig) -> None:
    told: list[str] = []
    camera.watch(told.append)
    before = await frame_of(camera, 1, edge(rig))
    rig.unplug()
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    rig.plug()
    assert (await good_again(camera, rig, 1)).counter > before.counter


async def test_a_cable_that_was_out_for_a_moment_only_is_seen_as_well(camera: GenicamCamera, rig: GenTLRig) -> None:
    before = await frame_of(camera, 1, edge(rig))
    rig.unplug()
    rig.plug()
    assert (await good_again(camera, rig, 1)).counter > before.counter
