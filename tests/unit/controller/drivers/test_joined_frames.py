"""What a part without its frame is told, and how often the log is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import numpy as np
import pytest
from loguru import logger

from controller.drivers.camera import surplus_log
from controller.drivers.camera.joined_frames import JoinedFrames
from controller.errors import DeviceError, DeviceRefused, DeviceTimeout
from models.frame import Frame
from statemachines.frame_join_words import JoinRules
from statemachines.vocabulary import MS, Ns, PartKey

WINDOW = 10 * MS


def key(number: int) -> PartKey:
    return PartKey(1, "plc", number)


def frame(counter: int, exposed_at: int) -> Frame:
    return Frame("", np.zeros((2, 2), np.uint8), exposed_at, counter, "top")


class Bench:
    """Frames and parts of one camera, each with the outcome of its wait."""

    def __init__(self, *, watched: bool = False) -> None:
        self.asked: list[str] = []
        self.frames = JoinedFrames("top", JoinRules(window_ns=WINDOW), self.asked.append, watched=watched)

    def part(self, number: int, at: int, patience_ms: int = 1000) -> asyncio.Task[Frame]:
        deadline = Ns(time.monotonic_ns() + patience_ms * MS)
        wait = self.frames.wait(key(number), Ns(at), Ns(at + WINDOW), deadline)
        return asyncio.get_running_loop().create_task(wait)


@pytest.fixture
def warnings() -> Iterator[list[dict[str, object]]]:
    found: list[dict[str, object]] = []
    sink = logger.add(lambda message: found.append(message.record["extra"]), level="WARNING")
    yield found
    logger.remove(sink)


async def test_each_part_is_told_of_its_own_spoilt_frame() -> None:
    """Two parts wait side by side; the second one's coming must not take the first one's reason away."""
    bench, now = Bench(), time.monotonic_ns()
    first = bench.part(1, now, 60)
    await asyncio.sleep(0)
    bench.frames.spoilt("incomplete")
    second = bench.part(2, now + 50 * MS, 120)
    await asyncio.sleep(0)
    with pytest.raises(DeviceTimeout, match="when the part passed; incomplete"):
        await first
    bench.frames.spoilt("of an unknown format")
    with pytest.raises(DeviceTimeout, match="when the part passed; of an unknown format"):
        await second


async def test_a_spoilt_frame_of_before_the_part_is_not_its_reason() -> None:
    bench = Bench()
    bench.frames.spoilt("incomplete")
    with pytest.raises(DeviceTimeout, match=r"when the part passed$"):
        await bench.part(1, time.monotonic_ns() + 20 * MS, 30)


async def test_a_part_that_passed_while_the_camera_was_away_keeps_its_frame_from_a_neighbour() -> None:
    bench, now = Bench(), time.monotonic_ns()
    bench.frames.pass_by(key(1), Ns(now))
    bench.frames.restart()
    with pytest.raises(DeviceRefused, match="closer than twice"):
        await bench.part(2, now + 15 * MS)


async def test_the_camera_is_asked_once_to_begin_anew() -> None:
    bench, now = Bench(), time.monotonic_ns()
    for number, late_ms in ((1, 0), (2, None), (3, 100), (4, 100)):
        at = now + number * 100 * MS
        wait = bench.part(number, at, 5 if late_ms is None else 1000)
        await asyncio.sleep(0)
        if late_ms is not None:
            # Parts 3 and 4 get the numbers of the frames before theirs.
            bench.frames.take(frame(number if late_ms == 0 else number - 1, at), clocked=False)
        if number == 1:
            assert (await wait).counter == 1
            continue
        with pytest.raises(DeviceError):
            await wait
    assert len(bench.asked) == 1
    bench.frames.restart()
    wait = bench.part(5, now + 500 * MS)
    await asyncio.sleep(0)
    bench.frames.take(frame(9, now + 500 * MS), clocked=False)
    assert (await wait).counter == 9


async def test_the_first_surplus_frame_is_told_at_once_and_the_others_are_counted(
    warnings: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surplus_log, "PERIOD_S", 0.05)
    bench, now = Bench(watched=True), time.monotonic_ns()
    bench.frames.pass_by(key(1), Ns(now))
    for counter in range(1, 41):
        bench.frames.take(frame(counter, now), clocked=True)
    assert [told["counter"] for told in warnings] == [1]
    async with asyncio.timeout(5):
        while len(warnings) < 2:
            await asyncio.sleep(0.01)
    assert (warnings[1]["more"], warnings[1]["counter"]) == (39, 40)
    bench.frames.take(frame(41, now), clocked=True)
    bench.frames.close()
    assert [told.get("more") for told in warnings] == [None, 39, 1], "nothing is left unsaid"
