"""The pool of frames in shared memory: one copy in, none out, and no slot written to while somebody looks."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from errno import ENOSPC
from pathlib import Path

import numpy as np
import pytest

from controller.frame_pool import FramePool
from controller.segment import segment_name

NAME = f"pool-test-{os.getpid()}"


@pytest.fixture
def pools() -> Iterator[tuple[FramePool, FramePool]]:
    """The deciding side and the camera's."""
    ours = FramePool.create(NAME, 3, 64)
    theirs = FramePool.attach(NAME, 3, 64)
    yield ours, theirs
    gc.collect()
    theirs.close()
    ours.close()


def frame(value: int) -> np.ndarray:
    return np.full((4, 4), value, np.uint8)


def put(pool: FramePool, pixels: np.ndarray, stamp: int) -> int | None:
    """A whole frame, as the camera's process does it."""
    slot = pool.reserve(pixels.nbytes, stamp)
    if slot is not None:
        pool.fill(slot, pixels)
    return slot


def test_what_was_put_is_lent_without_a_copy(pools: tuple[FramePool, FramePool]) -> None:
    ours, theirs = pools
    slot = put(theirs, frame(7), 7)
    assert slot is not None
    pixels = ours.lend(slot, (4, 4), 7)
    assert pixels is not None
    assert np.array_equal(pixels, frame(7))
    assert not pixels.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 1


def test_a_slot_is_free_only_when_nobody_holds_any_part_of_it(pools: tuple[FramePool, FramePool]) -> None:
    ours, theirs = pools
    slots = [put(theirs, frame(n), n) for n in range(3)]
    assert put(theirs, frame(9), 9) is None, "a full pool loses the frame, it does not grow"
    held = [ours.lend(slot, (4, 4), n) for n, slot in enumerate(slots) if slot is not None]
    middle = held[1]
    assert middle is not None
    corner = middle[2:, 2:]
    del middle
    del held[1]
    gc.collect()
    assert put(theirs, frame(9), 9) is None, "a view of the pixels keeps the slot"
    assert corner.tolist() == [[1, 1], [1, 1]]
    del corner
    gc.collect()
    assert put(theirs, frame(9), 9) == 1


def test_what_a_dead_process_filled_and_never_told_of_is_reclaimed(pools: tuple[FramePool, FramePool]) -> None:
    ours, theirs = pools
    told = put(theirs, frame(1), 1)
    assert told is not None
    pixels = ours.lend(told, (4, 4), 1)
    assert pixels is not None
    while put(theirs, frame(2), 2) is not None:
        pass
    theirs.reclaim()
    assert {put(theirs, frame(3), 3), put(theirs, frame(3), 3)} == {0, 1, 2} - {told}
    assert put(theirs, frame(3), 3) is None
    assert np.array_equal(pixels, frame(1))


def test_a_slot_that_holds_another_frame_by_now_is_not_lent(pools: tuple[FramePool, FramePool]) -> None:
    ours, theirs = pools
    told = put(theirs, frame(1), 1)
    assert told is not None
    theirs.reclaim()
    while (again := put(theirs, frame(2), 2)) != told:
        assert again is not None
    assert ours.lend(told, (4, 4), 1) is None, "a dead process told of frame 1, which is not there any more"
    assert ours.lend(told, (4, 4), 2) is not None


def test_a_slot_that_could_not_be_told_of_is_free_again(pools: tuple[FramePool, FramePool]) -> None:
    _, theirs = pools
    slots = [put(theirs, frame(1), 1) for _ in range(3)]
    assert slots[1] is not None
    theirs.put_back(slots[1])
    assert put(theirs, frame(2), 2) == slots[1]


def test_a_frame_that_is_too_large_is_refused(pools: tuple[FramePool, FramePool]) -> None:
    ours, theirs = pools
    assert put(theirs, np.zeros((9, 9), np.uint8), 1) is None
    with pytest.raises(ValueError, match="slot 3"):
        ours.lend(3, (4, 4), 1)


SHARED = Path("/dev/shm")
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere shared memory is no promise")


@linux
def test_the_memory_of_every_slot_is_taken_at_once() -> None:
    ours = FramePool.create(NAME, 8, 1_000_000)
    theirs = FramePool.attach(NAME, 8, 1_000_000)
    try:
        slot = put(theirs, frame(7), 7)
        taken = (SHARED / segment_name(NAME)).stat().st_blocks * 512
        assert taken < 100_000, "until now it is a promise"
        theirs.settle(250_000)
        taken = (SHARED / segment_name(NAME)).stat().st_blocks * 512
        assert 8 * 250_000 <= taken < 8 * 300_000
        assert slot is not None
        pixels = ours.lend(slot, (4, 4), 7)
        assert pixels is not None
        assert np.array_equal(pixels, frame(7)), "what lies in a slot stays"
        del pixels
    finally:
        gc.collect()
        theirs.close()
        ours.close()


@linux
def test_memory_that_is_not_there_is_an_error_and_not_the_end_of_the_process() -> None:
    there = os.statvfs(SHARED)
    if not there.f_blocks:
        pytest.skip("shared memory without a limit")
    too_much = there.f_blocks * there.f_frsize + 4096
    ours = FramePool.create(NAME, 2, too_much)
    try:
        with pytest.raises(OSError, match="No space left") as error:
            ours.settle(too_much)
        assert error.value.errno == ENOSPC
    finally:
        ours.close()
