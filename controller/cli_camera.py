"""`linegate camera`: which cameras are there, what they can be set to, what they see, how sharp it is."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

_EXIT = "exit codes: 0 done, 2 configuration is wrong, 3 the camera does not answer"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `linegate camera`."""
    camera = commands.add_parser(
        "camera",
        help="list, set up and focus cameras",
        description="GenTL cameras at the bench, and the cameras of a station. Not beside a station that is running: "
        "a camera belongs to one program.",
        epilog=f"example: linegate camera list --producer /opt/vendor/lib/producer.cti   ({_EXIT})",
    )
    actions = camera.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add(
        actions,
        "list",
        "cameras that the installed GenTL producers show",
        _run("list_cameras"),
        "--producer /opt/vendor/x.cti --json",
    )
    features = _add(
        actions, "features", "what a camera can be set to", _run("list_features"), "--producer x.cti --device 4711"
    )
    features.add_argument("--device", default="", help="serial number or user-defined name")
    _add_calibrate(actions)
    _add_learn(actions)
    for name, what, run in (
        ("grab", "take one picture into a file", _run("grab")),
        ("preview", "keep a picture file current until Ctrl-C", _run("preview")),
        ("focus", "a live figure of sharpness for the person at the lens", _run("focus")),
    ):
        action = actions.add_parser(
            name,
            help=what,
            description=what,
            epilog=f"example: linegate camera {name} station.toml --camera top ({_EXIT})",
        )
        action.add_argument("station", type=Path, metavar="STATION.toml")
        action.add_argument("--camera", required=True, metavar="NAME", help="as station.toml calls it")
        if name != "focus":
            action.add_argument(
                "--out", type=Path, default=Path("camera.png"), metavar="FILE", help="default camera.png"
            )
        action.add_argument("--json", action="store_true", help="a line of JSON for each frame")
        if name == "preview":
            action.add_argument("--terminal", action="store_true", help="draw it on the terminal as well")
        if name != "grab":
            action.add_argument("--frames", type=int, default=0, metavar="N", help="end after so many; 0: until Ctrl-C")
        action.set_defaults(run=run)


def _add_calibrate(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    action = actions.add_parser(
        "calibrate",
        help="mm per pixel of a view, with a printed target",
        description="Prints the target into a PDF at true size, or calibrates a camera with it: first flat on the "
        "inspection plane, at the height of the inspected surface, then tilted to all sides. Needs no key press: a "
        "picture is kept as soon as the target is still and in a new pose.",
        epilog="example: linegate camera calibrate --print target.pdf --view-mm 96; then: linegate camera calibrate "
        "station.toml --camera top --target 14x9x6.5 --measured-mm 90.1 --out recipes/washer/top.calibration.json   "
        f"({_EXIT}, 1 the pictures do not do)",
    )
    action.add_argument("station", type=Path, nargs="?", metavar="STATION.toml")
    action.add_argument("--print", type=Path, metavar="FILE.pdf", help="write the target there, and nothing else")
    action.add_argument("--paper", choices=("A5", "A4", "A3"), default="A4", help="of the PDF (default A4)")
    action.add_argument("--view-mm", type=float, metavar="MM", help="width that the camera sees: the target fills it")
    action.add_argument("--target", metavar="CxRxMM", help="as it stands below the print, like 14x9x6.5")
    action.add_argument("--camera", metavar="NAME", help="as station.toml calls it")
    action.add_argument("--out", type=Path, metavar="FILE.json", help="beside the recipe that it is for")
    action.add_argument("--measured-mm", type=float, metavar="MM", help="the line below the print, as you measure it")
    action.add_argument("--days", type=int, default=91, help="good for so long (default 91, a quarter)")
    action.add_argument(
        "--from", dest="from_folder", type=Path, metavar="FOLDER", help="PNG pictures instead of the camera; the first "
        "by name shows the target in place"
    )  # fmt: skip
    action.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the pictures there, for --from")
    action.add_argument("--json", action="store_true", help="the calibration as JSON")
    action.set_defaults(run=_run("calibrate", "camera_calibrate"))


def _add_learn(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    action = actions.add_parser(
        "learn",
        help="what a view's good images are like",
        description="Learns brightness, highlights, white, focus, noise and shading from good frames of parts, good "
        "and bad parts as they come, into a file beside the recipe. Pictures as the camera gives them: PNG, not JPEG.",
        epilog="example: linegate camera learn station.toml --camera top --view top --frames 300 "
        f"--out recipes/washer/top.bands.json   ({_EXIT}, 1 the images do not do)",
    )
    action.add_argument("station", type=Path, metavar="STATION.toml")
    action.add_argument("--camera", required=True, metavar="NAME", help="as station.toml calls it")
    action.add_argument("--view", required=True, metavar="NAME", help="as recipe.toml calls it")
    action.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="beside the recipe that it is for")
    action.add_argument("--frames", type=int, default=200, metavar="N", help="how many (default 200)")
    action.add_argument("--from", dest="from_folder", type=Path, metavar="FOLDER", help="PNG pictures, not the camera")
    action.add_argument("--patch", type=_region, metavar="X,Y,W,H", help="a mark on the fixture that must be seen")
    action.add_argument("--json", action="store_true", help="the bands as JSON")
    action.set_defaults(run=_run("learn", "camera_calibrate"))


def _add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
    name: str,
    what: str,
    run: Callable[[argparse.Namespace], int],
    example: str,
) -> argparse.ArgumentParser:
    action = actions.add_parser(
        name, help=what, description=what, epilog=f"example: linegate camera {name} {example}   ({_EXIT})"
    )
    action.add_argument(
        "--producer", type=Path, action="append", metavar="FILE.cti", help="default: all in GENICAM_GENTL64_PATH"
    )
    action.add_argument("--json", action="store_true", help="as a JSON list")
    action.set_defaults(run=run)
    return action


def _run(action: str, module: str = "camera_bench") -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        return int(getattr(importlib.import_module(f"controller.{module}"), action)(args))

    return run


def _region(text: str) -> tuple[int, ...]:
    """x,y,width,height."""
    numbers = tuple(int(part) for part in text.split(","))
    if len(numbers) != 4 or min(numbers[:2]) < 0 or min(numbers[2:]) < 8:
        raise argparse.ArgumentTypeError("is x,y,width,height in pixels; width and height from 8")
    return numbers
