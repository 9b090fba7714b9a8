"""The mark: read back from what a camera, a codec and a smaller picture leave of it, or not at all."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.sim import mark

Grey = NDArray[np.uint8]
IDS = st.integers(0, 2**32 - 1)


def stamped(part_id: int, height: int = 600, width: int = 960) -> Grey:
    pixels = np.random.default_rng(part_id).normal(100, 20, (height, width)).clip(0, 255).astype(np.uint8)
    mark.stamp(pixels, part_id)
    return pixels


def as_jpeg(pixels: Grey, quality: int = 80, flags: int = cv2.IMREAD_GRAYSCALE) -> Grey:
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return cast(Grey, cv2.imdecode(data, flags))


@settings(max_examples=60, deadline=None)
@given(part_id=IDS, height=st.sampled_from([400, 600, 1200]))
def test_reads_back_what_was_stamped(part_id: int, height: int) -> None:
    assert mark.read(stamped(part_id, height)) == part_id


@settings(max_examples=25, deadline=None)
@given(part_id=IDS)
def test_survives_jpeg_and_smaller_decoding(part_id: int) -> None:
    pixels = stamped(part_id, 1200, 1920)
    assert mark.read(as_jpeg(pixels)) == part_id
    assert mark.read(as_jpeg(pixels, flags=cv2.IMREAD_REDUCED_GRAYSCALE_2)) == part_id
    assert mark.read(as_jpeg(pixels, flags=cv2.IMREAD_REDUCED_GRAYSCALE_4)) == part_id
    assert mark.read(as_jpeg(pixels, flags=cv2.IMREAD_REDUCED_GRAYSCALE_4), scale=0.25) == part_id
    for interpolation in (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_NEAREST):
        half = cast(Grey, cv2.resize(pixels, (960, 600), interpolation=interpolation))
        assert mark.read(half) == part_id


def test_reads_colour_pictures() -> None:
    assert mark.read(np.repeat(stamped(77)[..., None], 3, axis=2)) == 77


@settings(max_examples=150, deadline=None)
@given(part_id=IDS, seed=st.integers(0, 10_000), cells=st.integers(1, 40))
def test_damage_gives_nothing_and_never_another_id(part_id: int, seed: int, cells: int) -> None:
    pixels = stamped(part_id)
    rng = np.random.default_rng(seed)
    for _ in range(cells):
        row, column = (6 + int(rng.integers(0, size)) * 12 for size in (10, 12))
        pixels[row : row + 12, column : column + 12] = 255 - pixels[row : row + 12, column : column + 12]
    assert mark.read(pixels) in (None, part_id)


@pytest.mark.parametrize("grey", [0, 25, 128, 255])
def test_an_even_picture_carries_no_mark(grey: int) -> None:
    assert mark.read(np.full((600, 960), grey, np.uint8)) is None


def test_noise_carries_no_mark() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        assert mark.read(rng.integers(0, 256, (400, 640), dtype=np.uint8)) is None


def test_a_picture_too_small_for_a_mark_reads_as_nothing() -> None:
    assert mark.read(np.zeros((40, 40), np.uint8)) is None


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="32 bits"):
        mark.stamp(np.zeros((600, 960), np.uint8), 2**32)
    with pytest.raises(ValueError, match="too small"):
        mark.stamp(np.zeros((100, 960), np.uint8), 1)


def test_stays_within_its_strip() -> None:
    pixels = np.full((600, 960), 7, np.uint8)
    mark.stamp(pixels, 123)
    assert (pixels[mark.strip_height(600) :] == 7).all()
    assert (pixels[:, mark.strip_width(600) :] == 7).all()
