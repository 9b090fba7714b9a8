"""A camera's frame numbers rise for as long as the station runs."""

from __future__ import annotations

from controller.drivers.camera.counting import RisingCounter


def numbers(counter: RisingCounter, *raw: int) -> list[int]:
    return [counter.of(number) for number in raw]


def test_numbers_that_rise_stay_as_they_are() -> None:
    assert numbers(RisingCounter(), 1, 2, 5) == [1, 2, 5]


def test_a_swapped_pair_keeps_its_numbers_and_a_frame_delivered_twice_its_own() -> None:
    assert numbers(RisingCounter(), 100, 102, 101, 101, 103) == [100, 102, 101, 101, 103]


def test_sixteen_bits_wrap_without_a_number_coming_again() -> None:
    assert numbers(RisingCounter(), 65_534, 65_535, 1, 2) == [65_534, 65_535, 65_536, 65_537]


def test_a_device_that_was_opened_anew_counts_on() -> None:
    counter = RisingCounter()
    assert numbers(counter, 40, 41) == [40, 41]
    counter.restart()
    assert numbers(counter, 1, 2) == [42, 43]
    counter.restart()
    assert numbers(counter, 500) == [543], "one that did not begin anew rises all the same"
