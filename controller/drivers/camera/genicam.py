"""The port `Camera` on a GenTL camera: the device lives in its own process, frames come through shared memory."""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from controller.drivers.camera import genicam_messages as say
from controller.drivers.camera.counting import RisingCounter
from controller.drivers.camera.genicam_process import run_genicam
from controller.drivers.camera.joined_frames import JoinedFrames
from controller.errors import ConfigError, DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from controller.frame_pool import FramePool
from controller.supervisor import SupervisedChild
from models.frame import Frame
from statemachines.frame_join_words import JoinRules
from statemachines.vocabulary import Health, Ns, PartKey

SILENCE_S = 1.0
"""A process that does not go round its loop for so long hangs in the producer: it is killed, a new one started."""

_STARTING_S = 20.0
"""To start a process and load a producer takes a second, and several on a busy machine."""


class _Copy:
    """How the copy of one frame to its slot stands. over: it has ended; whole: all of the frame is there."""

    __slots__ = ("over", "slot", "whole")

    def __init__(self, slot: int = -1) -> None:
        self.slot, self.over, self.whole = slot, asyncio.Event(), False


@dataclass(frozen=True, slots=True)
class _Coming(Frame):
    """A frame whose pixels may still be on their way."""

    copy: _Copy = field(default_factory=_Copy)


