"""Watching the loop that decides: its beat, its lateness, and a guard outside of it for when it hangs."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from controller.exit_codes import RESTART

_RING = 50


class LoopProbe:
    """Beats in the deciding loop and measures how late it comes to it. on_beat: the PLC's heartbeat hangs on it."""

    def __init__(self, on_beat: Callable[[], None], period_ms: int) -> None:
        self._on_beat = on_beat
        self._period_s = period_ms / 1000
        self._late: deque[float] = deque(maxlen=_RING)
        self.last_beat = time.monotonic_ns()
        self.longest_gap = 0
        """Between two beats so far, ns: tells of a process that stood still with its guard, and runs again."""

    async def run(self) -> None:
        """Beat until cancelled."""
        due = time.monotonic()
        self.last_beat = time.monotonic_ns()
        while True:
            now = time.monotonic_ns()
            self.longest_gap, self.last_beat = max(self.longest_gap, now - self.last_beat), now
            self._on_beat()
            due += self._period_s
            await asyncio.sleep(due - time.monotonic())
            late = time.monotonic() - due
            self._late.append(late)
            if late > self._period_s:
                due = time.monotonic()

    def lag_ms(self) -> float:
        """Worst lateness of the last fifty beats, in ms."""
        return max(self._late, default=0.0) * 1000


class HangGuard:
    """A thread that ends the process when the deciding loop hangs: nothing inside the loop could.

    Stacks of all threads go to stderr; on_hang(why) may latch the failsafe; exit code RESTART asks for a new process.
    """

    def __init__(
        self,
        probe: LoopProbe,
        loop_hang_s: float,
        on_hang: Callable[[str], None],
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._probe = probe
        self._limit_ns = round(loop_hang_s * 1e9)
        self._on_hang = on_hang
        self._exit = exit_process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hang guard", daemon=True)

    def start(self) -> None:
        self._probe.last_beat, self._probe.longest_gap = time.monotonic_ns(), 0
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def _watch(self) -> None:
        while not self._stop.wait(self._limit_ns / 4e9):
            silent = max(time.monotonic_ns() - self._probe.last_beat, self._probe.longest_gap)
            if silent < self._limit_ns:
                continue
            why = f"the deciding loop has not moved for {silent / 1e9:.1f} s"
            sys.stderr.write(f"{why}; stacks of all threads follow\n")
            faulthandler.dump_traceback(file=sys.__stderr__ or 2, all_threads=True)
            try:
                self._on_hang(why)
            except Exception as error:  # noqa: BLE001 - whatever fails here, the process must end
                sys.stderr.write(f"the failsafe could not be latched: {error}\n")
            self._exit(RESTART)
            return


class SystemdNotifier:
    """Tells systemd how the service is (sd_notify protocol). Does nothing where there is no NOTIFY_SOCKET."""

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address and hasattr(socket, "AF_UNIX"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def ready(self) -> None:
        """The station is up."""
        self._send("READY=1")

    def watchdog(self) -> None:
        """The deciding loop is alive."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """The station ends on purpose."""
        self._send("STOPPING=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            # systemd not listening must not disturb the line; its own watchdog then acts.
            return
