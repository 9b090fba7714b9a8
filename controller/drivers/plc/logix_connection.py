"""One connection to a Logix controller: a blocking client and its thread, made and thrown away together.

A thread and a plain queue cost a tenth of a millisecond a call; asyncio's own pool has milliseconds at the tail.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from controller.drivers.plc.logix_client import LogixClient
from controller.errors import DeviceError
from statemachines.vocabulary import MS, Ns

_T = TypeVar("_T")
_LEAVE_NS = 200 * MS
_END_S = 0.45


class LogixConnection:
    """Runs calls of the client one after the other. Made and used on one event loop.

    What breaks the connection once breaks it for good: every later call gets the same error, until it is closed.
    on_start: called on the thread before anything else.
    """

    def __init__(self, client: LogixClient, on_start: Callable[[], None]) -> None:
        self.client = client
        self._loop = asyncio.get_running_loop()
        self._on_start = on_start
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._fault: DeviceError | None = None
        self._ended = asyncio.Event()
        threading.Thread(target=self._work, name="ethernet/ip", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether its thread is through with everything."""
        return self._ended.is_set()

    def check(self) -> None:
        """Raise what broke the connection."""
        if (fault := self._fault) is not None:
            raise type(fault)(fault.device, fault.what) from fault

    async def run(self, call: Callable[[LogixClient], _T]) -> _T:
        """What the call returns or raises. A caller that is cancelled leaves the call to its own end."""
        future: asyncio.Future[_T] = self._loop.create_future()

        def work() -> None:
            try:
                self.check()
                result = call(self.client)
            except Exception as error:  # noqa: BLE001 - raised again where it was called
                if isinstance(error, DeviceError):
                    self._fault = error
                self._tell(_fail, future, error)
            else:
                self._tell(_settle, future, result)

        self._waiting += 1
        self._calls.put(work)
        try:
            return await future
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Take leave where the connection is sound and idle, else cut it. Never raises, at most half a second."""
        if self._fault is not None or self._waiting:
            self.client.abort()
        self._calls.put(lambda: self.client.close(Ns(time.monotonic_ns() + _LEAVE_NS)))
        self._calls.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await self._ended.wait()

    def _work(self) -> None:
        self._on_start()
        while (work := self._calls.get()) is not None:
            work()
        self._tell(self._ended.set)

    def _tell(self, what: Callable[..., object], *arguments: object) -> None:
        # A loop that is closed has nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *arguments)


def _settle(future: asyncio.Future[_T], result: _T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[_T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