class GenicamCamera:
    """One camera. All methods on one event loop.

    With software trigger a capture exposes and gets the frame of its own trigger. With hardware trigger or a camera
    that runs freely it gets the frame that was exposed around its part's time.
    """

    def __init__(self, settings: say.GenicamSettings) -> None:
        # Shared memory has short names on some systems, and two cameras may begin with the same letters.
        pool_name = f"cam-{zlib.crc32(settings.name.encode()):08x}-{os.getpid()}"
        self._settings = replace(settings, pool_name=pool_name)
        self._name = settings.name
        self._pool: FramePool | None = None
        self._child: SupervisedChild[say.GenicamSettings] | None = None
        self._up: asyncio.Event = asyncio.Event()
        self._opening = False
        self._refused: ConfigError | None = None
        self._why = "not open"
        self._serial = settings.name
        self._token = 0
        self._waiting: dict[int, asyncio.Future[_Coming]] = {}
        self._copy = _Copy()
        self._counter = RisingCounter()
        # Frames that wait for their part keep their place in the pool: most of it is for those in work.
        rules = JoinRules(window_ns=settings.window_ns, kept=max(4, min(16, settings.pool // 3)))
        watched = settings.acquisition == "hardware"
        self._joined = JoinedFrames[_Coming](settings.name, rules, self._begin_anew, watched=watched)
        self._tell: Callable[[str], None] = lambda _why: None

    def watch(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called, on the loop, with why the camera is gone; with "" once it is back."""
        self._tell = tell

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
        self._opening = True
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
            direct=True,
        )
        self._child.start()
        try:
            async with asyncio.timeout(max(deadline - time.monotonic_ns(), 0) / 1e9):
                await self._up.wait()
        except TimeoutError as error:
            why = self._why
            await self.close()
            raise DeviceUnavailable(self._name, why) from error
        self._opening = False
        if self._refused is not None:
            refused = self._refused
            await self.close()
            raise refused

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        """A frame exposed now, or the one that the line had exposed for this part. Raises DeviceError."""
        child, commanded = self._child, self._settings.acquisition == "software"
        if child is None or not self._up.is_set():
            if not commanded:
                self._joined.pass_by(part, expose_at)
            raise DeviceUnavailable(self._name, self._why)
        if commanded:
            frame = await self._triggered(child, until, deadline)
        else:
            frame = await self._joined.wait(part, expose_at, until, deadline)
        if not frame.copy.whole:
            try:
                await self._until_whole(frame.copy, deadline)
            except DeviceError:
                # Whoever keeps the error keeps what its traceback refers to, and the slot with it.
                del frame
                raise
        return Frame(view, frame.pixels, frame.exposed_at, frame.counter, frame.camera, frame.exposure_ns)

    async def close(self) -> None:
        """End the process. Never raises."""
        child, self._child = self._child, None
        self._up.clear()
        self._why = "not open"
        self._fail_all("was closed")
        self._joined.close()
        if child is not None:
            await child.stop()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    async def _triggered(self, child: SupervisedChild[say.GenicamSettings], until: Ns, deadline: Ns) -> _Coming:
        now = time.monotonic_ns()
        if now > until:
            raise DeviceTimeout(self._name, "was asked to expose after the part had left")
        self._token += 1
        token = self._token
        future: asyncio.Future[_Coming] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        try:
            if not child.offer(say.Expose(token)):
                raise DeviceUnavailable(self._name, "its process takes no command")
            async with asyncio.timeout(max(deadline - now, 0) / 1e9):
                return await future
        except TimeoutError as error:
            raise DeviceTimeout(self._name, "gave no frame before the deadline") from error
        finally:
            # A frame that comes after this belongs to nobody: it is given back as soon as it arrives.
            self._waiting.pop(token, None)

    async def _until_whole(self, copy: _Copy, deadline: Ns) -> None:
        """The frame was told of when it came, so that its part is found while it is copied. Raises DeviceError."""
        try:
            async with asyncio.timeout(max(deadline - time.monotonic_ns(), 0) / 1e9):
                await copy.over.wait()
        except TimeoutError as error:
            raise DeviceTimeout(self._name, "its frame was not copied before the deadline") from error
        if not copy.whole:
            raise DeviceUnavailable(self._name, self._why)

    # --- what the process says --------------------------------------------------------------------------------

    def _heard(self, message: Any) -> None:
        match message:
            case say.FrameTaken():
                self._take(message)
            case say.FrameWhole(slot):
                if slot == self._copy.slot:
                    self._end_copy(whole=True)
            case say.FrameSpoilt(token, why):
                future = self._waiting.get(token)
                if future is not None and not future.done():
                    future.set_exception(DeviceRefused(self._name, why))
                elif not token:
                    self._joined.spoilt(why)
            case say.CameraUp(serial, _):
                self._serial = serial
                self._counter.restart()
                self._joined.restart()
                self._up.set()
                self._tell("")
            case say.CameraLost(why):
                self._lost(why)
            case say.FeatureRefused(feature, value, cure):
                self._refuse(ConfigError(f"camera {self._name}", feature, value, cure))
            case _:
                # CameraAlive: its arrival is what it says; the supervisor took note.
                pass

    def _health(self, _source: str, health: Health, why: str) -> None:
        if health is not Health.NORMAL:
            self._lost(f"its process ended: {why}")

    def _begin_anew(self, why: str) -> None:
        if self._child is not None:
            self._child.offer(say.BeginAnew(why))

    def _refuse(self, refused: ConfigError) -> None:
        if self._opening:
            self._refused = refused
            self._up.set()
        else:
            # Another device came back under the name, or this one was set otherwise: its process tries again.
            self._lost(str(refused))

    def _lost(self, why: str) -> None:
        if self._refused is not None:
            return
        self._why = why
        self._up.clear()
        self._fail_all(why)
        self._tell(why)

    def _fail_all(self, why: str) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(DeviceUnavailable(self._name, why))
        self._joined.fail(lambda: DeviceUnavailable(self._name, why))
        self._end_copy(whole=False)

    def _end_copy(self, *, whole: bool) -> None:
        # The camera's process copies one frame after the other: it is the last one's, and now nobody's is under way.
        self._copy.whole |= whole
        self._copy.over.set()
        self._copy = _Copy()

    def _take(self, taken: say.FrameTaken) -> None:
        """A frame has its slot. It is lent at once: whoever lets go of it, on whatever way, frees it."""
        pixels = None if self._pool is None else self._pool.lend(taken.slot, taken.shape, taken.exposed_at)
        if pixels is None:
            return
        counter, exposure_ns = self._counter.of(taken.counter), taken.exposure_ns or None
        self._copy = _Copy(taken.slot)
        frame = _Coming("", pixels, taken.exposed_at, counter, self._serial, exposure_ns, self._copy)
        future = self._waiting.get(taken.token)
        if future is not None and not future.done():
            future.set_result(frame)
        elif not taken.token and self._settings.acquisition != "software":
            self._joined.take(frame, clocked=taken.clocked)
