"""Polls keep their pace, and what was late is not caught up with."""

from __future__ import annotations

import asyncio
import time

from controller.drivers.plc.pacing import Pace
from statemachines.vocabulary import MS, Ns


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


async def test_waits_until_the_interval_is_over() -> None:
    pace = Pace(20 * MS)
    start = time.monotonic_ns()
    pace.started(start)
    await pace.due(within(5000))
    assert time.monotonic_ns() - start >= 19 * MS


async def test_a_late_read_causes_no_burst() -> None:
    pace = Pace(20 * MS)
    pace.started(time.monotonic_ns() - 1000 * MS)
    now = time.monotonic_ns()
    pace.started(now)
    await pace.due(within(5000))
    assert time.monotonic_ns() - now >= 19 * MS


async def test_the_deadline_ends_the_wait_and_others_get_their_turn() -> None:
    pace = Pace(3_600_000 * MS)
    pace.started(time.monotonic_ns())
    ran: list[bool] = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    async with asyncio.timeout(5):
        await pace.due(within(-1))
    assert ran == [True]
