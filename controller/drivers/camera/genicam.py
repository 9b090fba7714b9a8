"""The port `Camera` on a GenTL camera: the device lives in its own process, frames come through shared memory."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import Any

from controller.drivers.camera import genicam_messages as say
from controller.drivers.camera.genicam_process import run_genicam
from controller.errors import ConfigError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from controller.frame_pool import FramePool
from controller.supervisor import SupervisedChild
from models.frame import Frame
from statemachines.vocabulary import Health, Ns, PartKey

SILENCE_S = 1.0
"""A process that does not go round its loop for so long hangs in the producer: it is killed, a new one started."""

_STARTING_S = 20.0
"""To start a process and load a producer takes a second, and several on a busy machine."""

_KEPT = 16
"""Frames that came unasked and wait for their part; older ones are surplus."""


class GenicamCamera:
    """One camera. All methods on one event loop.

    With software trigger a capture exposes and gets the frame of its own trigger. With hardware trigger or a camera
    that runs freely it takes the oldest frame that was exposed at `since` or later, and not after `until`.
    """

    def __init__(self, settings: say.GenicamSettings) -> None:
        pool_name = f"cam-{settings.name[:8]}-{os.getpid()}"
        self._settings = replace(settings, pool_name=pool_name)
        self._name = settings.name
        self._pool: FramePool | None = None
        self._child: SupervisedChild[say.GenicamSettings] | None = None
        self._up: asyncio.Event = asyncio.Event()
        self._refused: ConfigError | None = None
        self._why = "not open"
        self._serial = settings.name
        self._token = 0
        self._waiting: dict[int, asyncio.Future[say.FrameTaken]] = {}
        self._unasked: list[say.FrameTaken] = []
        self._arrived: asyncio.Event = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Process id of the camera's process, for tests that stop or kill it."""
        return None if self._child is None else self._child.pid

    @property
    def held(self) -> int:
        """Frames whose pixels somebody holds."""
        return 0 if self._pool is None else self._pool.lent

    async def open(self, deadline: Ns) -> None:
        """Start the process and wait until the camera is armed. Raises ConfigError or DeviceUnavailable."""
        await self.close()
        settings = self._settings
        self._pool = FramePool.create(settings.pool_name, settings.pool, settings.largest)
        self._up, self._refused, self._why = asyncio.Event(), None, "did not come up in time"
        self._child = SupervisedChild(
            f"camera {self._name}",
            run_genicam,
            settings,
            self._heard,
            self._health,
            protocol=say.PROTOCOL,
            silence_s=SILENCE_S,
            starting_s=_STARTING_S,
            pace_s=None,
            niceness=0,
        )
        self._child.start()
        try:
            async with asyncio.timeout(max(deadline - time.monotonic_ns(), 0) / 1e9):
                await self._up.wait()
        except TimeoutError as error:
            why = self._why
            await self.close()
            raise DeviceUnavailable(self._name, why) from error
        if self._refused is not None:
            refused = self._refused
            await self.close()
            raise refused

    async def capture(self, part: PartKey, view: str, until: Ns, deadline: Ns) -> Frame:
        """A frame exposed now, or for this part. Raises DeviceError."""
        pool, child = self._pool, self._child
        if pool is None or child is None or not self._up.is_set():
            raise DeviceUnavailable(self._name, self._why)
        now = time.monotonic_ns()
        if now > until:
            raise DeviceTimeout(self._name, "was asked to expose after the part had left")
        try:
            async with asyncio.timeout(max(deadline - now, 0) / 1e9):
                if self._settings.acquisition == "software":
                    taken = await self._triggered(child)
                else:
                    taken = await self._arriving(now)
        except TimeoutError as error:
            raise DeviceTimeout(self._name, "gave no frame before the deadline") from error
        return Frame(view, pool.lend(taken.slot, taken.shape), taken.exposed_at, taken.counter, self._serial)

    async def close(self) -> None:
        """End the process. Never raises."""
        child, self._child = self._child, None
        self._up.clear()
        self._why = "not open"
        self._fail_all("was closed")
        if child is not None:
            await child.stop()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    async def _triggered(self, child: SupervisedChild[say.GenicamSettings]) -> say.FrameTaken:
        self._token += 1
        token = self._token
        future: asyncio.Future[say.FrameTaken] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        try:
            if not child.offer(say.Expose(token)):
                raise DeviceUnavailable(self._name, "its process takes no command")
            return await future
        finally:
            # A frame that comes after this belongs to nobody: it is given back as soon as it arrives.
            self._waiting.pop(token, None)

    async def _arriving(self, since: int) -> say.FrameTaken:
        while True:
            while self._unasked:
                taken = self._unasked.pop(0)
                if taken.exposed_at >= since:
                    return taken
                self._discard(taken)
            self._arrived.clear()
            await self._arrived.wait()
            if not self._up.is_set():
                raise DeviceUnavailable(self._name, self._why)

    # --- what the process says --------------------------------------------------------------------------------

    def _heard(self, message: Any) -> None:
        match message:
            case say.FrameTaken():
                self._take(message)
            case say.FrameSpoilt(token, why):
                future = self._waiting.get(token)
                if future is not None and not future.done():
                    future.set_exception(DeviceRefused(self._name, why))
            case say.CameraUp(serial):
                self._serial = serial
                if self._pool is not None and not self._unasked:
                    self._pool.reclaim()
                self._up.set()
            case say.CameraLost(why):
                self._lost(why)
            case say.FeatureRefused(feature, value, cure):
                self._refused = ConfigError(f"camera {self._name}", feature, value, cure)
                self._up.set()
            case _:
                # CameraAlive: its arrival is what it says; the supervisor took note.
                pass

    def _health(self, _source: str, health: Health, why: str) -> None:
        if health is not Health.NORMAL:
            self._lost(f"its process ended: {why}")

    def _lost(self, why: str) -> None:
        if self._refused is not None:
            return
        self._why = why
        self._up.clear()
        self._fail_all(why)

    def _fail_all(self, why: str) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(DeviceUnavailable(self._name, why))
        for taken in self._unasked:
            self._discard(taken)
        self._unasked.clear()
        self._arrived.set()

    def _take(self, taken: say.FrameTaken) -> None:
        future = self._waiting.get(taken.token)
        if future is not None and not future.done():
            future.set_result(taken)
        elif taken.token or self._settings.acquisition == "software":
            self._discard(taken)
        else:
            self._unasked.append(taken)
            if len(self._unasked) > _KEPT:
                self._discard(self._unasked.pop(0))
            self._arrived.set()

    def _discard(self, taken: say.FrameTaken) -> None:
        """Free the slot of a frame that nobody will look at."""
        if self._pool is not None:
            self._pool.lend(taken.slot, taken.shape)
