"""Turns what the record's duties say of themselves into one health, told once per change."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from statemachines.vocabulary import Health

HealthCallback = Callable[[Health, str], None]


class HealthWatch:
    """A thread that looks and never touches a disk, so that it still speaks when every disk hangs.

    probe: what is the health now, and why; called on this thread. on_health: called on this thread, once per change of
    the health (not for each new wording); not called for NORMAL at the start.
    """

    def __init__(
        self, name: str, probe: Callable[[], tuple[Health, str]], on_health: HealthCallback, period_s: float = 0.2
    ) -> None:
        self._probe, self._on_health, self._period_s = probe, on_health, period_s
        self._told = Health.NORMAL
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look a last time and end."""
        self._stopping = True
        self._wake.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            last = self._stopping
            health, why = self._probe()
            if health is not self._told:
                self._told = health
                # The loop that wants to know is gone at shutdown, and says so with a RuntimeError.
                with contextlib.suppress(RuntimeError):
                    self._on_health(health, why)
            if last:
                return
            self._wake.wait(self._period_s)
