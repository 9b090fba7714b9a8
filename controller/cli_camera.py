"""`linegate camera`: which cameras are there, what they can be set to, what they see, how sharp it is."""

from __future__ import annotations

import argparse
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
        if name != "grab":
            action.add_argument("--frames", type=int, default=0, metavar="N", help="end after so many; 0: until Ctrl-C")
        action.set_defaults(run=run)


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


def _run(action: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        from controller import camera_bench

        return int(getattr(camera_bench, action)(args))

    return run
