"""The light barrier of the simulated line: wired to the PLC and to the trigger inputs of the GenTL cameras.

The cameras (hil_tests/gentl) hear edges, and orders to spoil a frame, as datagrams. Which frames are spoilt is drawn
from a seed, so that whoever judges a run knows it without being told.
"""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class FrameFault(Enum):
    """What happens to one frame of one camera, as the camera is told; the part's own edge stays unless it says so."""

    DROPPED = "drop 1"
    """Exposed, and lost on the way."""
    UNSEEN = "skip 1"
    """The camera does not see the edge."""
    LATE = "late 1 70"
    """70 ms late: after its part's deadline and before the next part."""
    TWICE = "twice 1"
    """Delivered twice."""
    INCOMPLETE = "incomplete 1"
    SWAPPED = "swap 1"
    """Comes behind the next part's frame."""
    SMALL = "small 1"
    """Half the height, as from a camera that lost its settings."""
    BLACK = "black 1"
    DOUBLE = "double"
    """A second edge, as from a bouncing barrier."""
    SURPLUS = "surplus"
    """An edge between this part and the next: something passed that the PLC knows nothing of."""


COSTS_THE_FRAME = frozenset(set(FrameFault) - {FrameFault.TWICE, FrameFault.DOUBLE, FrameFault.SURPLUS})
"""Faults after which the part has no usable frame of this camera."""

UNPLUGGED_FOR = 10
_BOUNCE_S = 0.002


@dataclass(frozen=True, slots=True)
class BarrierSettings:
    """sockets: where each camera listens. share: of all frames, how many are spoilt. Picklable.

    between_s: after its part, when a surplus edge comes. unplug_every: the first camera's cable is pulled with each
    part of this number, and put back UNPLUGGED_FOR parts later; 0: never.
    """

    sockets: tuple[str, ...]
    share: float = 0.0
    seed: int = 1
    between_s: float = 0.05
    unplug_every: int = 0


def fault_of(settings: BarrierSettings, camera: int, number: int) -> FrameFault | None:
    """What happens to the frame of this camera (an index into `sockets`) of this part."""
    chance = random.Random(f"{settings.seed} {camera} {number}")
    return chance.choice(list(FrameFault)) if chance.random() < settings.share else None


class LightBarrier:
    """Sends edges. On one event loop; a camera that is not there hears nothing."""

    def __init__(self, settings: BarrierSettings) -> None:
        self._settings = settings
        self._voice = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._voice.setblocking(False)

    def part(self, number: int) -> None:
        """A part is in the light."""
        later = asyncio.get_running_loop().call_later
        self._cable(number)
        for camera, place in enumerate(self._settings.sockets):
            fault = fault_of(self._settings, camera, number)
            if fault is FrameFault.DOUBLE:
                later(_BOUNCE_S, self._tell, place, "edge")
            elif fault is FrameFault.SURPLUS:
                later(self._settings.between_s, self._tell, place, "edge")
            elif fault is not None:
                self._tell(place, fault.value)
            self._tell(place, "edge")

    def close(self) -> None:
        self._voice.close()

    def _cable(self, number: int) -> None:
        every, place = self._settings.unplug_every, self._settings.sockets[0]
        if not every or number < every:
            return
        # The camera's process may load its producer anew meanwhile: a file says that the cable is out.
        pulled = Path(f"{place}.unplugged")
        if number % every == 0:
            pulled.touch()
            self._tell(place, "unplug")
        elif number % every == UNPLUGGED_FOR:
            pulled.unlink(missing_ok=True)
            self._tell(place, "plug")

    def _tell(self, place: str, text: str) -> None:
        with suppress(OSError):
            self._voice.sendto(text.encode(), place)
