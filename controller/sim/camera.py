"""The simulated camera: exposes on command whatever lies on the simulated belt at that instant."""

from __future__ import annotations

import asyncio
import time

import numpy as np
from numpy.typing import NDArray

from controller.errors import DeviceTimeout, DeviceUnavailable
from controller.sim.belt import Belt, ExposureFault
from models.frame import Frame
from statemachines.vocabulary import MS, Ns, PartKey

_RETRY_S = 0.02
_TURNS_NS = 300_000


class SimCamera:
    """A software-triggered camera above a belt of this name.

    exposure_us: how long it looks. latency_ms: from the end of the exposure until the frame is there. A frame shows the
    part in view at the start of the exposure, or the empty belt. Belongs to one event loop, which one exposure holds
    for the time of one copy.
    """

    def __init__(
        self, belt_name: str, exposure_us: float = 200, latency_ms: float = 0, name: str = "sim-camera"
    ) -> None:
        self._belt_name = belt_name
        self._name = name
        self._exposure_ns = round(exposure_us * 1000)
        self._wait_ns = round(exposure_us * 1000 + latency_ms * MS)
        self._is_open = False
        self._belt: Belt | None = None
        self._last: Frame | None = None

    async def open(self, deadline: Ns) -> None:
        """Wait for the belt to exist. Raises DeviceUnavailable when it does not before the deadline."""
        self._detach()
        while not self._attach():
            if time.monotonic_ns() >= deadline:
                raise DeviceUnavailable(self._name, f"there is no belt {self._belt_name}")
            await asyncio.sleep(_RETRY_S)
        self._is_open = True

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        """Expose now, not later than `until`.

        Raises DeviceTimeout for a belt or a camera that gives nothing, DeviceUnavailable where `open` did not succeed.
        """
        if not self._is_open:
            raise DeviceUnavailable(self._name, "is not open")
        exposed_at = time.monotonic_ns()
        if exposed_at > until:
            raise DeviceTimeout(self._name, "was asked to expose after the part had left view")
        belt = self._live_belt(exposed_at)
        fault = belt.take_fault()
        if fault.kind is ExposureFault.SILENT:
            await _sleep_until(deadline)
            raise DeviceTimeout(self._name, "gave no frame before the deadline")
        if fault.kind is ExposureFault.SAME_FRAME and self._last is not None:
            frame = Frame(
                view, self._last.pixels, self._last.exposed_at, self._last.counter, self._name, self._exposure_ns
            )
        else:
            pixels = self._pixels(belt, exposed_at, fault.kind)
            frame = Frame(view, pixels, exposed_at, belt.next_counter(), self._name, self._exposure_ns)
        self._last = frame
        ready_at = exposed_at + self._wait_ns + (fault.delay_ms * MS if fault.kind is ExposureFault.SLOW else 0)
        await _sleep_until(min(ready_at, deadline))
        if ready_at > deadline or time.monotonic_ns() > deadline:
            raise DeviceTimeout(self._name, "gave its frame after the deadline")
        return frame

    async def close(self) -> None:
        """Let go of the belt."""
        self._is_open = False
        self._detach()

    def _pixels(self, belt: Belt, at: int, fault: ExposureFault) -> NDArray[np.uint8]:
        if fault is ExposureFault.BLACK:
            return np.zeros((belt.height, belt.width), np.uint8)
        seen = belt.in_view(at)
        pixels = belt.empty() if seen is None else seen.pixels
        # As a camera does that lost its settings and bins two by two: the same part, at half the scale.
        return np.ascontiguousarray(pixels[::2, ::2]) if fault is ExposureFault.HALF_SIZE else pixels

    def _live_belt(self, now: int) -> Belt:
        """The belt; a new one where the old one was closed meanwhile."""
        if self._belt is None or self._belt.silent(now):
            self._detach()
            if not self._attach():
                raise DeviceTimeout(self._name, f"the belt {self._belt_name} is gone or silent")
        assert self._belt is not None
        return self._belt

    def _attach(self) -> bool:
        try:
            belt = Belt.attach(self._belt_name)
        except (FileNotFoundError, ValueError):
            return False
        if belt.silent(time.monotonic_ns()):
            belt.close()
            return False
        self._belt = belt
        return True

    def _detach(self) -> None:
        if self._belt is not None:
            self._belt.close()
            self._belt = None


async def _sleep_until(at: int) -> None:
    """Sleep until a monotonic time. A timer is late by a millisecond: a shorter rest goes by in turns of the loop."""
    left = at - time.monotonic_ns()
    if left > _TURNS_NS:
        await asyncio.sleep(left / 1_000_000_000)
    while time.monotonic_ns() < at:  # noqa: ASYNC110
        await asyncio.sleep(0)
