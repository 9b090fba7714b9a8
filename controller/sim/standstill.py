"""When this computer itself stood still, so that a run can tell its own delays from those of the computer.

A host takes a virtual machine's processors away, firmware takes those of a real one (system management interrupts). A
process above everything else, one for each processor, asks every 5 ms whether it ran; what it did not see, no program
on that processor could have done anything about.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Any, Self

from controller.priority import watch_processor

_START_S, _END_S = 20.0, 5.0
_ASK_S = 0.005
"""Shorter, and the watch itself takes several per cent of each processor of a small virtual machine."""
_PAUSE_NS = 3_000_000
"""Awake so much later than it was due, it stood still; a millisecond or two is what waking up costs."""
_LOOKS = 20
"""After so many it looks whether it is to end."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """One processor did nothing for us between two moments of the monotonic clock, in ns."""

    processor: int
    began_ns: int
    ended_ns: int

    @property
    def ms(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e6


@dataclass(frozen=True, slots=True)
class Standstills:
    """All of a run, in the order they ended on each processor."""

    found: tuple[Standstill, ...] = ()

    @property
    def longest_ms(self) -> float:
        return max((one.ms for one in self.found), default=0.0)

    @property
    def sum_ms(self) -> float:
        """Of all processors together: a second in which two stood still is two."""
        return sum(one.ms for one in self.found)

    def touch(self, began_ns: int, ended_ns: int) -> bool:
        """Was there one between two moments, or a part of one?"""
        return any(one.began_ns < ended_ns and began_ns < one.ended_ns for one in self.found)

    def as_json(self) -> dict[str, float]:
        longest_ms, sum_ms = round(self.longest_ms, 1), round(self.sum_ms, 1)
        return {"standstills": len(self.found), "longest_ms": longest_ms, "sum_ms": sum_ms}


class StandstillWatch:
    """Watches every processor while it is open. Linux only: elsewhere, and without the right, it finds nothing."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop, self._children = context.Event(), dict[int, _Child]()
        for processor in _processors():
            ours, theirs = context.Pipe(duplex=False)
            sum_ns = context.RawValue("q", 0)
            process = context.Process(target=_watch, args=(processor, self._stop, theirs, sum_ns), daemon=True)
            self._children[processor] = _Child(process, ours, theirs, sum_ns)
        self.watching: dict[int, bool] = {}
        """By processor: may we watch it?"""
        self.result = Standstills()

    @property
    def pids(self) -> dict[int, int]:
        """Process ids by processor, for tests that stop one."""
        return {processor: child.process.pid or 0 for processor, child in self._children.items()}

    def so_far_ms(self) -> float:
        """What all processors lost so far, together."""
        return sum(child.sum_ns.value for child in self._children.values()) / 1e6

    def __enter__(self) -> Self:
        for child in self._children.values():
            child.process.start()
            # Else one that dies would leave us waiting for its words.
            child.theirs.close()
        self.watching = {processor: bool(child.told(_START_S)) for processor, child in self._children.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self.result = Standstills(tuple(one for child in self._children.values() for one in child.told(_END_S) or ()))
        for child in self._children.values():
            child.process.join(_END_S)
            child.process.kill()
            child.pipe.close()


@dataclass(frozen=True, slots=True)
class _Child:
    """It tells first whether it may watch, at the end what it found."""

    process: BaseProcess
    pipe: Connection
    theirs: Connection
    sum_ns: Any

    def told(self, within_s: float) -> Any:
        with suppress(EOFError, OSError):
            if self.pipe.poll(within_s):
                return self.pipe.recv()
        return None


def _processors() -> Iterable[int]:
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else ()


def _watch(processor: int, stop: Event, told: Connection, sum_ns: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    found: list[Standstill] = []
    may = watch_processor(processor)
    told.send(may)
    if may:
        parent = os.getppid()
        while not stop.is_set() and os.getppid() == parent:
            before = time.monotonic_ns()
            for _ in range(_LOOKS):
                time.sleep(_ASK_S)
                after = time.monotonic_ns()
                due = before + round(_ASK_S * 1e9)
                if after - due > _PAUSE_NS:
                    found.append(Standstill(processor, due, after))
                    sum_ns.value += after - due
                before = after
    told.send(found)
