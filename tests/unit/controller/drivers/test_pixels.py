"""Unpacking of pixel formats against values packed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.drivers.camera.pixels import UnknownFormat, to_pixels

MONO8, MONO10, MONO12, MONO16 = 0x01080001, 0x01100003, 0x01100005, 0x01100007
MONO10P, MONO12P, MONO12_PACKED = 0x010A0046, 0x010C0047, 0x010C0006
BAYER_RG8, RGB8, BGR8, RGBA8 = 0x01080009, 0x02180014, 0x02180015, 0x02200016

VALUES = st.lists(st.integers(0, 4095), min_size=16, max_size=16)


def packed(values: list[int], bits: int) -> np.ndarray:
    """PFNC "p" packing: one string of bits, lowest first."""
    number = sum(value << bits * index for index, value in enumerate(values))
    return np.frombuffer(number.to_bytes(len(values) * bits // 8, "little"), np.uint8)


@given(VALUES)
def test_words_of_any_depth_keep_their_highest_eight_bits(values: list[int]) -> None:
    expected = np.array([value >> 4 for value in values], np.uint8).reshape(4, 4)
    for bits, pixel_format in ((10, MONO10), (12, MONO12), (16, MONO16)):
        raw = np.array([value >> 12 - bits if bits < 12 else value << bits - 12 for value in values], "<u2").view(
            np.uint8
        )
        assert np.array_equal(to_pixels(raw, pixel_format, 4, 4), expected)


@given(VALUES)
def test_packed_bits_keep_their_highest_eight(values: list[int]) -> None:
    expected = np.array([value >> 4 for value in values], np.uint8).reshape(4, 4)
    assert np.array_equal(to_pixels(packed(values, 12), MONO12P, 4, 4), expected)
    assert np.array_equal(to_pixels(packed([value >> 2 for value in values], 10), MONO10P, 4, 4), expected)


def test_gige_visions_packing_has_the_low_bits_between() -> None:
    # 0xABC and 0x123: high byte, both low nibbles, high byte.
    raw = np.array([0xAB, 0x3C, 0x12] * 8, np.uint8)
    assert to_pixels(raw, MONO12_PACKED, 4, 4)[0].tolist() == [0xAB, 0x12, 0xAB, 0x12]


def test_mono8_and_rgb8_are_views_of_the_buffer() -> None:
    raw = np.arange(48, dtype=np.uint8)
    assert np.shares_memory(to_pixels(raw, MONO8, 6, 8), raw)
    assert np.shares_memory(to_pixels(raw, RGB8, 4, 4), raw)


def test_colours_come_out_as_red_green_blue() -> None:
    assert to_pixels(np.array([3, 2, 1] * 4, np.uint8), BGR8, 2, 2)[1, 1].tolist() == [1, 2, 3]
    assert to_pixels(np.array([1, 2, 3, 9] * 4, np.uint8), RGBA8, 2, 2)[0, 1].tolist() == [1, 2, 3]
    # A red scene under an RG pattern: only the first pixel of the first row lights up.
    red = np.zeros((8, 8), np.uint8)
    red[::2, ::2] = 200
    assert to_pixels(red.reshape(-1), BAYER_RG8, 8, 8)[4, 4].tolist() == [200, 0, 0]


@pytest.mark.parametrize(("size", "pixel_format", "word"), [(64, 0x02180099, "RGB8"), (63, MONO8, "64 bytes")])
def test_what_cannot_be_read_is_named(size: int, pixel_format: int, word: str) -> None:
    with pytest.raises(UnknownFormat, match=word):
        to_pixels(np.zeros(size, np.uint8), pixel_format, 8, 8)
