"""The light barrier of the simulated line: edges, and faults that whoever judges the run can draw again."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from pathlib import Path

from controller.sim.light_barrier import UNPLUGGED_FOR, BarrierSettings, FrameFault, LightBarrier, fault_of


def ears(path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound.bind(str(path))
    bound.setblocking(False)
    return bound


def heard(ear: socket.socket) -> list[str]:
    found: list[str] = []
    while True:
        try:
            found.append(ear.recv(100).decode())
        except BlockingIOError:
            return found


def test_faults_have_their_share_and_are_the_same_for_everybody() -> None:
    settings = BarrierSettings(("a", "b"), share=0.01, seed=3)
    drawn = [fault_of(settings, camera, number) for camera in (0, 1) for number in range(20_000)]
    again = [fault_of(settings, camera, number) for camera in (0, 1) for number in range(20_000)]
    assert drawn == again
    counts = Counter(fault for fault in drawn if fault is not None)
    assert 300 < counts.total() < 500
    assert set(counts) == set(FrameFault), "of every kind"


async def test_every_part_is_an_edge_for_every_camera(tmp_path: Path) -> None:
    places = [tmp_path / "a", tmp_path / "b"]
    listening = [ears(place) for place in places]
    barrier = LightBarrier(BarrierSettings(tuple(map(str, places))))
    barrier.part(1)
    barrier.part(2)
    assert [heard(ear) for ear in listening] == [["edge", "edge"]] * 2
    barrier.close()
    for ear in listening:
        ear.close()


async def test_a_fault_is_ordered_before_its_edge_and_a_surplus_edge_comes_between(tmp_path: Path) -> None:
    settings = BarrierSettings((str(tmp_path / "a"),), share=1.0, between_s=0.0)
    ear, barrier = ears(tmp_path / "a"), LightBarrier(settings)
    wanted = {fault_of(settings, 0, number): number for number in range(200)}
    barrier.part(wanted[FrameFault.SWAPPED])
    assert heard(ear) == ["swap 1", "edge"]
    barrier.part(wanted[FrameFault.SURPLUS])
    assert heard(ear) == ["edge"]
    await asyncio.sleep(0.01)
    assert heard(ear) == ["edge"]
    barrier.close()
    ear.close()


async def test_a_camera_that_is_not_there_hears_nothing(tmp_path: Path) -> None:
    barrier = LightBarrier(BarrierSettings((str(tmp_path / "nobody"),)))
    barrier.part(1)
    barrier.close()


async def test_the_cable_is_out_for_some_parts(tmp_path: Path) -> None:
    ear = ears(tmp_path / "a")
    barrier = LightBarrier(BarrierSettings((str(tmp_path / "a"),), unplug_every=40))
    pulled = tmp_path / "a.unplugged"
    out: list[int] = []
    told: list[str] = []
    for number in range(1, 100):
        barrier.part(number)
        told += heard(ear)
        out += [number] if pulled.exists() else []
    assert out == [*range(40, 40 + UNPLUGGED_FOR), *range(80, 80 + UNPLUGGED_FOR)]
    assert (told.count("unplug"), told.count("plug")) == (2, 2)
    barrier.close()
    ear.close()
