"""What the deciding process and a GenTL camera's process say to each other. Frames themselves lie in the frame pool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from controller.channel_words import WHOLE, Message, Protocol

Acquisition = Literal["software", "hardware", "free_running"]
Sdk = Literal["gentl", "pylon"]


@dataclass(frozen=True, slots=True)
class GenicamSettings:
    """One camera behind a GenTL producer.

    producer: path of the .cti file. device: serial number or user-defined name; empty where the producer has only one.
    acquisition: what lets it expose: a command of Linegate, an edge on `trigger_source`, or its own clock. features:
    SFNC names with their values, set in this order and read back. buffers: announced to the producer, at least its own
    minimum. pool: frames that may be held at once. pool_name: shared memory that the deciding process made.
    window_ns: how far a frame that came unasked may be from the time of its part. sdk: what the device is reached by;
    pylon needs no producer.
    """

    name: str
    producer: str
    device: str = ""
    acquisition: Acquisition = "software"
    trigger_source: str = "Line0"
    features: dict[str, bool | int | float | str] = field(default_factory=dict[str, bool | int | float | str])
    buffers: int = 8
    pool: int = 48
    largest: int = 8_000_000
    pool_name: str = ""
    window_ns: int = 10_000_000
    sdk: Sdk = "gentl"


class Expose(Message, frozen=True):
    """Trigger one exposure by software. token: comes back with its frame."""

    token: int


class BeginAnew(Message, frozen=True):
    """Open the device anew: which frame is whose cannot be told any more."""

    why: str


class CameraUp(Message, frozen=True):
    """The device is open, its features are set, it is armed."""

    serial: str
    model: str


class CameraLost(Message, frozen=True):
    """The device is gone or cannot be opened; its process keeps trying."""

    why: str


class FeatureRefused(Message, frozen=True):
    """The configuration asks for what the device cannot do; a person must mend it."""

    feature: str
    value: str
    cure: str


class FrameTaken(Message, frozen=True):
    """A frame came and has its slot in the pool, to which it is being copied. token: of the Expose that asked for it, 0
    where nobody did.

    exposed_at: start of exposure, monotonic ns. clocked: that is the device's own time, and not that of arrival or
    command. counter: the device's own frame number.
    """

    slot: int
    shape: tuple[int, ...]
    token: int
    counter: int
    exposed_at: int
    clocked: bool
    exposure_ns: int


class FrameWhole(Message, frozen=True):
    """The frame of the last FrameTaken is copied: its pixels may be looked at."""

    slot: int


class FrameSpoilt(Message, frozen=True):
    """A frame came and cannot be used: incomplete, of an unknown format, or there was no room for it."""

    token: int
    why: str


class CameraAlive(Message, frozen=True):
    """The process goes round its loop."""


PROTOCOL = Protocol(
    "linegate-camera",
    3,
    to_parent=(CameraUp, CameraLost, FeatureRefused, FrameTaken, FrameWhole, FrameSpoilt, CameraAlive),
    to_child=(Expose, BeginAnew),
    largest=WHOLE,
)
