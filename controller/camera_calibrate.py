"""`linegate camera calibrate` and `learn`: a person at the bench teaches the station its view, in mm and in looks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from controller.camera_bench import save_picture, with_camera
from controller.errors import ConfigError
from controller.exit_codes import CONFIG_ERROR
from models.errors import CalibrationRefused, ImagesRefused
from models.frame import Frame
from models.optics import bands, calibration
from models.optics.figures import Figures, Pixels, measure
from models.optics.poses import POSES, PoseCollector
from models.optics.solve import Sighting, find_target, solve
from models.optics.target import Target, ruler_mm, to_pdf

REFUSED = 1
"""Exit code: the pictures do not do."""


def calibrate(args: argparse.Namespace) -> int:
    """Make the target, or calibrate with it."""
    try:
        if args.print is not None:
            return _print_target(args)
        for name in ("station", "camera", "target", "out"):
            if getattr(args, name) is None:
                raise ConfigError("command line", name, "", "is missing: see linegate camera calibrate --help")
        target = Target.parse(args.target)
        if args.measured_mm is not None and not 0.9 < args.measured_mm / ruler_mm(target) < 1.1:
            cure = f"the line below this target is {ruler_mm(target):g} mm long on a true print: measure it again"
            raise ConfigError("command line", "measured-mm", args.measured_mm, cure)
        return _calibrate(args, target)
    except (ConfigError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return CONFIG_ERROR
    except CalibrationRefused as error:
        sys.stderr.write(f"not calibrated: {error}\n")
        return REFUSED


def _print_target(args: argparse.Namespace) -> int:
    target = Target.parse(args.target) if args.target else Target.for_view(args.paper, args.view_mm)
    args.print.write_bytes(to_pdf(target, args.paper))
    Console().print(
        f"{args.print}: target {target} on {args.paper}. Print it at 100 %, glue it onto a stiff plate and measure the "
        f"line below it ({ruler_mm(target):g} mm). Then: linegate camera calibrate STATION.toml --camera NAME "
        f"--target {target} --measured-mm ... --out recipes/PRODUCT/VIEW.calibration.json",
        highlight=False,
    )
    return 0


def _calibrate(args: argparse.Namespace, target: Target) -> int:
    camera: str = args.camera
    if args.from_folder is not None:
        sightings = _from_files(target, args.from_folder)
    else:
        poses = PoseCollector(target)

        async def look(capture: Callable[[], Awaitable[Frame]]) -> None:
            nonlocal camera
            camera = await _collect(args, poses, capture)

        code = with_camera(args, look)
        if code or not poses.complete:
            return code or REFUSED
        sightings = poses.kept
    solution = solve(target, sightings[0], sightings[1:])
    found = calibration.from_solution(
        solution, target, camera, datetime.now(UTC), measured_mm=args.measured_mm, days=args.days
    )
    calibration.save(found, args.out)
    low, high = found.range_mm_per_px()
    if args.json:
        shown = found.model_dump(mode="json", by_alias=True) | {"mm_per_px_range": [low, high]}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return 0
    console = Console(highlight=False)
    console.print(
        f"{args.out}: {found.mm_per_px:.5g} mm per pixel in the middle (± {found.uncertainty:.2%}), {low:.5g} to "
        f"{high:.5g} over the frame; corners fit within {found.rms_px:.2f} px; {found.pictures} pictures; good until "
        f"{found.expires:%Y-%m-%d}"
    )
    if args.measured_mm is None:
        console.print("The print was not measured: most of the uncertainty is the printer's. Give --measured-mm.")
    console.print(f'In the view of recipe.toml: calibration = "{args.out.name}" in place of mm_per_px and frame_px.')
    return 0


def _from_files(target: Target, folder: Path) -> list[Sighting]:
    """The first picture by name shows the target in place, all others show it tilted."""
    found: list[Sighting] = []
    for path, pixels in _pictures(folder):
        sighting = find_target(target, pixels)
        if sighting is None and not found:
            raise CalibrationRefused(f"{path} should show the target {target} in place, and too little of it is seen")
        if sighting is not None:
            found.append(sighting)
    if not found:
        raise CalibrationRefused(f"no pictures in {folder}")
    return found


def _pictures(folder: Path) -> Iterator[tuple[Path, Pixels]]:
    for path in sorted(folder.glob("*.png")):
        pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            raise ConfigError(str(folder), "picture", path.name, "is no image, or a damaged one: remove it")
        yield path, np.asarray(pixels, np.uint8)


async def _collect(args: argparse.Namespace, poses: PoseCollector, capture: Callable[[], Awaitable[Frame]]) -> str:
    """Watch the person until all poses are there; the camera as it calls itself."""
    console = Console(highlight=False, stderr=args.json)
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    while True:
        frame = await capture()
        before = len(poses.kept)
        advice = poses.show(_grey(frame))
        console.print(f"{len(poses.kept):2d} of {POSES}   {advice:70s}", end="\r")
        if len(poses.kept) > before:
            console.print()
            if args.keep is not None:
                save_picture(frame, args.keep / f"{before:02d}.png")
        if poses.complete:
            return frame.camera


def _grey(frame: Frame) -> Pixels:
    pixels = frame.pixels
    return pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


# --- what good images are like -----------------------------------------------------------------------------------


def learn(args: argparse.Namespace) -> int:
    """Learn a view's bands from good frames."""
    seen: list[Figures] = []
    kept: list[Pixels] = []

    def take(pixels: Pixels) -> None:
        seen.append(measure(pixels))
        if args.patch is not None:
            kept.append(pixels.copy())

    async def look(capture: Callable[[], Awaitable[Frame]]) -> None:
        console = Console(highlight=False, stderr=args.json)
        while len(seen) < args.frames:
            take((await capture()).pixels)
            console.print(f"{len(seen)} of {args.frames} good frames", end="\r")
        console.print()

    try:
        if args.from_folder is not None:
            for _, pixels in _pictures(args.from_folder):
                take(pixels)
        elif code := with_camera(args, look):
            return code
        learned = bands.learn(args.view, seen, None if args.patch is None else (args.patch, kept))
        bands.save(learned, args.out)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return CONFIG_ERROR
    except ImagesRefused as error:
        sys.stderr.write(f"not learned: {error}\n")
        return REFUSED
    _show_bands(learned, args.out, as_json=args.json)
    return 0


def _show_bands(learned: bands.ImageBands, path: Path, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(learned.model_dump_json(indent=2, by_alias=True, exclude={"cells", "spreads"}) + "\n")
        return
    console = Console(highlight=False)
    console.print(f"{path}: learned from {learned.frames} frames of view {learned.view}")
    for name in bands.MEASURES:
        band = learned.band(name)
        console.print(f"  {name:12} {band.low:10.4g} to {band.high:10.4g}")
    console.print(f'In [views.image] of recipe.toml: bands = "{path.name}"')
