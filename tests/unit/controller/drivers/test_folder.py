"""The folder camera: order, end, and files that are not what they seem."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from controller.drivers.camera.folder import FolderCamera
from controller.errors import ConfigError, DeviceRefused, DeviceUnavailable
from models.frame import Frame
from statemachines.vocabulary import MS, Ns, PartKey

PART = PartKey(1, "plc", 1)


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


def save(path: Path, pixels: Any) -> None:
    _, png = cv2.imencode(".png", pixels)
    path.write_bytes(png.tobytes())


def grey(value: int) -> Any:
    return np.full((4, 6), value, dtype=np.uint8)


async def shoot(camera: FolderCamera) -> Frame:
    return await camera.capture(PART, "top", within(0), within(2000), within(5000))


async def opened(folder: Path, **settings: Any) -> FolderCamera:
    camera = FolderCamera("cam", folder, **settings)
    await camera.open(within(10_000))
    return camera


async def test_plays_by_name_and_starts_again(tmp_path: Path) -> None:
    for value in (30, 10, 20):
        save(tmp_path / f"{value} ü.png", grey(value))
    camera = await opened(tmp_path)
    assert [int((await shoot(camera)).pixels[0, 0]) for _ in range(7)] == [10, 20, 30, 10, 20, 30, 10]
    await camera.close()


async def test_shuffles_alike_for_one_seed_and_shows_each_once_a_round(tmp_path: Path) -> None:
    for value in range(12):
        save(tmp_path / f"{value:02}.png", grey(value))
    rounds: list[list[int]] = []
    for seed in (5, 5, 6):
        camera = await opened(tmp_path, order="shuffle", seed=seed)
        rounds.append([int((await shoot(camera)).pixels[0, 0]) for _ in range(24)])
        await camera.close()
    assert rounds[0] == rounds[1]
    assert rounds[0] != rounds[2]
    assert sorted(rounds[0][:12]) == sorted(rounds[0][12:]) == list(range(12))


async def test_ends_without_loop(tmp_path: Path) -> None:
    save(tmp_path / "a.png", grey(1))
    camera = await opened(tmp_path, loop=False)
    await shoot(camera)
    with pytest.raises(DeviceUnavailable):
        await shoot(camera)
    await camera.close()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_bytes(b"no image")


def _sixteen_bit(path: Path) -> None:
    save(path, np.full((4, 6), 4000, dtype=np.uint16))


@pytest.mark.parametrize("spoil", [_empty, _text, _sixteen_bit])
async def test_a_bad_file_costs_one_part(tmp_path: Path, spoil: Any) -> None:
    save(tmp_path / "1.png", grey(1))
    spoil(tmp_path / "2.png")
    save(tmp_path / "3.png", grey(3))
    camera = await opened(tmp_path)
    first = await shoot(camera)
    with pytest.raises(DeviceRefused, match=r"2\.png"):
        await shoot(camera)
    third = await shoot(camera)
    assert (int(first.pixels[0, 0]), int(third.pixels[0, 0])) == (1, 3)
    assert third.counter > first.counter
    await camera.close()


@pytest.mark.parametrize("channels", [1, 3, 4])
async def test_colours(tmp_path: Path, channels: int) -> None:
    pixels = np.zeros((4, 6, channels), dtype=np.uint8)
    pixels[:] = (10, 20, 200, 255)[:channels]  # OpenCV writes blue first
    save(tmp_path / "a.png", pixels)
    wanted = [10, 10, 10] if channels == 1 else [200, 20, 10]
    rgb, one = await opened(tmp_path, colour="rgb"), await opened(tmp_path, colour="grey")
    assert (await shoot(rgb)).pixels[0, 0].tolist() == wanted
    assert (await shoot(one)).pixels.shape == (4, 6)
    await rgb.close()
    await one.close()


@pytest.mark.parametrize("make", [True, False])
async def test_an_empty_folder_is_refused_at_open(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "images"
    if make:
        folder.mkdir()
    with pytest.raises(ConfigError, match="images"):
        await opened(folder)
