"""The simulated PLC in a process of its own: the entry point there, and the handle on it here."""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from controller.errors import DeviceTimeout, DeviceUnavailable
from controller.priority import raise_device
from controller.sim.plc_commands import (
    AskTally,
    EndPlc,
    LiveTally,
    PartsTaken,
    PlcCommand,
    PlcEvent,
    PlcServing,
    TakeParts,
    TallyReady,
)
from controller.sim.plc_settings import SoftPlcSettings
from controller.sim.tally import PartTally

E = TypeVar("E", bound=PlcEvent)
_DEVICE = "soft PLC"
_OUTBOX = 512


def run_soft_plc(settings: SoftPlcSettings, control: Connection) -> None:
    """Be the PLC until told to end, or until the parent is gone. Entry point for a spawned process."""
    from controller.sim.soft_plc import SoftPlc, precise_loop, quieten_asyncua

    # Ctrl-C reaches the whole terminal; the parent decides when the PLC ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quieten_asyncua()
    outbox: queue.Queue[PlcEvent | None] = queue.Queue(_OUTBOX)

    def post(event: PlcEvent) -> None:
        # A parent that does not listen may cost the live figures, never the PLC's time.
        if not isinstance(event, LiveTally) or outbox.qsize() < _OUTBOX // 2:
            outbox.put_nowait(event)

    def send() -> None:
        while (event := outbox.get()) is not None:
            try:
                control.send(event)
            except OSError:
                return

    async def serve() -> None:
        plc = SoftPlc(settings, post)
        loop = asyncio.get_running_loop()

        def receive() -> None:
            command: PlcCommand = AskTally()
            while not isinstance(command, EndPlc):
                try:
                    command = control.recv()
                except (EOFError, OSError):
                    command = EndPlc()
                if loop.is_closed():
                    return
                loop.call_soon_threadsafe(plc.command, command)

        threading.Thread(target=receive, name="soft PLC commands", daemon=True).start()
        await plc.serve()

    sender = threading.Thread(target=send, name="soft PLC events", daemon=True)
    sender.start()
    try:
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            runner.run(serve())
    finally:
        outbox.put(None)
        sender.join(timeout=10)


class SoftPlcProcess:
    """The parent's handle on a simulated PLC. Thread-safe; every wait has a time-out and raises DeviceError.

    on_event: called with each event on the handle's own reader thread.
    """

    def __init__(self, settings: SoftPlcSettings, on_event: Callable[[PlcEvent], None] | None = None) -> None:
        self._settings, self._on_event = settings, on_event
        self._control, self._remote = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=run_soft_plc, args=(settings, self._remote), name="linegate soft PLC", daemon=True
        )
        self._news = threading.Condition()
        self._events: list[PlcEvent] = []
        self._taken: queue.SimpleQueue[list[PartTally]] = queue.SimpleQueue()
        self._live: LiveTally | None = None
        self._gone = False
        self._reader = threading.Thread(target=self._read, name="soft PLC reader", daemon=True)

    @property
    def pid(self) -> int:
        """Process id, for tests that stop or kill it."""
        if self._process.pid is None:
            raise DeviceUnavailable(_DEVICE, "not started")
        return self._process.pid

    @property
    def live(self) -> LiveTally | None:
        """The latest live figures."""
        return self._live

    @property
    def events(self) -> tuple[PlcEvent, ...]:
        """Everything told so far but the live figures and parts that were taken."""
        with self._news:
            return tuple(self._events)

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it serves."""
        self._process.start()
        raise_device(self.pid)
        self._remote.close()
        self._reader.start()

    def wait_ready(self, timeout_s: float = 20.0) -> str:
        """The address for stations, once they may connect."""
        return self.wait_for(PlcServing, timeout_s).url

    def wait_for(self, kind: type[E], timeout_s: float, when: Callable[[E], bool] = lambda _: True) -> E:
        """The first event of a kind, also one from before this call, that fulfils the condition."""
        return self._wait(kind, timeout_s, when, 0)

    def wait_live(self, when: Callable[[LiveTally], bool], timeout_s: float) -> LiveTally:
        """The first live figures from now on that fulfil a condition."""
        until = time.monotonic() + timeout_s
        with self._news:
            while True:
                if self._live is not None and when(self._live):
                    return self._live
                self._await_news(until, "live figures")

    def command(self, command: PlcCommand) -> None:
        """Ask the PLC for something."""
        try:
            self._control.send(command)
        except (OSError, ValueError) as error:
            raise DeviceUnavailable(_DEVICE, "its process is gone") from error

    def tally(self, timeout_s: float = 10.0, ask: PlcCommand | None = None) -> TallyReady:
        """The whole tally of this moment."""
        with self._news:
            seen = len(self._events)
        self.command(ask or AskTally())
        return self._wait(TallyReady, timeout_s, lambda _: True, seen)

    def take_parts(self, count: int, keep: int, timeout_s: float = 10.0) -> list[PartTally]:
        """Take the oldest parts that are past the gate out of the tally; see `TakeParts`. One caller at a time."""
        self.command(TakeParts(count, keep))
        try:
            return self._taken.get(timeout=timeout_s)
        except queue.Empty as error:
            raise DeviceTimeout(_DEVICE, "handed over no parts in time") from error

    def stop(self, timeout_s: float = 10.0) -> TallyReady:
        """End the process in good order and return its final tally."""
        final = self.tally(timeout_s, EndPlc())
        self._process.join(timeout_s)
        self.kill()
        return final

    def kill(self) -> None:
        """End the process at once, as a power cut does; harmless when it is gone already."""
        if self._process.pid is None:
            return
        self._process.kill()
        self._process.join()
        self._reader.join()
        self._control.close()

    def _wait(self, kind: type[E], timeout_s: float, when: Callable[[E], bool], seen: int) -> E:
        until = time.monotonic() + timeout_s
        with self._news:
            while True:
                for event in self._events[seen:]:
                    if isinstance(event, kind) and when(event):
                        return event
                seen = len(self._events)
                self._await_news(until, kind.__name__)

    def _await_news(self, until: float, what: str) -> None:
        if self._gone:
            raise DeviceUnavailable(_DEVICE, f"its process ended before {what}")
        if not self._news.wait(until - time.monotonic()):
            raise DeviceTimeout(_DEVICE, f"no {what} in time")

    def _read(self) -> None:
        try:
            while True:
                event: PlcEvent = self._control.recv()
                if isinstance(event, PartsTaken):
                    self._taken.put(event.parts)
                    continue
                with self._news:
                    if isinstance(event, LiveTally):
                        self._live = event
                    else:
                        self._events.append(event)
                    self._news.notify_all()
                if self._on_event is not None:
                    self._on_event(event)
        except (EOFError, OSError):
            with self._news:
                self._gone = True
                self._news.notify_all()
