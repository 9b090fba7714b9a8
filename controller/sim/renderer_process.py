"""The process that puts parts onto the simulated belt, some parts ahead of the camera."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing.synchronize import Event

import cv2

from controller.sim.belt import DEFAULT_SLOTS, Belt
from controller.sim.conveyor import NS_PER_MINUTE, NS_PER_MS, arrivals
from controller.sim.source import SourceSettings, open_source

LONGEST_VIEW_MS = 60.0
_WAIT_S = 0.2
_NICENESS = 10


@dataclass(frozen=True, slots=True)
class RendererSettings:
    """What comes along the belt, and when. Picklable.

    rate_ppm, jitter_ms, arrival_seed: as for `conveyor.arrivals`; a rate of 0 leaves the belt to `Belt.place`.
    in_view_ms: how long a part stays in view; by default 60 ms, or half the spacing where that is less.
    """

    belt_name: str
    source: SourceSettings
    parts: int
    rate_ppm: float
    jitter_ms: float = 0.0
    arrival_seed: int = 1
    in_view_ms: float | None = None
    slots: int = DEFAULT_SLOTS


def windows(settings: RendererSettings) -> list[tuple[int, int]]:
    """When each part enters and leaves view, in ns after the line's start; part number i + 1 at index i.

    A part leaves at the latest when the next one enters.
    """
    enters = arrivals(settings.arrival_seed, settings.rate_ppm, settings.jitter_ms, settings.parts)
    if not enters:
        return []
    in_view_ms = settings.in_view_ms
    if in_view_ms is None:
        in_view_ms = min(LONGEST_VIEW_MS, NS_PER_MINUTE / settings.rate_ppm / NS_PER_MS / 2)
    stay = round(in_view_ms * NS_PER_MS)
    nexts = [*enters[1:], enters[-1] + stay]
    return [(enter, min(enter + stay, after)) for enter, after in zip(enters, nexts, strict=True)]


class RendererProcess:
    """The parent's hold on the renderer. `start`, then `wait_filled`, and `stop` at the end; or use it as a context."""

    def __init__(self, settings: RendererSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self._filled, self._stop = context.Event(), context.Event()
        self._process = context.Process(
            target=run_renderer, args=(settings, self._filled, self._stop), name="linegate-renderer", daemon=True
        )

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def start(self) -> None:
        """Start the process. The belt exists once `wait_filled` says so."""
        self._process.start()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def wait_filled(self, timeout_s: float) -> bool:
        """Wait until the belt exists and its first slots hold their parts. False: not in time, or the process died."""
        for _ in range(max(1, round(timeout_s / _WAIT_S))):
            if self._filled.wait(_WAIT_S):
                return True
            if not self._process.is_alive():
                break
        return self._filled.is_set()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the process, gently first; the belt goes with it."""
        if self._process.pid is None:
            return
        self._stop.set()
        self._process.join(timeout_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(timeout_s)

    def __enter__(self) -> RendererProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run_renderer(settings: RendererSettings, filled: Event, stop: Event) -> None:
    """The process's entry point: fill the belt ahead of time, then keep it until told to stop or left alone."""
    # Ctrl-C reaches the whole group; the parent decides when the belt goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(_NICENESS)
    parent = multiprocessing.parent_process()
    finished = threading.Event()

    def over() -> bool:
        return stop.is_set() or (parent is not None and not parent.is_alive())

    # The line is the station's guest on its computer: one thread is plenty.
    cv2.setNumThreads(1)
    source = open_source(settings.source)
    empty = source.empty()
    with Belt.create(settings.belt_name, *source.size, settings.slots) as belt:
        belt.set_empty(empty)
        alive = threading.Thread(target=_keep_alive, args=(belt, finished), daemon=True)
        belt.beat()
        alive.start()
        try:
            for number, (enters, leaves) in enumerate(windows(settings), 1):
                pixels = source.pixels(number)
                while not belt.put(number, enters, leaves, pixels, wait_s=_WAIT_S):
                    if over():
                        return
                if number == settings.slots:
                    filled.set()
                if over():
                    return
            filled.set()
            while not over():
                stop.wait(_WAIT_S)
        finally:
            finished.set()
            alive.join()


def _keep_alive(belt: Belt, finished: threading.Event) -> None:
    while not finished.wait(_WAIT_S):
        belt.beat()
