"""Frames that came unasked and the parts that wait for them: the table of `statemachines.frame_join`, awaited."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from controller.drivers.camera.surplus_log import SurplusLog
from controller.errors import DeviceError, DeviceRefused, DeviceTimeout
from models.frame import Frame
from statemachines.frame_join import restarted, step
from statemachines.frame_join_words import (
    Exposed,
    FrameJoin,
    FrameSeen,
    Joined,
    JoinEvent,
    JoinRules,
    OutOfStep,
    PartExpected,
    PartGivenUp,
    Surplus,
    Unjoined,
)
from statemachines.vocabulary import Ns, PartKey

F = TypeVar("F", bound=Frame)


class JoinedFrames(Generic[F]):
    """Of one camera that the line triggers, or that runs freely. On the deciding loop.

    rules: the window, and how many frames may wait. watched: each frame is a part that the line saw, so that one
    without a part is worth a warning. begin_anew: asks the camera to, with the reason.
    """

    def __init__(self, name: str, rules: JoinRules, begin_anew: Callable[[str], None], *, watched: bool) -> None:
        self._name, self._begin_anew = name, begin_anew
        self._join = FrameJoin(rules)
        self._token = 0
        self._frames: dict[int, F] = {}
        self._waiting: dict[PartKey, asyncio.Future[F]] = {}
        self._spoilt: deque[tuple[int, str]] = deque(maxlen=rules.kept)
        self._asked = False
        self._log = SurplusLog(name) if watched else None
        self.surplus = 0

    def restart(self) -> None:
        """The camera is up anew: what waited from before is nobody's."""
        self._frames.clear()
        self._join = restarted(self._join)
        self._asked = False

    def fail(self, error: Callable[[], DeviceError]) -> None:
        """Nobody gets a frame any more."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error())

    def spoilt(self, why: str) -> None:
        """A frame came that cannot be used; whose it is shows when somebody waits in vain."""
        self._spoilt.append((time.monotonic_ns(), why))

    def take(self, frame: F, *, clocked: bool) -> None:
        """The camera delivered a frame. clocked: its time is the camera's own."""
        self._token += 1
        self._frames[self._token] = frame
        self._step(FrameSeen(Exposed(self._token, frame.counter, Ns(frame.exposed_at), clocked)))

    def pass_by(self, part: PartKey, expose_at: Ns) -> None:
        """A part passed while the camera was away: should its frame come after all, it is no neighbour's."""
        self._step(PartExpected(part, expose_at))
        self._step(PartGivenUp(part))

    def close(self) -> None:
        """Say what is left to say."""
        if self._log is not None:
            self._log.close()

    async def wait(self, part: PartKey, expose_at: Ns, until: Ns, deadline: Ns) -> F:
        """The frame that was exposed around `expose_at` and is this part's. Raises DeviceError."""
        future: asyncio.Future[F] = asyncio.get_running_loop().create_future()
        self._waiting[part] = future
        try:
            self._step(PartExpected(part, expose_at))
            async with asyncio.timeout(max(deadline - time.monotonic_ns(), 0) / 1e9):
                frame = await future
        except TimeoutError as error:
            window = self._join.rules.window_ns / 1e6
            why = f"no frame came in time that was exposed within {window:g} ms of when the part passed"
            spoilt = self._spoilt_since(expose_at - self._join.rules.window_ns)
            raise DeviceTimeout(self._name, f"{why}; {spoilt}" if spoilt else why) from error
        finally:
            # Out of the table as well: a frame that comes after this belongs to nobody.
            self._waiting.pop(part, None)
            # Asking for the error says it, also where it came in the same turn of the loop as the deadline.
            if not future.done() or future.cancelled() or future.exception() is not None:
                self._step(PartGivenUp(part))
        if frame.exposed_at > until:
            raise DeviceTimeout(self._name, f"frame {frame.counter} was exposed after the part had left")
        return frame

    def _spoilt_since(self, at: int) -> str:
        """What came of the first unusable frame from then on. It is this part's: earlier ones have given up before."""
        while self._spoilt:
            came_at, why = self._spoilt.popleft()
            if came_at >= at:
                return why
        return ""

    def _step(self, event: JoinEvent) -> None:
        self._join, notices = step(self._join, event)
        for notice in notices:
            match notice:
                case Joined(part, exposed):
                    self._hand_over(part, self._frames.pop(exposed.token))
                case Surplus(exposed, why):
                    self._drop(self._frames.pop(exposed.token), why)
                case Unjoined(part, why):
                    future = self._waiting.get(part)
                    if future is not None and not future.done():
                        future.set_exception(DeviceRefused(self._name, why))
                case OutOfStep(why):
                    if not self._asked:
                        self._asked = True
                        self._begin_anew(why)

    def _hand_over(self, part: PartKey, frame: F) -> None:
        future = self._waiting.get(part)
        if future is None or future.done():
            self._drop(frame, "its part was given up")
        else:
            future.set_result(frame)

    def _drop(self, frame: F, why: str) -> None:
        self.surplus += 1
        if self._log is not None:
            self._log.note(frame.counter, why)
