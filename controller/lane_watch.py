"""Finds an inference that hangs: cancels it at its hard limit, and gives the process up if it does not come back.

A stuck native call cannot be cured from inside: the station latches failsafe and ends for its guard to start it anew.
Its parts have long been answered by their deadlines.
"""

from __future__ import annotations

import asyncio

from loguru import logger

from controller.exit_codes import RESTART
from controller.recipes import Lane
from controller.runtime import Runtime
from statemachines.events import FailsafeTripped
from statemachines.vocabulary import FaultCode


class LaneWatch:
    """Watches one inference lane. Times in ns."""

    def __init__(self, runtime: Runtime, lane: Lane, hard_limit: int, grace: int) -> None:
        self._runtime = runtime
        self._lane = lane
        self._hard_limit = hard_limit
        self._grace = grace

    async def run(self) -> None:
        """Look often enough to notice within a quarter of the limit; ends with the station when it must."""
        pause = max(self._hard_limit // 4, 1_000_000) / 1e9
        cancelled: int | None = None
        while True:
            await asyncio.sleep(pause)
            since = self._lane.busy_since()
            if since is None or since != cancelled:
                cancelled = None
            if since is None:
                continue
            busy = self._runtime.now() - since
            if busy < self._hard_limit:
                continue
            if cancelled is None:
                logger.error("inference past its hard limit, cancelled", busy_ms=busy / 1e6)
                self._lane.cancel()
                cancelled = since
            elif busy >= self._hard_limit + self._grace:
                why = f"an inference hangs since {busy / 1e9:.1f} s and does not react to its cancellation"
                logger.critical("failsafe", why=why)
                self._runtime.post(FailsafeTripped(self._runtime.now(), FaultCode.INFERENCE_HUNG, why))
                self._runtime.end(RESTART)
                return
