"""A camera's own process: opens the device again and again, copies each frame once, into the frame pool."""

from __future__ import annotations

import queue
import time
from math import ceil
from multiprocessing.connection import Connection

import numpy as np

from controller.channel import Channel
from controller.drivers.camera import genicam_messages as say
from controller.drivers.camera.device import Device, DeviceGone, Opener, RawFrame, Refused
from controller.drivers.camera.device_clock import ClockReset, DeviceClock
from controller.drivers.camera.pixels import UnknownFormat, to_pixels
from controller.frame_pool import FramePool

_ALIVE_S = 0.2
_CHECK_S = 0.25
_REOPEN_S = 0.1
_CLOCK_ERROR_NS = 2_000_000
"""How far the device's clock may be off when frames are told apart by it."""
_STRANGE_NS = 10_000_000_000
"""A frame that is so old, or from the future, carries another clock than the one that the device tells."""
_LONGEST_WHY = 2000
"""Characters of a producer's complaint that travel."""
_TRIGGERED_S = 2.0
"""How long a software-triggered frame is waited for before the trigger counts as lost."""
_LOOK_S, _SHORT_LOOK_S = 0.02, 0.001
"""How long one look for a frame lasts; the short one is for frames of which only the arrival tells their time."""


Asked = say.Expose | say.BeginAnew | None
"""What the deciding process wants; None: it is gone."""


def run_genicam(settings: say.GenicamSettings, connection: Connection) -> None:
    """Be the camera until the deciding process is gone or ends the talk. Entry point of a spawned process."""
    asked: queue.SimpleQueue[Asked] = queue.SimpleQueue()
    channel = Channel(connection, say.PROTOCOL, say.PROTOCOL.to_child, asked.put, lambda _why: asked.put(None))
    channel.start()
    pool = FramePool.attach(settings.pool_name, settings.pool, settings.largest)
    pool.reclaim()
    try:
        keep_open(CameraDuty(settings, channel, asked, pool), settings, channel)
    finally:
        pool.close()


def keep_open(duty: CameraDuty, settings: say.GenicamSettings, channel: Channel) -> None:
    """Open the device again and again until the talk ends; each loss and each refusal is told once."""
    told, open_device = "", _opener(settings)
    while not channel.closed:
        try:
            duty.run(open_device(settings))
        except (DeviceGone, Refused) as error:
            why = str(error)[:_LONGEST_WHY]
            if why != told or duty.came_up:
                told, duty.came_up = why, False
                channel.offer(_word_of(error, why))
            channel.offer(say.CameraAlive(), key="alive")
            time.sleep(_REOPEN_S)


def _word_of(error: DeviceGone | Refused, why: str) -> say.CameraLost | say.FeatureRefused:
    if isinstance(error, Refused):
        return say.FeatureRefused(error.feature, str(error.value), error.cure[:_LONGEST_WHY])
    return say.CameraLost(why)


def _opener(settings: say.GenicamSettings) -> Opener:
    """Imported here, in a process of the camera's own: two SDKs with a GenApi each end a process that has both."""
    if settings.sdk == "pylon":
        from controller.drivers.camera.pylon import PylonDevice

        return PylonDevice
    from controller.drivers.camera.genicam_device import GenTLCamera

    return GenTLCamera


