"""A PLC takes one request after the other: what is due goes before what can wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from controller.drivers.plc.direct import DirectPlc, DirectTags
from controller.plc_duty import PlcTiming
from controller.ports import PlcReading, StatusValue
from statemachines.handshake.state import Contract
from statemachines.vocabulary import MS, Answer, Ns
from tests.integration.bench_line import Line1, facts, workbench


class Turns(DirectPlc):
    """Notes which request begins when, and holds answers until they are let through."""

    def __init__(self, tags: DirectTags, poll_ms: float) -> None:
        super().__init__(tags, poll_ms)
        self.begun: list[str] = []
        self.gate = asyncio.Semaphore(0)

    @property
    def polls(self) -> bool:
        return True

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


def parts_came_every_10_s(line: Line1) -> None:
    now = line.runtime.now()
    for steps in reversed(range(1, 18)):
        line.duty._rhythm.seen(1, Ns(now - steps * 10_000 * MS))  # pyright: ignore[reportPrivateUsage]


async def reads_go_on(line: Line1, link: Turns) -> None:
    before = len(link.begun)
    await line.until(lambda: link.begun[before:].count("read") > 5, "further reads")


async def test_reads_rest_while_a_model_computes_and_no_part_is_due() -> None:
    links: list[Turns] = []

    def link(tags: DirectTags, poll_ms: float) -> Turns:
        links.append(Turns(tags, poll_ms))
        return links[0]

    slow = facts(deadline_ms=9000, window_ms=8000)
    async with workbench(link=link, recipe=slow, timing=PlcTiming(request=100 * MS, rest=5000 * MS)) as line:
        await line.ready()
        links[0].gate.release()
        parts_came_every_10_s(line)
        line.model.hang = True
        line.tags.trigger(4711)
        await line.until(line.model.started.is_set, "the model to compute")
        for _ in range(20):
            await asyncio.sleep(0.001)
        before = links[0].begun.count("read")
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert links[0].begun.count("read") == before, "a read came between"
        line.model.release.set()
        await line.answer_for(1)
        await reads_go_on(line, links[0])


SEQUENCE, FOUR_PHASE = Contract(), Contract(profile="four-phase")


@pytest.mark.parametrize(
    ("rest_ms", "window_ms", "regular", "contract"),
    [
        (20, 8000, True, SEQUENCE),
        (5000, 40, True, SEQUENCE),
        (5000, 8000, False, SEQUENCE),
        (5000, 8000, True, FOUR_PHASE),
    ],
    ids=["the rest", "half the window", "a part may come any time", "four-phase waits for each read"],
)
async def test_reads_do_not_rest_for_long(rest_ms: int, window_ms: int, regular: bool, contract: Contract) -> None:
    links: list[Turns] = []

    def link(tags: DirectTags, poll_ms: float) -> Turns:
        links.append(Turns(tags, poll_ms))
        return links[0]

    recipe = facts(deadline_ms=9000, window_ms=window_ms)
    timing = PlcTiming(request=100 * MS, rest=rest_ms * MS)
    async with workbench(link=link, recipe=recipe, timing=timing, contract=contract) as line:
        await line.ready()
        if regular:
            parts_came_every_10_s(line)
        line.model.hang = True
        (line.plc if contract.four_phase else line.tags).trigger(4711)
        await line.until(line.model.started.is_set, "the model to compute")
        await reads_go_on(line, links[0])
        assert not line.answers


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
