"""A Modbus server takes one request after the other: nothing may come between an answer's two."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import cast

from controller.drivers.plc.modbus import ModbusPlc, ModbusPlcSettings
from controller.drivers.plc.modbus_channel import Channel
from statemachines.vocabulary import Action, Answer, Mode, Ns, Reason, Severity, Verdict

ANSWER = Answer(1, 4711, 9, 5, Action.PASS, Verdict.OK, Reason.DECIDED, 0, Severity.NONE, 0, 0.0, 900, Mode.AUTO_REJECT)


class Wire:
    """Holds every write until it is let through."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.gate = asyncio.Semaphore(0)
        self.asked = asyncio.Event()

    async def write(self, address: int, registers: Sequence[int], deadline: Ns) -> None:
        self.order.append(len(registers))
        self.asked.set()
        await self.gate.acquire()

    def close(self) -> None:
        """Nothing to close."""


def soon() -> Ns:
    return Ns(time.monotonic_ns() + 10_000_000_000)


async def test_no_status_comes_between_an_answers_two_requests() -> None:
    plc, wire = ModbusPlc(ModbusPlcSettings("127.0.0.1", poll_ms=0.1)), Wire()
    plc._channel = cast("Channel", wire)  # pyright: ignore[reportPrivateUsage]
    answer = asyncio.create_task(plc.write_answer(ANSWER, soon()))
    await wire.asked.wait()
    status = asyncio.create_task(plc.write_status({"Heartbeat": 1}, soon()))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert len(wire.order) == 1, "the status waits"
    for _ in range(3):
        wire.gate.release()
    await asyncio.gather(answer, status)
    assert wire.order[1] == 2, "ResultSeq comes next"
    assert len(wire.order) == 3


async def test_an_answer_that_failed_lets_the_others_go_on() -> None:
    plc, wire = ModbusPlc(ModbusPlcSettings("127.0.0.1", poll_ms=0.1)), Wire()
    plc._channel = cast("Channel", wire)  # pyright: ignore[reportPrivateUsage]
    answer = asyncio.create_task(plc.write_answer(ANSWER, soon()))
    await wire.asked.wait()
    answer.cancel()
    await asyncio.wait([answer])
    wire.gate.release()
    async with asyncio.timeout(5):
        await plc.write_status({"Heartbeat": 1}, soon())
