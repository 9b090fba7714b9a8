"""A GenTL camera's own process: opens the device again and again, copies each frame once, into the frame pool."""

from __future__ import annotations

import queue
import time
from multiprocessing.connection import Connection

import numpy as np

from controller.channel import Channel
from controller.drivers.camera import genicam_messages as say
from controller.drivers.camera.device_clock import ClockReset, DeviceClock
from controller.drivers.camera.genicam_device import DeviceGone, GenTLCamera, RawFrame, Refused
from controller.drivers.camera.pixels import UnknownFormat, to_pixels
from controller.frame_pool import FramePool

_ALIVE_S = 0.2
_CHECK_S = 0.25
_REOPEN_S = 0.1
_CLOCK_ERROR_NS = 2_000_000
"""How far the device's clock may be off when frames are told apart by it."""
_TRIGGERED_S = 2.0
"""How long a software-triggered frame is waited for before the trigger counts as lost."""


def run_genicam(settings: say.GenicamSettings, connection: Connection) -> None:
    """Be the camera until the deciding process is gone or ends the talk. Entry point of a spawned process."""
    asked: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    channel = Channel(
        connection,
        say.PROTOCOL,
        say.PROTOCOL.to_child,
        lambda message: asked.put(message.token),
        lambda _why: asked.put(None),
    )
    channel.start()
    pool = FramePool.attach(settings.pool_name, settings.pool, settings.largest)
    pool.reclaim()
    try:
        _keep_open(_Duty(settings, channel, asked, pool), settings, channel)
    finally:
        pool.close()


def _keep_open(duty: _Duty, settings: say.GenicamSettings, channel: Channel) -> None:
    told = ""
    while not channel.closed:
        try:
            duty.run(GenTLCamera(settings))
        except DeviceGone as gone:
            if str(gone) != told:
                told = str(gone)
                channel.offer(say.CameraLost(told))
            channel.offer(say.CameraAlive(), key="alive")
            time.sleep(_REOPEN_S)
        except Refused as refused:
            channel.offer(say.FeatureRefused(refused.feature, str(refused.value), refused.cure))
            channel.finish("refused", 2.0)
        else:
            told = ""


class _Duty:
    """What is done with one open device."""

    def __init__(
        self,
        settings: say.GenicamSettings,
        channel: Channel,
        asked: queue.SimpleQueue[int | None],
        pool: FramePool,
    ) -> None:
        self._settings, self._channel, self._asked, self._pool = settings, channel, asked, pool
        self._clock: DeviceClock | None = None
        self._exposure_ns = 0
        self._counter = -1
        self._next_alive = self._next_check = 0.0
        self._incomplete = 0

    def run(self, camera: GenTLCamera) -> None:
        """Deliver frames until the talk ends. Raises DeviceGone."""
        try:
            self._exposure_ns = camera.exposure_ns()
            self._clock = DeviceClock() if camera.latch() is not None else None
            self._look(camera)
            self._incomplete, self._counter = camera.incomplete, -1
            while not self._asked.empty():
                self._asked.get()
            self._channel.offer(say.CameraUp(camera.serial, camera.model, self._clock is not None))
            step = self._on_command if self._settings.acquisition == "software" else self._on_arrival
            while not self._channel.closed:
                self._routine(camera)
                step(camera)
        finally:
            camera.close()

    def _routine(self, camera: GenTLCamera) -> None:
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

    def _look(self, camera: GenTLCamera) -> None:
        """Compare clocks. Raises DeviceGone also where the device was off meanwhile: its features are not ours then."""
        if self._clock is None or (latched := camera.latch()) is None:
            return
        try:
            self._clock.latched(*latched)
        except ClockReset as reset:
            raise DeviceGone(f"was restarted: {reset}") from reset

    def _on_command(self, camera: GenTLCamera) -> None:
        """Trigger, and fetch the frame that this trigger made."""
        try:
            token = self._asked.get(timeout=0.05)
        except queue.Empty:
            return
        if token is None:
            return
        camera.drain()
        self._incomplete = camera.incomplete
        asked_at = time.monotonic_ns()
        camera.trigger()
        until = time.monotonic() + _TRIGGERED_S
        while time.monotonic() < until and not self._channel.closed:
            frame = camera.fetch(0.05)
            if frame is not None and (self._again(frame) or self._stale(frame, asked_at)):
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
        self._channel.offer(say.FrameSpoilt(token, "no frame came for the trigger"))

    def _again(self, frame: RawFrame) -> bool:
        return frame.frame_id is not None and frame.frame_id == self._counter

    def _stale(self, frame: RawFrame, asked_at: int) -> bool:
        """Exposed for an earlier trigger, as far as the device's clock can tell."""
        if frame.clock_ns is None or self._clock is None:
            return False
        return self._clock.ours(frame.clock_ns) < asked_at - _CLOCK_ERROR_NS

    def _on_arrival(self, camera: GenTLCamera) -> None:
        """Deliver what comes by itself."""
        frame = camera.fetch(0.02)
        if frame is not None:
            self._deliver(camera, frame, 0, None)
        elif camera.incomplete != self._incomplete:
            self._incomplete = camera.incomplete
            self._channel.offer(say.FrameSpoilt(0, "a frame came incomplete"))

    def _deliver(self, camera: GenTLCamera, frame: RawFrame, token: int, asked_at: int | None) -> None:
        arrived = time.monotonic_ns()
        self._counter = self._counter + 1 if frame.frame_id is None else frame.frame_id
        exposed_at = self._exposed_at(frame, arrived, asked_at)
        try:
            pixels = np.ascontiguousarray(to_pixels(frame.bytes_, frame.pixel_format, frame.width, frame.height))
            slot = self._pool.put(pixels, exposed_at)
        except UnknownFormat as error:
            slot, why = None, str(error)
        else:
            why = f"no room for a frame of {pixels.nbytes} bytes: {self._pool.slots} frames are held already"
            if slot is not None:
                taken = say.FrameTaken(slot, pixels.shape, token, self._counter, exposed_at, self._exposure_ns)
                if not self._channel.offer(taken):
                    self._pool.put_back(slot)
        if slot is None:
            self._channel.offer(say.FrameSpoilt(token, why))
        camera.give_back(frame)

    def _exposed_at(self, frame: RawFrame, arrived: int, asked_at: int | None) -> int:
        """Start of exposure, monotonic ns: by the device's clock where it can be compared, else as near as is known."""
        if frame.clock_ns is not None and self._clock is not None:
            return self._clock.ours(frame.clock_ns)
        return arrived - self._exposure_ns if asked_at is None else asked_at
