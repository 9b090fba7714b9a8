"""The simulated belt: shared memory that holds the parts which pass the camera, and the time when each is in view.

The renderer writes parts ahead of their time into a ring of slots; the camera copies out the one that is in view at the
instant of exposure. Each slot has a sequence lock: odd while it is written, and a reader that saw it change throws its
copy away. Two more slots hold a part that a test has put down by hand, and the picture of the empty belt.
"""

from __future__ import annotations

import atexit
import time
import weakref
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from controller.segment import Segment
from controller.sim.exposure import FOREVER, ExposureFault, Fault, packed, unpacked

Grey = NDArray[np.uint8]

MAGIC = 0x4C47_4245_4C54_0001
DEFAULT_SLOTS = 16
REUSE_MARGIN_NS = 100_000_000
"""A slot is written to again only this long after its part left view."""

SILENT_AFTER_NS = 2_000_000_000
"""A belt whose renderer has not shown a sign of life for this long is silent."""

_PAGE = 4096
_HEADER_WORDS = _PAGE // 8
_EXTRA = 2
_WAIT_S = 0.004
_TRIES = 3


class _Word(IntEnum):
    """Places in the header."""

    MAGIC = 0
    WIDTH = 1
    HEIGHT = 2
    SLOTS = 3
    START_NS = 4
    CLOSED = 5
    ALIVE_NS = 6
    COUNTER = 7
    FAULT = 8
    MANUAL = 9
    NEWEST = 10
    LATE = 11


class _Slot(IntEnum):
    """Places in a slot's own header."""

    LOCK = 0
    NUMBER = 1
    ENTERS = 2
    LEAVES = 3


@dataclass(frozen=True, slots=True)
class BeltPart:
    """What the camera sees at one instant. pixels: a copy of its own, (height, width) grey."""

    number: int
    pixels: Grey


