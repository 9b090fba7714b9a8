"""The belt: the right part at the right time, whole or not at all, cleaned up whoever dies."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.segment import Segment
from controller.sim.belt import FOREVER, REUSE_MARGIN_NS, Belt, ExposureFault, Fault

MS = 1_000_000
SECOND = 1_000 * MS


def filled(value: int, height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    return np.full((height, width), value, np.uint8)


@pytest.fixture
def name() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def belt(name: str) -> Iterator[Belt]:
    with Belt.create(name, 80, 60, slots=4) as made:
        yield made


def test_part_is_seen_within_its_window_only(belt: Belt) -> None:
    belt.put(1, 10 * MS, 40 * MS, filled(11))
    belt.put(2, 100 * MS, 140 * MS, filled(22))
    assert belt.in_view(5 * SECOND) is None  # stands still
    start = 5 * SECOND
    belt.start(start)
    seen = {at: belt.in_view(start + at * MS) for at in (9, 10, 39, 40, 99, 100, 139, 140)}
    assert {at: part and part.number for at, part in seen.items()} == {
        9: None, 10: 1, 39: 1, 40: None, 99: None, 100: 2, 139: 2, 140: None,
    }  # fmt: skip
    assert seen[10] is not None
    assert (seen[10].pixels == 11).all()


def test_what_was_seen_is_a_copy(belt: Belt, name: str) -> None:
    belt.place(1, filled(5))
    with Belt.attach(name) as other:
        seen = other.in_view(0)
        belt.place(2, filled(6))
        assert seen is not None
        assert (seen.pixels == 5).all()
        again = other.in_view(0)
        assert again is not None
        assert (again.number, int(again.pixels[0, 0])) == (2, 6)
        belt.remove()
        assert other.in_view(0) is None


def test_empty_belt_has_its_own_picture(belt: Belt) -> None:
    assert not belt.empty().any()
    belt.set_empty(filled(33))
    assert (belt.empty() == 33).all()


def test_slot_is_used_again_only_after_its_part_left(belt: Belt) -> None:
    for number in range(1, 5):
        assert belt.put(number, number * MS, (number + 1) * MS, filled(number), wait_s=0)
    assert not belt.put(5, 6 * MS, 7 * MS, filled(5), wait_s=0.02)  # not started: nothing moves
    belt.start(time.monotonic_ns())
    assert belt.put(5, 10 * SECOND, 11 * SECOND, filled(5), wait_s=5)
    assert time.monotonic_ns() - belt.start_ns >= 2 * MS + REUSE_MARGIN_NS
    assert belt.newest == 5
    assert belt.late == 0


def test_part_written_after_its_time_is_counted(belt: Belt) -> None:
    belt.start(time.monotonic_ns() - SECOND)
    belt.put(1, 10 * MS, 20 * MS, filled(1))
    belt.put(2, 10 * SECOND, 11 * SECOND, filled(1))
    assert belt.late == 1


def test_wrong_size_is_refused(belt: Belt) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        belt.put(1, 0, 1, filled(1, height=61))


def test_a_picture_is_never_half_old(name: str) -> None:
    with Belt.create(name, 640, 400, slots=2) as belt, Belt.attach(name) as other:
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                belt.place(number, filled(number % 251, 400, 640))

        writer = threading.Thread(target=write)
        belt.place(1, filled(1, 400, 640))
        writer.start()
        try:
            seen = [part for part in (other.in_view(0) for _ in range(1500)) if part is not None]
        finally:
            stop.set()
            writer.join()
        assert len(seen) > 10
        for part in seen:
            assert (part.pixels == part.number % 251).all()


def test_faults_are_counted_down_and_cleared(belt: Belt, name: str) -> None:
    with Belt.attach(name) as other:
        other.set_fault(ExposureFault.SLOW, count=2, delay_ms=70)
        assert belt.take_fault() == Fault(ExposureFault.SLOW, 2, 70)
        assert belt.take_fault() == Fault(ExposureFault.SLOW, 1, 70)
        assert belt.take_fault() == Fault()
        other.set_fault(ExposureFault.BLACK)
        for _ in range(3):
            assert belt.take_fault() == Fault(ExposureFault.BLACK, FOREVER, 0)
        other.set_fault(ExposureFault.NONE)
        assert belt.fault() == Fault()
    with pytest.raises(ValueError, match="out of range"):
        belt.set_fault(ExposureFault.SLOW, count=-1)


def test_frame_counter_goes_on_over_attaching(belt: Belt, name: str) -> None:
    assert [belt.next_counter(), belt.next_counter()] == [1, 2]
    with Belt.attach(name) as other:
        assert other.next_counter() == 3


def test_silence(belt: Belt) -> None:
    now = time.monotonic_ns()
    assert not belt.silent(now + 100 * SECOND)  # nobody promised signs of life
    belt.beat()
    assert not belt.silent(time.monotonic_ns())
    assert belt.silent(time.monotonic_ns() + 3 * SECOND)


def test_onlookers_learn_that_a_belt_is_over(name: str) -> None:
    first = Belt.create(name, 80, 60)
    with Belt.attach(name) as onlooker:
        first.close()
        assert onlooker.silent(time.monotonic_ns())
    with pytest.raises(FileNotFoundError):
        Belt.attach(name)


def test_a_new_belt_takes_the_place_of_one_left_behind(name: str) -> None:
    left = Belt.create(name, 80, 60)
    left.place(9, filled(9))
    with Belt.attach(name) as onlooker, Belt.create(name, 100, 70) as fresh:
        assert onlooker.silent(time.monotonic_ns())
        assert (fresh.width, fresh.height, fresh.newest) == (100, 70, 0)
        assert fresh.in_view(0) is None
    left.close()


def test_something_else_under_the_name_is_not_a_belt(name: str) -> None:
    segment = Segment.create(name, 8192)
    try:
        with pytest.raises(ValueError, match="not a belt"):
            Belt.attach(name)
    finally:
        segment.close()


def test_missing_belt(name: str) -> None:
    with pytest.raises(FileNotFoundError):
        Belt.attach(name)


def test_closing_twice_is_harmless(name: str) -> None:
    belt = Belt.create(name, 80, 60)
    belt.close()
    belt.close()


def test_belt_outlives_a_child_process_that_only_looked(belt: Belt, name: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=Belt.attach, args=(name,))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    with Belt.attach(name) as other:
        assert other.slots == belt.slots


def test_belt_outlives_an_unrelated_program_that_only_looked(belt: Belt, name: str) -> None:
    program = f"from controller.sim.belt import Belt; kept = Belt.attach({name!r}); print('seen')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "seen", "")
    with Belt.attach(name):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows frees the memory with its last user")
def test_belt_of_a_killed_process_goes(name: str) -> None:
    program = (
        "import os, signal\nfrom controller.sim.belt import Belt\n"
        f"Belt.create({name!r}, 80, 60)\nprint('made', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.strip() == "made"
    with Belt.create(name, 90, 70) as fresh:
        assert (fresh.width, fresh.newest) == (90, 0)
