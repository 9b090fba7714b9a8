"""One dedicated thread for inference, so that the deciding loop never waits for a model.

OpenVINO releases the GIL while it computes; a thread of its own with a plain queue costs a few microseconds, where
asyncio's own thread pool costs 28 µs and milliseconds at the tail.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from models.errors import InferenceFailed
from models.frame import Frame
from statemachines.vocabulary import Assessment


class Judge(Protocol):
    """Judges a frame; may be asked from another thread to give up."""

    def inspect(self, frame: Frame) -> Assessment: ...
    def cancel(self) -> None: ...


Done = Callable[[Assessment | Exception, int], None]
"""Called on the lane's thread: the result, or the exception it ended in, and the time it took in ns.

What it raises itself goes to `threading.excepthook`; the lane goes on with the next frame.
"""


@dataclass(frozen=True, slots=True)
class _Job:
    inspector: Judge
    frame: Frame
    on_done: Done


class InferenceLane:
    """A bounded queue of frames to judge, worked off by one daemon thread in order.

    on_start: called on that thread before its first frame, to give it its priority.
    """

    def __init__(self, depth: int = 16, name: str = "inference", on_start: Callable[[], None] = lambda: None) -> None:
        self._depth = depth
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._running: tuple[_Job, int] | None = None
        self._cancelled: _Job | None = None
        self._closed = False
        self._on_start = on_start
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, inspector: Judge, frame: Frame, on_done: Done) -> bool:
        """Queue a frame; False when the lane is full or closed: on_done will not be called. Never blocks."""
        if self._closed or self._queue.qsize() >= self._depth:
            return False
        self._queue.put(_Job(inspector, frame, on_done))
        return True

    def busy_since(self) -> int | None:
        """Monotonic ns at which the running inference began, None while idle. For finding one that hangs."""
        running = self._running
        return None if running is None else running[1]

    def cancel(self) -> None:
        """Ask the running inference to give up. Its on_done gets InferenceFailed as soon as it returns.

        Also where it does not listen and runs to its end: what was cancelled never counts.
        """
        running = self._running
        if running is not None:
            self._cancelled = running[0]
            running[0].inspector.cancel()

    def close(self, timeout: float) -> bool:
        """Finish what is queued and end the thread; False when it is stuck after `timeout` seconds."""
        self._closed = True
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        self._on_start()
        while (job := self._queue.get()) is not None:
            started = time.monotonic_ns()
            self._running = (job, started)
            result = self._judge(job)
            self._running = None
            _tell(job, result, time.monotonic_ns() - started)

    def _judge(self, job: _Job) -> Assessment | Exception:
        """Every exception is a result here: the thread must outlive whatever a model does, and the caller must know."""
        try:
            assessment = job.inspector.inspect(job.frame)
        except Exception as error:  # noqa: BLE001 - handed to the caller as a value
            return error
        if self._cancelled is job:
            return InferenceFailed("the inference was cancelled at its hard limit")
        return assessment


def _tell(job: _Job, result: Assessment | Exception, duration_ns: int) -> None:
    """A thread that ended here would leave every later part without an answer while the lane looks idle."""
    try:
        job.on_done(result, duration_ns)
    except Exception as error:  # noqa: BLE001 - reported where every thread's uncaught errors are
        threading.excepthook(
            threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
        )
