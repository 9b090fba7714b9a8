"""A camera through OpenCV: USB cameras (UVC), network cameras (RTSP, HTTP), video files. No trigger, no device time.

Good enough to try a station, not for a line that is fast: nobody knows when such a camera exposes. A frame counts as
exposed `latency` before it arrived, so the latency must be stated as long as it can be.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.errors import DeviceTimeout, DeviceUnavailable
from models.frame import Frame
from statemachines.vocabulary import Ns, PartKey

Pixels = NDArray[np.uint8]

NETWORK_MS = 1000
"""How long FFmpeg may wait for a network camera; its own limit is 30 s."""

_REOPEN_S = 0.2
_END_S = 0.5
"""How long `close` waits for a call into OpenCV to come back."""


@dataclass(frozen=True, slots=True)
class OpenCvSettings:
    """source: number of a USB camera, address of a stream, or path of a video file.

    live: the camera has a clock of its own, frames come whether somebody asks or not. Else (a file) every capture takes
    the next frame, from the beginning again after the last. latency_ns: from the start of a live camera's exposure
    until its frame is here, at most.
    """

    name: str
    source: str | int
    live: bool = True
    latency_ns: int = 100_000_000
    size: tuple[int, int] | None = None
    colour: Literal["grey", "rgb"] = "grey"


@dataclass(frozen=True, slots=True)
class _Arrived:
    pixels: Pixels
    at: int
    counter: int


class OpenCvCamera:
    """The port `Camera`. All methods on one event loop; OpenCV is called by one thread of its own.

    A call into OpenCV that hangs keeps that thread and nobody else: captures time out meanwhile.
    """

    def __init__(self, settings: OpenCvSettings) -> None:
        self._settings = settings
        self._name = settings.name
        self._reader: _Reader | None = None
        self._offset = 0

    async def open(self, deadline: Ns) -> None:
        """Start to read, and wait for the first frame. Raises DeviceUnavailable."""
        await self.close()
        reader = _Reader(self._settings, asyncio.get_running_loop(), self._offset)
        self._reader = reader
        reader.start()
        try:
            async with asyncio.timeout(max(deadline - time.monotonic_ns(), 0) / 1e9):
                await reader.up.wait()
        except TimeoutError as error:
            why = reader.why
            await self.close()
            raise DeviceUnavailable(self._name, why) from error

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        """The next frame that was exposed from now on. Raises DeviceError."""
        reader, asked_at = self._reader, time.monotonic_ns()
        if reader is None:
            raise DeviceUnavailable(self._name, "not open")
        if asked_at > until:
            raise DeviceTimeout(self._name, "was asked to expose after the part had left")
        latency = self._settings.latency_ns if self._settings.live else 0
        try:
            async with asyncio.timeout(max(deadline - asked_at, 0) / 1e9):
                arrived = await reader.arrived_after(asked_at + latency)
        except TimeoutError as error:
            if reader.why:
                raise DeviceUnavailable(self._name, reader.why) from error
            raise DeviceTimeout(self._name, "gave no frame before the deadline") from error
        return Frame(view, arrived.pixels, arrived.at - latency, arrived.counter, self._name)

    async def close(self) -> None:
        """Stop reading. Never raises; a thread that hangs in OpenCV is left behind."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.stop()
            # Counters go on rising over a reopening.
            self._offset = reader.counter


class _Reader:
    """Reads frames on a thread. A live camera is read all the time, so that nothing old waits in a buffer; a file is
    read one frame ahead."""

    def __init__(self, settings: OpenCvSettings, loop: asyncio.AbstractEventLoop, counter: int) -> None:
        self._settings, self._loop = settings, loop
        self.counter = counter
        self.why = "did not come up in time"
        self.up = asyncio.Event()
        self._latest: _Arrived | None = None
        self._news = asyncio.Event()
        self._wanted = threading.Semaphore(0)
        self._ending = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name=f"camera-{settings.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """End the thread, or leave it behind where OpenCV does not come back."""
        self._ending.set()
        self._wanted.release()
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await self._ended.wait()

    async def arrived_after(self, at: int) -> _Arrived:
        """A frame that came at this time or later; of a file, the next one."""
        self._wanted.release()
        while True:
            self._news.clear()
            await self._news.wait()
            if self._latest is not None and self._latest.at >= at:
                return self._latest

    # --- on the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while not self._ending.is_set():
                video = _opened(self._settings)
                if video.isOpened():
                    self._read(video)
                else:
                    self.why = f"{self._settings.source} cannot be opened"
                video.release()
                self._ending.wait(_REOPEN_S)
        finally:
            self._tell(self._ended.set)

    def _read(self, video: cv2.VideoCapture) -> None:
        """Until the source ends or the camera is closed."""
        while not self._ending.is_set():
            got, image = video.read()
            arrived_at = time.monotonic_ns()
            if not got:
                self.why = f"{self._settings.source} gives no frame"
                return
            try:
                pixels = _converted(np.asarray(image, np.uint8), self._settings.colour)
            except cv2.error as error:
                self.why = f"{self._settings.source} gives pictures that are neither grey nor BGR: {error}"
                return
            self.why = ""
            self._tell(self.up.set)
            if not self._settings.live:
                self._wanted.acquire()
                arrived_at = time.monotonic_ns()
            self.counter += 1
            self._tell(self._take, _Arrived(pixels, arrived_at, self.counter))

    def _tell(self, what: Callable[..., None], *args: object) -> None:
        # A loop that is closed has nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *args)

    # --- on the loop ----------------------------------------------------------------------------------------------

    def _take(self, arrived: _Arrived) -> None:
        self._latest = arrived
        self._news.set()


def _opened(settings: OpenCvSettings) -> cv2.VideoCapture:
    if isinstance(settings.source, int):
        video = cv2.VideoCapture(settings.source)
        video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if settings.size is not None:
            video.set(cv2.CAP_PROP_FRAME_WIDTH, settings.size[0])
            video.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.size[1])
        return video
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, NETWORK_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, NETWORK_MS]
    return cv2.VideoCapture(settings.source, cv2.CAP_FFMPEG, limits)


def _converted(image: Pixels, colour: Literal["grey", "rgb"]) -> Pixels:
    """From OpenCV's BGR, or grey where the source has no colours. Read-only."""
    if image.ndim == 2:
        pixels = image if colour == "grey" else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
    else:
        code = cv2.COLOR_BGR2GRAY if colour == "grey" else cv2.COLOR_BGR2RGB
        pixels = np.asarray(cv2.cvtColor(image, code), np.uint8)
    pixels.setflags(write=False)
    return pixels
