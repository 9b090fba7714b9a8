"""A person at the bench with a camera: list, features, one picture, a live picture, a live figure of sharpness."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from controller.config import ConfigErrors, load_station
from controller.errors import ConfigError, DeviceError
from controller.exit_codes import CONFIG_ERROR
from models.frame import Frame
from statemachines.vocabulary import MS, Ns, PartKey

DEVICE_ERROR = 3
"""Exit code: the camera does not answer."""


def list_cameras(args: argparse.Namespace) -> int:
    usb = [] if args.producer else usb_cameras(VIDEO_DEVICES)
    try:
        from controller.drivers.camera.genicam_survey import find_cameras, producers
    except ImportError as error:
        return _show(args.json, usb) if usb else _needs_genicam(error)
    files: list[Path] = args.producer or producers()
    if not files and not usb:
        sys.stderr.write(
            "no USB camera and no GenTL producer: give --producer, or set GENICAM_GENTL64_PATH to the vendor's folder\n"
        )
        return CONFIG_ERROR
    try:
        found = find_cameras(files)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return CONFIG_ERROR
    rows: list[dict[str, object]] = [*(asdict(camera) for camera in found), *usb]
    return _show(args.json, rows)


def _needs_genicam(error: ImportError) -> int:
    sys.stderr.write(f"needs the extra genicam: pip install linegate[genicam] ({error})\n")
    return CONFIG_ERROR


VIDEO_DEVICES = Path("/sys/class/video4linux")
"""Where Linux lists USB cameras, each as videoN with its name."""


def usb_cameras(devices: Path) -> list[dict[str, object]]:
    """Cameras for kind "opencv", in the words of the GenTL ones; `serial` is what `device` takes."""
    found: list[dict[str, object]] = []
    for folder in sorted(devices.glob("video*")):
        name = (folder / "name").read_text(encoding="utf-8", errors="replace").strip()
        number = folder.name.removeprefix("video")
        found.append(
            {"producer": "opencv", "serial": number, "user_name": "", "vendor": "", "model": name, "transport": "USB"}
        )
    return found


def list_features(args: argparse.Namespace) -> int:
    try:
        from controller.drivers.camera.genicam_survey import producers, read_features
    except ImportError as error:
        return _needs_genicam(error)
    files: list[Path] = args.producer or producers()
    if len(files) != 1:
        sys.stderr.write(f"{len(files)} GenTL producers: name one with --producer\n")
        return CONFIG_ERROR
    try:
        found = read_features(files[0], args.device)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return CONFIG_ERROR
    except DeviceError as error:
        sys.stderr.write(f"{error}\n")
        return DEVICE_ERROR
    return _show(args.json, [asdict(feature) for feature in found])


def _show(as_json: bool, rows: list[dict[str, object]]) -> int:
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return 0
    table = Table(*(rows[0] if rows else ("nothing found",)))
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    return 0


def grab(args: argparse.Namespace) -> int:
    async def look(capture: Callable[[], Awaitable[Frame]]) -> None:
        frame = await capture()
        save_picture(frame, args.out)
        if args.json:
            _line(_facts(frame) | {"file": str(args.out)})
            return
        Console().print(f"{args.out}: {frame.pixels.shape[1]}x{frame.pixels.shape[0]}, camera {frame.camera}")

    return with_camera(args, look)


def preview(args: argparse.Namespace) -> int:
    async def look(capture: Callable[[], Awaitable[Frame]]) -> None:
        console, count = Console(), 0
        while not args.frames or count < args.frames:
            frame = await capture()
            count += 1
            save_picture(frame, args.out)
            if args.json:
                _line(_facts(frame) | {"file": str(args.out)})
            elif args.terminal:
                sys.stdout.write(as_blocks(frame, *console.size))
            else:
                console.print(f"frame {frame.counter}: mean grey {frame.pixels.mean():.0f}, {args.out}", end="\r")
            await asyncio.sleep(0.1)

    return with_camera(args, look)


def focus(args: argparse.Namespace) -> int:
    async def look(capture: Callable[[], Awaitable[Frame]]) -> None:
        console, best, count = Console(), 0.0, 0
        while not args.frames or count < args.frames:
            frame = await capture()
            figure = sharpness(frame)
            best, count = max(best, figure), count + 1
            if args.json:
                _line({"frame": frame.counter, "sharpness": round(figure, 2), "best": round(best, 2)})
                continue
            bar = "█" * round(40 * figure / best) if best else ""
            console.print(f"sharpness {figure:10.1f}   best {best:10.1f}   {bar:40s}", end="\r", highlight=False)
        if not args.json:
            console.print()

    return with_camera(args, look)


def sharpness(frame: Frame) -> float:
    """Variance of the Laplacian over the middle half of the picture: rises with focus, compare at the same scene only.

    Source of the measure: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    grey = (
        frame.pixels if frame.pixels.ndim == 2 else np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    )
    height, width = grey.shape
    middle = np.ascontiguousarray(grey[height // 4 : height - height // 4, width // 4 : width - width // 4])
    return float(cv2.Laplacian(middle, cv2.CV_64F).var())


def with_camera(args: argparse.Namespace, look: Callable[[Callable[[], Awaitable[Frame]]], Awaitable[None]]) -> int:
    """Open a camera of a station, let somebody look through it, close it."""
    from controller.camera_kinds import camera_of

    async def use() -> None:
        config = load_station(args.station)
        known = {camera.name: camera for camera in config.cameras}
        if args.camera not in known:
            cure = f"the station has {', '.join(sorted(known))}"
            raise ConfigError(str(args.station), "cameras.name", args.camera, cure)
        camera = camera_of(known[args.camera])
        await camera.open(_in(20_000))
        number = 0

        async def capture() -> Frame:
            nonlocal number
            number += 1
            return await camera.capture(PartKey(0, "bench", number), "bench", _in(0), _in(2_000), _in(5_000))

        try:
            await look(capture)
        finally:
            await camera.close()

    try:
        asyncio.run(use())
    except (ConfigErrors, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return CONFIG_ERROR
    except DeviceError as error:
        sys.stderr.write(f"{error}\n")
        return DEVICE_ERROR
    except KeyboardInterrupt:
        return 0
    return 0


def _facts(frame: Frame) -> dict[str, object]:
    height, width = frame.pixels.shape[:2]
    mean = round(float(frame.pixels.mean()), 1)
    return {"camera": frame.camera, "frame": frame.counter, "width": width, "height": height, "mean": mean}


def _line(facts: dict[str, object]) -> None:
    """One line of JSON, at once: a program may read along."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def as_blocks(frame: Frame, columns: int, lines: int) -> str:
    """The picture in characters of a terminal, two pixels in each, from its upper left corner on."""
    height, width = frame.pixels.shape[:2]
    scale = min(columns / width, 2 * (lines - 1) / height)
    size = max(1, int(width * scale)), max(2, int(height * scale) // 2 * 2)
    small = np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    if small.ndim == 2:
        small = np.repeat(small[..., None], 3, axis=2)
    rows = [
        "".join(_cell(upper, lower) for upper, lower in zip(small[y], small[y + 1], strict=True))
        for y in range(0, size[1], 2)
    ]
    return "\x1b[H" + "\n".join(f"{row}\x1b[0m\x1b[K" for row in rows) + "\n\x1b[J"


def _cell(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> str:
    """An upper half block: its own colour above, the background's below."""
    above, below = (";".join(str(int(value)) for value in pixel) for pixel in (upper, lower))
    return f"\x1b[38;2;{above}m\x1b[48;2;{below}m▀"


def save_picture(frame: Frame, path: Path) -> None:
    """Write a frame into a picture file; its name says the format."""
    pixels = frame.pixels if frame.pixels.ndim == 2 else cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)
    ending = path.suffix or ".png"
    _, encoded = cv2.imencode(ending, pixels)
    path.write_bytes(encoded.tobytes())


def _in(milliseconds: int) -> Ns:
    return Ns(time.monotonic_ns() + milliseconds * MS)
