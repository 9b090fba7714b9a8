"""The direct link's own PLC: what benchmarks and runtime tests lean on."""

from __future__ import annotations

import asyncio
import time

from controller.drivers.plc.direct import DirectPlc, DirectTags
from statemachines.checkword import trigger_check
from statemachines.vocabulary import MS, Ns


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


async def test_a_trigger_wakes_the_link_and_fills_its_slot() -> None:
    tags = DirectTags(clock_ms=lambda: 77)
    plc = DirectPlc(tags, poll_ms=3_600_000)
    await plc.connect(within(1000))
    asyncio.get_running_loop().call_soon(tags.trigger, "A-1", 9, 5)
    async with asyncio.timeout(5):
        await plc.changed(within(60_000))
    reading = await plc.read([1], within(1000))
    assert (reading.head.trigger_seq, reading.head.clock_ms) == (1, 77)
    (slot,) = reading.slots
    assert (slot.seq, slot.part_id, slot.recipe_id, slot.encoder_pos) == (1, "A-1", 9, 5)
    assert slot.check == trigger_check(1, "A-1", 77, 9, 5)


async def test_numbers_start_again_at_one() -> None:
    tags = DirectTags(modulus=4)
    assert [tags.trigger(part) for part in range(6)] == [1, 2, 3, 4, 1, 2]
