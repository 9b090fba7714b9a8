"""Warns of frames that are nobody's: the first at once, then once a second how many more there were."""

from __future__ import annotations

import asyncio

from loguru import logger

PERIOD_S = 1.0
"""A bouncing light barrier makes a frame every few milliseconds, and a line in the log costs the deciding loop time."""


class SurplusLog:
    """Of one camera. On the deciding loop."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._timer: asyncio.TimerHandle | None = None
        self._more = 0
        self._latest = (0, "")

    def note(self, counter: int, why: str) -> None:
        """A frame of this number was nobody's."""
        if self._timer is not None:
            self._more, self._latest = self._more + 1, (counter, why)
            return
        logger.warning("surplus frame", camera=self._camera, counter=counter, why=why)
        self._wait()

    def close(self) -> None:
        """Say what is left to say."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._period_over)

    def _period_over(self) -> None:
        self._timer = None
        if self._tell():
            self._wait()

    def _tell(self) -> bool:
        more, self._more = self._more, 0
        counter, why = self._latest
        if more:
            logger.warning("surplus frames", camera=self._camera, more=more, counter=counter, why=why)
        return more > 0
