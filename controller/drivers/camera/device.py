"""What a camera's own process asks of an open device, whichever SDK it is behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from controller.drivers.camera.genicam_messages import GenicamSettings


class DeviceGone(Exception):
    """The camera is not there, or not any more."""


class Refused(Exception):
    """The device does not take what the configuration asks for."""

    def __init__(self, feature: str, value: object, cure: str) -> None:
        super().__init__(f"{feature} = {value!r}: {cure}")
        self.feature, self.value, self.cure = feature, value, cure


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A buffer as it came. bytes_: the image's memory, valid until the frame is given back. padding: bytes between two
    lines. clock_ns: the device's, or None."""

    buffer: Any
    bytes_: NDArray[np.uint8]
    pixel_format: int
    width: int
    height: int
    padding: int
    frame_id: int | None
    clock_ns: int | None


class Device(Protocol):
    """An open, armed camera. Every method may raise DeviceGone, `close` never raises."""

    incomplete: int
    """Frames so far that came and were not whole."""

    @property
    def serial(self) -> str: ...
    @property
    def model(self) -> str: ...

    def exposure_ns(self) -> int:
        """Exposure time as it is set; 0 where the device does not say."""
        ...

    def frame_bytes(self) -> int:
        """Bytes of one frame's pixels as the device is set, as `to_pixels` makes them; 0 where it does not say."""
        ...

    def latch(self) -> tuple[int, int, int] | None:
        """Our clock, the device's, ours again, ns; None where the device has none that can be latched."""
        ...

    def trigger(self) -> int:
        """One exposure by software, as soon as the device can; when it was told to, monotonic ns."""
        ...

    def fetch(self, seconds: float) -> RawFrame | None:
        """The next complete frame, or None."""
        ...

    def is_empty(self) -> bool:
        """Whether it is sure that no frame waits here."""
        ...

    def drain(self) -> None:
        """Give back what came unasked."""
        ...

    def give_back(self, frame: RawFrame) -> None:
        """Let the buffer be filled again."""
        ...

    def check(self) -> None:
        """Raises DeviceGone where the device is known to be gone."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


Opener = Callable[[GenicamSettings], Device]
"""Opens a device, sets its features and arms it. Raises DeviceGone or Refused."""
