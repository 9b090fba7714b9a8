"""What clients ask of files: one question at a time, few that wait, each within a time that also ends its work.

Everyone who may read may ask, and a question that looks through thousands of results takes a processor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from asyncua.ua.status_codes import StatusCodes

from controller.status.vision.calls import Refused

LONGEST_S = 1.0
MOST_WAITING = 4
T = TypeVar("T")


class Reading:
    """The turn to read. One event loop's thread."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    async def within(self, read: Callable[[float], T], limit_s: float = LONGEST_S) -> T:
        """The answer. read: in a thread; takes the monotonic time to end by.

        Raises Refused: Bad_Timeout, or Bad_TooManyOperations where others wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise Refused(StatusCodes.BadTooManyOperations)
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_s
        self._waiting += 1
        try:
            async with asyncio.timeout_at(until):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Refused(StatusCodes.BadTimeout) from error
        finally:
            self._waiting -= 1
        # The turn is the thread's: a client that waits no longer does not make room for another thread.
        work = loop.run_in_executor(None, read, until)
        work.add_done_callback(lambda _: self._turn.release())
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.shield(work)
        except TimeoutError as error:
            work.add_done_callback(_forget)
            raise Refused(StatusCodes.BadTimeout) from error


def _forget(work: asyncio.Future[T]) -> None:
    """What a question comes to that nobody waits for any more."""
    if not work.cancelled():
        work.exception()
