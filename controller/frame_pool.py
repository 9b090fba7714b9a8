"""Frames from a camera's process without a copy in the deciding one: a pool of slots in shared memory.

The camera's process takes a free slot, tells its number over the channel and copies the frame; the deciding process
lends the slot's pixels out as a read-only array, and the slot is free again when the last reference to that array is
gone. A pool without a free slot loses the frame, counted, on the camera's side: nothing grows and nobody waits.
"""

from __future__ import annotations

import math
import weakref
from functools import partial

import numpy as np
from numpy.typing import NDArray

from controller.segment import Segment

Pixels = NDArray[np.uint8]

_PAGE = 4096
_HEADER = 2 * _PAGE
_FREE, _TAKEN, _LENT = 0, 1, 2
_HELD: list[Segment] = []
"""Memory whose pixels were still held when their pool was closed."""


class FramePool:
    """One pool. The deciding process makes it by `create` and lends; the camera's process uses `attach` and fills.

    slots: frames that may be held at once. largest: bytes of the largest frame.
    """

    def __init__(self, segment: Segment, slots: int, largest: int) -> None:
        self._segment = segment
        self._stride = (largest + _PAGE - 1) // _PAGE * _PAGE
        self.slots, self.largest = slots, largest
        self._settled = 0
        self._state: NDArray[np.int64] = np.frombuffer(segment.buffer, np.int64, slots)
        self._stamp: NDArray[np.int64] = np.frombuffer(segment.buffer, np.int64, slots, _PAGE)
        self._lent: dict[int, weakref.ref[Pixels]] = {}
        self._give_back = [partial(self._is_free, slot) for slot in range(slots)]

    @classmethod
    def create(cls, name: str, slots: int, largest: int) -> FramePool:
        """Make the pool of this name, all slots free. What a crashed run left under the name goes away."""
        if not 2 <= slots <= _PAGE // 8 or largest < 1:
            raise ValueError(f"a pool of {slots} slots of {largest} bytes: 2 to {_PAGE // 8} slots are possible")
        stride = (largest + _PAGE - 1) // _PAGE * _PAGE
        pool = cls(Segment.create(name, _HEADER + slots * stride), slots, largest)
        pool._state[:] = _FREE
        return pool

    @classmethod
    def attach(cls, name: str, slots: int, largest: int) -> FramePool:
        """Use a pool that another process made with the same figures. Raises FileNotFoundError."""
        return cls(Segment.attach(name), slots, largest)

    # --- the camera's side ------------------------------------------------------------------------------------

    def settle(self, size: int) -> None:
        """Take the memory for a frame of so many bytes in every slot now, and not under a frame on its way.

        Call it before the first frame; what lies in the slots stays. Raises OSError where the computer has no room.
        """
        size = min(size, self.largest)
        if size <= self._settled:
            return
        for slot in range(self.slots):
            self._segment.reserve(_HEADER + slot * self._stride, size)
            # To read one byte of each page is enough to have it at hand.
            self._place(slot, size)[::_PAGE].max()
        self._settled = size

    def reserve(self, size: int, stamp: int) -> int | None:
        """A free slot for a frame of so many bytes; its number, or None where no slot is free or it is too large.

        stamp: what tells this frame from every other that may lie in the slot.
        """
        if size > self.largest:
            return None
        # The first free one, not the next in a circle: memory that was written to lately is still in the cache.
        for slot in range(self.slots):
            if self._state[slot] == _FREE:
                self._stamp[slot] = stamp
                self._state[slot] = _TAKEN
                return slot
        return None

    def fill(self, slot: int, pixels: Pixels) -> None:
        """Copy a frame into the slot that was reserved for it; nobody may look at it before it is told that it is.

        One frame at a time: a slot that the other side lets go of meanwhile must not be reserved before this returns.
        """
        np.copyto(self._place(slot, pixels.nbytes).reshape(pixels.shape), pixels)

    def put_back(self, slot: int) -> None:
        """Free a slot that was reserved and could not be told of."""
        self._state[slot] = _FREE

    def reclaim(self) -> None:
        """Free what the camera's process before this one has reserved and nobody was lent."""
        self._state[self._state == _TAKEN] = _FREE

    # --- the deciding side ------------------------------------------------------------------------------------

    def lend(self, slot: int, shape: tuple[int, ...], stamp: int) -> Pixels | None:
        """The pixels of a slot that was told of, read-only; the slot is free once nobody holds them any more.

        They may still be copied there: they are the frame's once that is told, too.
        None where another frame lies in it: a process that died had told of this one.
        """
        whole = self._place(slot, math.prod(shape))
        if self._state[slot] != _TAKEN or self._stamp[slot] != stamp:
            return None
        self._state[slot] = _LENT
        # Every view keeps the whole alive, so the slot is never written to under anybody's eyes. It is told by a bare
        # reference: a finalizer's bookkeeping costs ten times as much, on the way to an answer.
        self._lent[slot] = weakref.ref(whole, self._give_back[slot])
        pixels = whole.reshape(shape)
        pixels.setflags(write=False)
        return pixels

    @property
    def lent(self) -> int:
        """Slots whose pixels somebody holds."""
        return len(self._lent)

    def close(self) -> None:
        """Let go of the memory; it stays mapped for as long as somebody holds pixels of it."""
        self._state, self._stamp = np.zeros(self.slots, np.int64), np.zeros(self.slots, np.int64)
        if self._lent:
            # A mapping under somebody's pixels cannot go: it ends with the process.
            self._segment.unname()
            _HELD.append(self._segment)
        else:
            self._segment.close()

    def _is_free(self, slot: int, _gone: weakref.ref[Pixels]) -> None:
        del self._lent[slot]
        self._state[slot] = _FREE

    def _place(self, slot: int, size: int) -> Pixels:
        if not 0 <= slot < self.slots or size > self.largest:
            raise ValueError(f"slot {slot} with {size} bytes is not one of this pool")
        return np.frombuffer(self._segment.buffer, np.uint8, size, _HEADER + slot * self._stride)
