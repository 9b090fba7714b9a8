"""A PLC takes one request after the other: what is due goes before what can wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from controller.drivers.plc.direct import DirectPlc, DirectTags
from controller.ports import PlcReading, StatusValue
from statemachines.vocabulary import Answer, Ns
from tests.integration.bench_line import workbench


class Turns(DirectPlc):
    """Notes which request begins when, and holds answers until they are let through."""

    def __init__(self, tags: DirectTags, poll_ms: float) -> None:
        super().__init__(tags, poll_ms)
        self.begun: list[str] = []
        self.gate = asyncio.Semaphore(0)

    async def read(self, seqs: Sequence[int], deadline: Ns) -> PlcReading:
        self.begun.append("read")
        return await super().read(seqs, deadline)

    async def write_status(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        self.begun.append("status")
        await super().write_status(values, deadline)

    async def write_answer(self, answer: Answer, deadline: Ns) -> None:
        self.begun.append("answer")
        await self.gate.acquire()
        await super().write_answer(answer, deadline)


async def test_an_answer_goes_before_reads_and_status_and_lets_one_read_pass_before_the_next() -> None:
    links: list[Turns] = []

    def link(tags: DirectTags, poll_ms: float) -> Turns:
        links.append(Turns(tags, poll_ms))
        return links[0]

    async with workbench(link=link) as line:
        await line.ready()
        begun = links[0].begun
        line.tags.trigger(4711)
        await line.until(lambda: "answer" in begun, "the answer")
        at = begun.index("answer")
        line.duty.beat()
        line.runtime.changed.set()
        for _ in range(20):
            await asyncio.sleep(0.001)
        # One read may have been under way; neither the next read nor the heartbeat may begin.
        assert begun[at + 1 :] == [], "something came between an answer's requests"

        line.tags.trigger(4712)
        links[0].gate.release()
        await line.until(lambda: begun.count("answer") == 2, "the second answer")
        between = begun[at + 1 :][: begun[at + 1 :].index("answer")]
        assert "read" in between, "the second part could not have been seen"
        links[0].gate.release()
        await line.answer_for(2)
        after = len(begun)
        await line.until(lambda: "read" in begun[after:], "reads go on")


async def test_an_answer_that_fails_holds_up_nothing() -> None:
    async with workbench() as line:
        await line.ready()
        line.tags.refused.add("Result[0].Score")
        line.tags.trigger(4711)
        await line.until(lambda: line.tags.values["SessionId"] == 0 or not line.duty._linked.is_set(), "the link's end")  # pyright: ignore[reportPrivateUsage]
        line.tags.refused.clear()
        await line.ready()
        answer = await line.trigger(4712)
    assert answer.part_id == 4712
