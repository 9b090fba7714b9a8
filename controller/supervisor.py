"""Child processes under supervision: started with spawn, talked to over a channel, restarted when they die or hang.

A child dies with its parent: its pipe closes, which its own channel notices, whatever killed the parent.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

from loguru import logger

from controller.channel import POLL_S, Channel
from controller.channel_words import Message, Protocol
from statemachines.vocabulary import Health

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
SETTLED_S = 60.0
"""A child that lived so long starts its next life with the first pause again."""
GRACE_S = 1.0
"""Time to end by itself, and then again to obey a termination, before it is killed."""
UNDELIVERED = 64
"""Messages of the child that wait for the event loop; a child that says more waits itself."""
PACE_S = 0.05
"""How long a message to the child may wait before it is sent."""

S = TypeVar("S")


class SupervisedChild(Generic[S]):
    """One child process, kept alive for as long as `run` runs. All methods are for the event loop's thread.

    entry: top-level function of the child, called there with the settings and its end of the pipe.
    on_message: called on the event loop with each message of the child.
    on_health: called on the event loop with the name, NORMAL once the child's first message came, and MAINTENANCE
    with the reason whenever it died: a child has no part in any answer.
    silence_s: a child that says nothing for so long counts as hung and is killed; None: it may be silent.
    starting_s: the same until its first message, where that may take longer; None: as silence_s.
    pace_s: how long a message to the child may wait; None sends each at once, for a child on the way to an answer.
    niceness: how far the child gives way to the deciding process.
    direct: the loop reads what the child says by itself, where the system can: 150 us sooner than through a thread.
    """

    def __init__(
        self,
        name: str,
        entry: Callable[[S, Connection], None],
        settings: S,
        on_message: Callable[[Any], None],
        on_health: Callable[[str, Health, str], None],
        *,
        protocol: Protocol,
        silence_s: float | None = None,
        starting_s: float | None = None,
        pace_s: float | None = PACE_S,
        niceness: int = 10,
        direct: bool = False,
    ) -> None:
        self._name, self._entry, self._settings, self._protocol = name, entry, settings, protocol
        self._on_message, self._on_health = on_message, on_health
        self._silence_s, self._starting_s = silence_s, silence_s if starting_s is None else starting_s
        self._pace_s, self._niceness = pace_s, niceness
        self._direct = direct and os.name == "posix"
        self._done: asyncio.Event | None = None
        self._channel: Channel | None = None
        self._pid: int | None = None
        self._restarts = 0
        self._dropped = self._coalesced = 0
        self._ending = threading.Event()
        self._ended = ""

    @property
    def pid(self) -> int | None:
        """Process id of the present child; None between two lives."""
        return self._pid

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return self._restarts

    @property
    def dropped(self) -> int:
        """Messages that no child will ever get: the queue was full, or there was no child."""
        channel = self._channel
        return self._dropped + (channel.counts().dropped if channel else 0)

    @property
    def coalesced(self) -> int:
        """Messages replaced by a later one before they were sent."""
        channel = self._channel
        return self._coalesced + (channel.counts().coalesced if channel else 0)

    def offer(self, message: Message, key: str | None = None) -> bool:
        """Hand a message to the present child; False when it was dropped. Never waits, never raises."""
        channel = self._channel
        if channel is None:
            self._dropped += 1
            return False
        return channel.offer(message, key)

    async def run(self) -> None:
        """Keep the child alive until cancelled; then end it. It may have been started before."""
        done = self._done or self.start()
        try:
            await done.wait()
            raise RuntimeError(f"the supervisor of {self._name} ended")
        finally:
            await self.stop()

    def start(self) -> asyncio.Event:
        """Keep the child alive until `stop`. The event is set when the supervision has ended."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        self._ending.clear()
        self._done = done

        def supervise() -> None:
            try:
                self._supervise(loop)
            finally:
                _call(loop, done.set)

        # A thread of its own: to start and to end a process takes milliseconds to seconds.
        threading.Thread(target=supervise, name=f"{self._name} supervisor", daemon=True).start()
        return done

    async def stop(self) -> None:
        """End the child and its supervision; harmless where there is none."""
        done, self._done = self._done, None
        if done is None:
            return
        self._ending.set()
        channel = self._channel
        if channel is not None:
            channel.close()
        await done.wait()

    def _supervise(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = 0.0
        while not self._ending.is_set():
            born = time.monotonic()
            why = self._one_life(loop)
            if self._ending.is_set():
                return
            pause = next_pause(pause, time.monotonic() - born)
            logger.warning("child process ended", child=self._name, why=why, restart_in_s=pause)
            _call(loop, self._on_health, self._name, Health.MAINTENANCE, why)
            if self._ending.wait(pause):
                return
            self._restarts += 1

    def _one_life(self, loop: asyncio.AbstractEventLoop) -> str:
        """From its start to its end; why it ended."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=child_main,
            args=(self._entry, self._settings, theirs, self._niceness),
            name=f"linegate {self._name}",
            daemon=True,
        )
        life = _Life()
        try:
            process.start()
        except OSError as error:
            ours.close()
            return f"cannot be started: {error}"
        finally:
            theirs.close()
        inbox = threading.BoundedSemaphore(UNDELIVERED)

        def take(message: Message) -> None:
            while not inbox.acquire(timeout=POLL_S):
                if channel.closed:
                    return
            life.heard_at = time.monotonic()
            _call(loop, deliver, message)

        def deliver(message: Message) -> None:
            inbox.release()
            tell(message)

        def hear(message: Message) -> None:
            life.heard_at = time.monotonic()
            tell(message)

        def tell(message: Message) -> None:
            if life.silent:
                life.silent = False
                self._on_health(self._name, Health.NORMAL, "")
            self._on_message(message)

        channel = Channel(
            ours,
            self._protocol,
            self._protocol.to_parent,
            hear if self._direct else take,
            life.close,
            pace_s=self._pace_s,
            loop=loop if self._direct else None,
        )
        self._pid, self._channel = process.pid, channel
        channel.start()
        try:
            why = self._watch(life, loop)
        finally:
            self._channel, self._pid = None, None
            channel.close()
            code = _end(process, at_once=life.hung)
            counts = channel.counts()
            self._dropped += counts.dropped
            self._coalesced += counts.coalesced
        return f"{why} (exit code {code})"

    def _watch(self, life: _Life, loop: asyncio.AbstractEventLoop) -> str:
        while not life.closed.wait(POLL_S):
            silent_s = self._silent_s(life)
            # A loop that was held up has not heard what the child said meanwhile: it is given the time to.
            if silent_s is not None and self._direct:
                _let_go_round(loop, life)
                silent_s = self._silent_s(life)
            if silent_s is not None:
                life.hung = True
                return f"silent for {silent_s:.0f} s"
        return life.why

    def _silent_s(self, life: _Life) -> float | None:
        """How long it has been silent, where that is too long."""
        silent_s = time.monotonic() - life.heard_at
        limit_s = self._starting_s if life.silent else self._silence_s
        return silent_s if limit_s is not None and silent_s > limit_s else None


def _let_go_round(loop: asyncio.AbstractEventLoop, life: _Life) -> None:
    """Wait until the loop has looked at its connections once more, or the child's life is over."""
    # In the second round: what was readable is taken up behind what was called before the loop looked.
    for _ in range(2):
        passed = threading.Event()
        _call(loop, passed.set)
        while not (passed.wait(POLL_S) or life.closed.is_set() or loop.is_closed()):
            pass


def next_pause(before_s: float, lived_s: float) -> float:
    """Seconds to wait before the next start. before_s: the pause before the life that ended, 0 for the first one."""
    if before_s <= 0 or lived_s >= SETTLED_S:
        return FIRST_PAUSE_S
    return min(2 * before_s, LONGEST_PAUSE_S)


class _Life:
    """What is known of one child between its start and its end."""

    def __init__(self) -> None:
        self.heard_at = time.monotonic()
        self.silent = True
        self.hung = False
        self.why = ""
        self.closed = threading.Event()

    def close(self, why: str) -> None:
        self.why = why
        self.closed.set()


def child_main(entry: Callable[[S, Connection], None], settings: S, connection: Connection, niceness: int = 10) -> None:
    """First function of every child: yields to the deciding process and leaves Ctrl-C to it, then does its duty."""
    # Ctrl-C reaches the whole terminal; the parent decides when its children end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(niceness)
    entry(settings, connection)


def _end(process: SpawnProcess, *, at_once: bool) -> int | None:
    """Make sure that it is gone; its exit code."""
    if not at_once:
        process.join(GRACE_S)
        if process.is_alive():
            process.terminate()
            process.join(GRACE_S)
    if process.is_alive():
        process.kill()
    process.join()
    code = process.exitcode
    process.close()
    return code


def _call(loop: asyncio.AbstractEventLoop, work: Callable[..., None], *args: Any) -> None:
    # A loop that is closed has nobody left to tell.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(work, *args)
