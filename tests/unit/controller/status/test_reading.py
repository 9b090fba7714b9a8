"""Questions of clients to the journal: one at a time, each within its time, and no thread more for whoever gave up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from asyncua.ua.status_codes import StatusCodes

from controller.status.vision.calls import Refused
from controller.status.vision.reading import LONGEST_S, MOST_WAITING, Reading

TIMEOUT_S = 20.0


class Journal:
    """One that answers when the test lets it."""

    def __init__(self) -> None:
        self.asked, self.at_once, self.most = 0, 0, 0
        self.free = threading.Event()
        self._lock = threading.Lock()

    def read(self, _until: float) -> int:
        with self._lock:
            self.asked += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        assert self.free.wait(TIMEOUT_S)
        with self._lock:
            self.at_once -= 1
        return self.asked


async def refusal(question: asyncio.Future[int]) -> int:
    with pytest.raises(Refused) as refused:
        await question
    return refused.value.code


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0)


async def test_an_answer_comes_and_the_thread_knows_its_time() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    told = await Reading().within(lambda until: until)
    assert before + LONGEST_S <= told <= loop.time() + LONGEST_S


async def test_whoever_gives_up_leaves_no_room_for_another_thread() -> None:
    reading, journal = Reading(), Journal()
    assert await refusal(asyncio.ensure_future(reading.within(journal.read, 0.02))) == StatusCodes.BadTimeout
    assert await refusal(asyncio.ensure_future(reading.within(journal.read, 0.02))) == StatusCodes.BadTimeout
    assert journal.asked == 1
    waiting = asyncio.ensure_future(reading.within(journal.read))
    journal.free.set()
    assert await waiting == 2
    assert journal.most == 1


async def test_only_a_few_wait() -> None:
    reading, journal = Reading(), Journal()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(reading.within(journal.read))
        await until(lambda: journal.asked == 1)
        others = [tasks.create_task(reading.within(journal.read)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        assert await refusal(asyncio.ensure_future(reading.within(journal.read))) == StatusCodes.BadTooManyOperations
        journal.free.set()
    assert first.result() == 1
    assert sorted(other.result() for other in others) == [2, 3, 4, 5]
    assert journal.most == 1


async def test_what_goes_wrong_is_the_askers_and_a_late_failure_is_nobodys() -> None:
    reading, journal = Reading(), Journal()

    def broken(_until: float) -> int:
        raise LookupError

    with pytest.raises(LookupError):
        await reading.within(broken)

    def broken_late(until: float) -> int:
        journal.read(until)
        raise LookupError

    assert await refusal(asyncio.ensure_future(reading.within(broken_late, 0.02))) == StatusCodes.BadTimeout
    journal.free.set()
    assert await reading.within(journal.read) == 2