class CameraDuty:
    """What is done with one open device."""

    def __init__(
        self,
        settings: say.GenicamSettings,
        channel: Channel,
        asked: queue.SimpleQueue[Asked],
        pool: FramePool,
    ) -> None:
        self._settings, self._channel, self._asked, self._pool = settings, channel, asked, pool
        self._clock: DeviceClock | None = None
        self._exposure_ns = 0
        self._counter = -1
        self._owed = self._empty_at = 0
        self._clocked = False
        self._next_alive = self._next_check = 0.0
        self._incomplete = 0
        self.came_up = False
        """Whether the device that `run` had last was ready for the line."""

    def run(self, camera: Device) -> None:
        """Deliver frames until the talk ends. Raises DeviceGone or Refused."""
        try:
            self._make_room(camera)
            self._exposure_ns = camera.exposure_ns()
            self._clock = DeviceClock() if camera.latch() is not None else None
            self._look(camera)
            self._incomplete, self._counter, self._owed = camera.incomplete, -1, 0
            self._clocked, self._empty_at = self._clock is not None, time.monotonic_ns()
            while not self._asked.empty():
                self._asked.get()
            self._channel.offer(say.CameraUp(camera.serial, camera.model))
            self.came_up = True
            step = self._on_command if self._settings.acquisition == "software" else self._on_arrival
            while not self._channel.closed:
                self._routine(camera)
                step(camera)
        finally:
            camera.close()

    def _make_room(self, camera: Device) -> None:
        """All the memory that the device's frames will ever need. Raises Refused where it cannot be had."""
        size, pool = camera.frame_bytes(), self._pool
        if size > pool.largest:
            cure = f"a frame of this device has {size} bytes: give at least {ceil(size / 1e6)}"
            raise Refused("largest_mb", f"{pool.largest / 1e6:g}", cure)
        try:
            pool.settle(size)
        except OSError as error:
            why = f"no shared memory for so many frames of {size} bytes ({error.strerror})"
            raise Refused("pool_frames", pool.slots, f"{why}: give fewer, or make /dev/shm larger") from error

    def _routine(self, camera: Device) -> None:
        now = time.monotonic()
        if now >= self._next_alive:
            self._next_alive = now + _ALIVE_S
            self._channel.offer(say.CameraAlive(), key="alive")
        if now >= self._next_check:
            self._next_check = now + _CHECK_S
            camera.check()
            self._look(camera)
            # A device that sets its exposure by itself changes it.
            self._exposure_ns = camera.exposure_ns()

    def _look(self, camera: Device) -> None:
        """Compare clocks. Raises DeviceGone also where the device was off meanwhile: its features are not ours then."""
        if self._clock is None or (latched := camera.latch()) is None:
            return
        try:
            self._clock.latched(*latched)
        except ClockReset as reset:
            raise DeviceGone(f"was restarted: {reset}") from reset

    def _on_command(self, camera: Device) -> None:
        """Trigger, and fetch the frame that this trigger made."""
        try:
            asked = self._asked.get(timeout=0.05)
        except queue.Empty:
            return
        if not isinstance(asked, say.Expose):
            return
        token = asked.token
        camera.drain()
        self._incomplete = camera.incomplete
        asked_at = camera.trigger()
        until, owed, older = time.monotonic() + _TRIGGERED_S, self._owed, 0
        while time.monotonic() < until and not self._channel.closed:
            frame = camera.fetch(0.05)
            if frame is not None and (self._again(frame) or self._stale(frame, asked_at) or self._may_be_owed(frame)):
                older += 1
                camera.give_back(frame)
            elif frame is not None:
                self._deliver(camera, frame, token, asked_at)
                return
            if camera.incomplete != self._incomplete:
                self._incomplete = camera.incomplete
                self._channel.offer(say.FrameSpoilt(token, "the frame came incomplete"))
                return
            if self._clock is not None and not self._asked.empty():
                # The next part is here, and the clock tells its frame from one that comes after all.
                break
            self._routine(camera)
        if self._owed or not owed:
            self._owed += 1
        why = "no frame came for the trigger"
        self._channel.offer(say.FrameSpoilt(token, f"{why}, but {older} of earlier ones" if older else why))

    def _may_be_owed(self, frame: RawFrame) -> bool:
        """Whether it may be of a trigger before, waited for in vain: neither clock nor number says that it is not."""
        owed, self._owed = self._owed, 0
        if not owed or self._device_time(frame) is not None:
            return False
        last, self._counter = self._counter, self._number(frame)
        return last < 0 or self._counter - last <= owed

    def _again(self, frame: RawFrame) -> bool:
        return frame.frame_id is not None and frame.frame_id == self._counter

    def _stale(self, frame: RawFrame, asked_at: int) -> bool:
        """Exposed for an earlier trigger, as far as the device's clock can tell."""
        exposed_at = self._device_time(frame)
        return exposed_at is not None and exposed_at < asked_at - _CLOCK_ERROR_NS

    def _on_arrival(self, camera: Device) -> None:
        """Deliver what comes by itself."""
        if not self._asked.empty() and isinstance(asked := self._asked.get(), say.BeginAnew):
            raise DeviceGone(f"begins anew: {asked.why}")
        if not self._clocked and camera.is_empty():
            self._empty_at = time.monotonic_ns()
        frame = camera.fetch(_LOOK_S if self._clocked else _SHORT_LOOK_S)
        if frame is not None:
            self._deliver(camera, frame, 0, None)
            return
        self._empty_at = time.monotonic_ns()
        if camera.incomplete != self._incomplete:
            self._incomplete = camera.incomplete
            self._channel.offer(say.FrameSpoilt(0, "a frame came incomplete"))

    def _deliver(self, camera: Device, frame: RawFrame, token: int, asked_at: int | None) -> None:
        try:
            self._offer(frame, token, asked_at)
        except (UnknownFormat, _Unusable) as error:
            self._channel.offer(say.FrameSpoilt(token, str(error)))
        camera.give_back(frame)

    def _offer(self, frame: RawFrame, token: int, asked_at: int | None) -> None:
        """Raises UnknownFormat or _Unusable."""
        arrived, counter = time.monotonic_ns(), self._number(frame)
        self._counter = counter
        exposed_at = self._device_time(frame)
        self._clocked = clocked = exposed_at is not None
        if exposed_at is None:
            exposed_at = self._time_without_clock(arrived) if asked_at is None else asked_at
        elif abs(exposed_at - arrived) > _STRANGE_NS:
            off_s = (exposed_at - arrived) / 1e9
            raise _Unusable(f"a frame's time is {off_s:+.0f} s off what TimestampLatch tells: they are two clocks")
        size = frame.width, frame.height
        pixels = np.ascontiguousarray(to_pixels(frame.bytes_, frame.pixel_format, *size, frame.padding))
        slot = self._pool.reserve(pixels.nbytes, exposed_at)
        if slot is None:
            raise _Unusable(f"no room for a frame of {pixels.nbytes} bytes: {self._pool.slots} frames are held already")
        taken = say.FrameTaken(slot, pixels.shape, token, counter, exposed_at, clocked, self._exposure_ns)
        # From this thread: its next look for a frame may keep the interpreter from the channel's own for milliseconds.
        if not self._channel.send(taken):
            self._pool.put_back(slot)
            return
        # The deciding process finds the frame's part meanwhile.
        self._pool.fill(slot, pixels)
        self._channel.send(say.FrameWhole(slot))

    def _number(self, frame: RawFrame) -> int:
        return self._counter + 1 if frame.frame_id is None else frame.frame_id

    def _device_time(self, frame: RawFrame) -> int | None:
        """Start of exposure by the device's clock, monotonic ns; None where the frame or the device does not tell."""
        if frame.clock_ns is None or self._clock is None:
            return None
        return self._clock.ours(frame.clock_ns)

    def _time_without_clock(self, arrived: int) -> int:
        """Start of exposure by the arrival. Raises _Unusable where a process that was kept waiting cannot tell that."""
        if (unseen := arrived - self._empty_at) > self._settings.window_ns:
            raise _Unusable(f"nobody knows when a frame came: the computer was busy for {unseen / 1e6:.0f} ms")
        return arrived - self._exposure_ns


class _Unusable(Exception):
    """A frame that nobody can use, and why."""
