"""Writes the failsafe latch to disk, one state after the other, off the deciding loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from controller.errors import ControllerError
from controller.ports import Latch
from statemachines.vocabulary import FaultCode, Health

Report = Callable[[str, Health, str], None]
SOURCE = "failsafe latch"


class LatchWriter:
    """One thread, so that a state can never overtake the one after it: a reset that a slow disk held up would else undo
    a failsafe that was latched meanwhile, and the next process would start as if nothing had been.

    report: called on that thread after each write; a latch that cannot be written stays latched in memory and says so.
    """

    def __init__(self, latch: Latch, report: Report) -> None:
        self._latch, self._report = latch, report
        self._queue: SimpleQueue[tuple[FaultCode, str] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def store(self, code: FaultCode, why: str) -> None:
        """Queue a state. Loop thread only; never blocks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="failsafe latch", daemon=True)
            self._thread.start()
        self._queue.put((code, why))

    def close(self, timeout: float) -> bool:
        """Write what is queued and end; False when the disk did not take it within `timeout` seconds."""
        if self._thread is None:
            return True
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (state := self._queue.get()) is not None:
            try:
                self._latch.store(*state)
            except ControllerError as error:
                self._report(SOURCE, Health.FAILURE, str(error))
            else:
                self._report(SOURCE, Health.NORMAL, "")