class Belt:
    """One belt. Made by `create` (who owns it) or `attach` (who looks on); close it, or use it as a context.

    One process may write parts and one may expose at a time; any may start the line, set faults or place by hand.
    """

    def __init__(self, segment: Segment, words: NDArray[np.int64], slots: NDArray[np.int64], pixels: Grey) -> None:
        self._segment = segment
        self._words, self._slots, self._pixels = words, slots, pixels
        self._next = 0
        _OPEN.add(self)

    @classmethod
    def create(cls, name: str, width: int, height: int, slots: int = DEFAULT_SLOTS) -> Belt:
        """Make the belt of this name. What a crashed run left under the name is marked closed and taken away."""
        if slots < 2 or width < 1 or height < 1:
            raise ValueError(f"belt {name}: {width}x{height} pixels in {slots} slots is too small")
        try:
            with cls.attach(name) as stale:
                stale.mark_closed()
        except (FileNotFoundError, ValueError):
            pass
        stride = _slot_stride(width, height)
        belt = cls._mapped(Segment.create(name, _PAGE + stride * (slots + _EXTRA)), width, height, slots)
        words = belt._words
        words[:] = 0
        belt._slots[:] = 0
        words[_Word.WIDTH], words[_Word.HEIGHT], words[_Word.SLOTS] = width, height, slots
        words[_Word.MAGIC] = MAGIC
        return belt

    @classmethod
    def attach(cls, name: str) -> Belt:
        """Look at a belt that another process made.

        Raises FileNotFoundError where there is none, ValueError where something else has the name.
        """
        segment = Segment.attach(name)
        words = np.frombuffer(segment.buffer, np.int64, 4)
        magic, width, height, slots = (int(word) for word in words)
        del words
        if magic != MAGIC or _PAGE + _slot_stride(width, height) * (slots + _EXTRA) > segment.size:
            segment.close()
            raise ValueError(f"{name} is not a belt, or one of another version")
        return cls._mapped(segment, width, height, slots)

    @classmethod
    def _mapped(cls, segment: Segment, width: int, height: int, slots: int) -> Belt:
        stride = _slot_stride(width, height)
        words = np.frombuffer(segment.buffer, np.int64, _HEADER_WORDS)
        ring = np.frombuffer(segment.buffer, np.uint8, stride * (slots + _EXTRA), _PAGE).reshape(slots + _EXTRA, stride)
        heads = ring[:, : len(_Slot) * 8].view(np.int64)
        pixels = ring[:, _PAGE : _PAGE + width * height].reshape(slots + _EXTRA, height, width)
        return cls(segment, words, heads, pixels)

    # --- facts ------------------------------------------------------------------------------------------------

    @property
    def width(self) -> int:
        return int(self._words[_Word.WIDTH])

    @property
    def height(self) -> int:
        return int(self._words[_Word.HEIGHT])

    @property
    def slots(self) -> int:
        return int(self._words[_Word.SLOTS])

    @property
    def start_ns(self) -> int:
        """When the line started, monotonic ns; 0 while it stands still."""
        return int(self._words[_Word.START_NS])

    @property
    def newest(self) -> int:
        """Number of the part written last; 0 before the first."""
        return int(self._words[_Word.NEWEST])

    @property
    def late(self) -> int:
        """Parts that were written after they should have come into view: the run is not a fair one if not 0."""
        return int(self._words[_Word.LATE])

    def start(self, start_ns: int) -> None:
        """Start the line: all offsets count from here."""
        self._words[_Word.START_NS] = start_ns

    def beat(self) -> None:
        """The renderer's sign of life. A belt that never had one is not watched."""
        self._words[_Word.ALIVE_NS] = time.monotonic_ns()

    def silent(self, now_ns: int) -> bool:
        """Whether its owner has closed the belt, or shows no sign of life any more."""
        alive = int(self._words[_Word.ALIVE_NS])
        return bool(self._words[_Word.CLOSED]) or (alive > 0 and now_ns - alive > SILENT_AFTER_NS)

    def next_counter(self) -> int:
        """The camera's next frame number: it goes on rising when the camera is opened anew."""
        counter = int(self._words[_Word.COUNTER]) + 1
        self._words[_Word.COUNTER] = counter
        return counter

    # --- writing ----------------------------------------------------------------------------------------------

    def put(self, number: int, enters: int, leaves: int, pixels: Grey, wait_s: float | None = None) -> bool:
        """Write a part that is in view from `enters` until before `leaves` (ns after the start).

        Waits up to `wait_s` (None: for ever) for a slot whose part has long left view, and says whether it found one.
        """
        index = self._next % self.slots
        until = None if wait_s is None else time.monotonic() + wait_s
        while not self._has_room(index):
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(_WAIT_S)
        self._write(index, number, enters, leaves, pixels)
        self._next += 1
        start = self.start_ns
        if start and time.monotonic_ns() > start + enters:
            self._words[_Word.LATE] += 1
        self._words[_Word.NEWEST] = number
        return True

    def place(self, number: int, pixels: Grey) -> None:
        """Put a part into view by hand; it stays there, before all others, until the next `place` or `remove`."""
        self._write(self.slots, number, 0, 0, pixels)
        self._words[_Word.MANUAL] = number

    def remove(self) -> None:
        """Take away the part that was put down by hand."""
        self._words[_Word.MANUAL] = 0

    def set_empty(self, pixels: Grey) -> None:
        """Say what the camera sees where there is no part; black until then."""
        self._write(self.slots + 1, 0, 0, 0, pixels)

    def _has_room(self, index: int) -> bool:
        slot = self._slots[index]
        if int(slot[_Slot.NUMBER]) == 0:
            return True
        start = self.start_ns
        return start > 0 and time.monotonic_ns() - start > int(slot[_Slot.LEAVES]) + REUSE_MARGIN_NS

    def _write(self, index: int, number: int, enters: int, leaves: int, pixels: Grey) -> None:
        if pixels.shape != (self.height, self.width):
            raise ValueError(f"pixels of {pixels.shape} do not fit the belt's {(self.height, self.width)}")
        slot = self._slots[index]
        slot[_Slot.LOCK] = int(slot[_Slot.LOCK]) | 1
        slot[_Slot.NUMBER], slot[_Slot.ENTERS], slot[_Slot.LEAVES] = number, enters, leaves
        np.copyto(self._pixels[index], pixels)
        slot[_Slot.LOCK] = int(slot[_Slot.LOCK]) + 1

    # --- looking ----------------------------------------------------------------------------------------------

    def in_view(self, now_ns: int) -> BeltPart | None:
        """The part in front of the camera at this monotonic time, copied; None where the belt is empty."""
        for _ in range(_TRIES):
            index = self._index_in_view(now_ns)
            if index is None:
                return None
            slot = self._slots[index]
            lock, number = int(slot[_Slot.LOCK]), int(slot[_Slot.NUMBER])
            pixels = self._pixels[index].copy()
            if not lock & 1 and int(slot[_Slot.LOCK]) == lock:
                return BeltPart(number, pixels)
        return None

    def empty(self) -> Grey:
        """The empty belt, copied."""
        return self._pixels[self.slots + 1].copy()

    def _index_in_view(self, now_ns: int) -> int | None:
        if int(self._words[_Word.MANUAL]):
            return self.slots
        start = self.start_ns
        if not start:
            return None
        offset = now_ns - start
        for index, (lock, number, enters, leaves) in enumerate(self._slots[: self.slots].tolist()):
            if number and not lock & 1 and enters <= offset < leaves:
                return index
        return None

    # --- faults -----------------------------------------------------------------------------------------------

    def set_fault(self, kind: ExposureFault, count: int = FOREVER, delay_ms: int = 0) -> None:
        """Make the next `count` exposures go wrong; NONE clears. May be called from any process."""
        self._words[_Word.FAULT] = packed(Fault(kind, count, delay_ms))

    def fault(self) -> Fault:
        """The fault in force."""
        return unpacked(int(self._words[_Word.FAULT]))

    def take_fault(self) -> Fault:
        """The fault that the exposure made now must show; counts it."""
        word = int(self._words[_Word.FAULT])
        fault = unpacked(word)
        if fault.kind and int(self._words[_Word.FAULT]) == word:
            self._words[_Word.FAULT] = packed(fault.after_one())
        return fault

    # --- the end ----------------------------------------------------------------------------------------------

    def mark_closed(self) -> None:
        """Tell everyone who looks on that this belt is over."""
        self._words[_Word.CLOSED] = 1

    def close(self) -> None:
        """Let go of the memory; its owner also marks the belt closed and removes the name."""
        if not self._segment.is_open:
            return
        if self._segment.owned:
            self.mark_closed()
        # The mapping cannot go while arrays point into it.
        nothing = np.zeros(0, np.int64)
        self._words, self._slots, self._pixels = nothing, nothing, np.zeros(0, np.uint8)
        self._segment.close()

    def __del__(self) -> None:
        # Left to itself, the mapping would complain of the arrays that still point into it.
        self.close()

    def __enter__(self) -> Belt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_OPEN: weakref.WeakSet[Belt] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close what was left open while everything that closing needs still exists."""
    for belt in tuple(_OPEN):
        belt.close()


def _slot_stride(width: int, height: int) -> int:
    """Bytes from one slot to the next: a page for its header, then the pixels in whole pages."""
    return _PAGE + (width * height + _PAGE - 1) // _PAGE * _PAGE
