"""The command `linegate`. Each sub-command imports what it needs when it runs: a station has to start soon."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

_EXIT = "exit codes: 0 done, 2 configuration is wrong"


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the command, return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    args = _parser(given[0] if given else "").parse_args(given)
    return int(args.run(args))


def _parser(named: str) -> argparse.ArgumentParser:
    """The parser with the command that is named; with all of them where it is none, for help and for the error."""
    parser = argparse.ArgumentParser(
        prog="linegate",
        description="Inspection controller for a production line: one answer per part, for that part, in time.",
        epilog="example: linegate demo --parts 300 --rate 120",
    )
    parser.add_argument("--version", action="version", version=f"linegate {version('linegate')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in [named] if named in _COMMANDS else _COMMANDS:
        _COMMANDS[name](commands)
    return parser


def _add_run(commands: _Commands) -> None:
    run = commands.add_parser(
        "run",
        help="run a station",
        description="Run a station until it is stopped. A guard restarts it after a hang or a crash.",
        epilog=f"example: linegate run /etc/linegate/station.toml   ({_EXIT}, 70 the station asks for a restart)",
    )
    run.add_argument("station", type=Path, metavar="STATION.toml")
    run.add_argument("--once", action="store_true", help="in this process, without a guard (for systemd)")
    run.set_defaults(run=_run)


def _add_check(commands: _Commands) -> None:
    check = commands.add_parser(
        "check",
        help="check a station's configuration",
        description="Check station.toml, all recipes, catalogues and model packages. Names file, key, value and cure.",
        epilog=f"example: linegate check station.toml --json   ({_EXIT})",
    )
    check.add_argument("station", type=Path, metavar="STATION.toml")
    check.add_argument("--json", action="store_true", help="problems as a JSON list")
    check.set_defaults(run=_check)


def _add_prepare(commands: _Commands) -> None:
    prepare = commands.add_parser(
        "prepare",
        help="do once what the first start of a station would have to do",
        description="Import the OPC UA models of the status server, once after an installation or an update, as the "
        "user who did it. Without this the first start of each station does it for itself, and its status server can "
        "be reached some ten seconds later than after the next ones.",
        epilog=f"example: linegate prepare   ({_EXIT})",
    )
    prepare.set_defaults(run=_prepare)


def _add_demo(commands: _Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="run a station on the simulated line",
        description="A soft PLC, a conveyor of machined parts with known defects, and the real station.",
        epilog="example: linegate demo --parts 300 --rate 120 --seed 1 --json -   "
        "(exit codes: 0 every part got its one answer, 1 one did not, 3 the simulation failed)",
    )
    demo.add_argument("--parts", type=_positive, default=300, help="how many parts (default 300)")
    demo.add_argument("--rate", type=float, default=120.0, metavar="PPM", help="parts per minute (default 120)")
    demo.add_argument("--seed", type=int, default=1, help="of parts and jitter (default 1)")
    demo.add_argument("--jitter-ms", type=float, default=5.0, help="of the parts' arrival (default 5)")
    demo.add_argument("--mode", choices=("SHADOW", "ALERT", "AUTO_REJECT"), default="AUTO_REJECT")
    demo.add_argument(
        "--protocol", choices=("opcua", "ethernet-ip", "modbus", "modbus-server"), default="opcua", help="of the PLC"
    )
    demo.add_argument("--profile", choices=("sequence", "four-phase"), default="sequence", help="of the handshake")
    demo.add_argument("--camera", choices=("sim", "gentl"), default="sim", help="gentl: through harvesters")
    demo.add_argument(
        "--trigger",
        choices=("software", "hardware"),
        default="software",
        help="of GenTL cameras; hardware: by the line",
    )
    demo.add_argument("--views", type=int, choices=(1, 2, 3, 4), default=1, help="cameras on each part (default 1)")
    demo.add_argument("--redundant", action="store_true", help="one more camera stands in for the first")
    demo.add_argument("--status-clients", type=int, default=0, metavar="N", help="OPC UA readers of the status")
    demo.add_argument("--json", metavar="FILE", help="write the figures there, - for standard output")
    demo.add_argument("--keep", metavar="DIR", help="keep configuration, journal and images there")
    demo.set_defaults(run=_demo)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _run(args: argparse.Namespace) -> int:
    if not args.once:
        from controller.guard import guard_station

        return guard_station(args.station)
    from controller.config import ConfigErrors, load_station
    from controller.exit_codes import CONFIG_ERROR
    from controller.start import run_station

    try:
        config = load_station(args.station)
    except ConfigErrors as errors:
        sys.stderr.write(f"{errors}\n")
        return CONFIG_ERROR
    return run_station(config)


def _check(args: argparse.Namespace) -> int:
    from controller.check import run_check

    return run_check(args.station, as_json=args.json)


def _prepare(_args: argparse.Namespace) -> int:
    from controller.errors import ConfigError
    from controller.exit_codes import CONFIG_ERROR
    from controller.status.prepare import prepare

    try:
        sys.stdout.write(f"prepared: {prepare()}\n")
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return CONFIG_ERROR
    return 0


def _demo(args: argparse.Namespace) -> int:
    from controller.sim.demo import run_demo

    return run_demo(args)


def _add_parts(commands: _Commands) -> None:
    from controller.cli_parts import add_parser

    add_parser(commands)


def _add_data(commands: _Commands) -> None:
    from controller.cli_data import add_parser

    add_parser(commands)


def _add_catalogue(commands: _Commands) -> None:
    from controller.cli_catalogue import add_parser

    add_parser(commands)


def _add_model(commands: _Commands) -> None:
    from controller.cli_model import add_parser

    add_parser(commands)


def _add_trust(commands: _Commands) -> None:
    from controller.cli_trust import add_parser

    add_parser(commands)


def _add_users(commands: _Commands) -> None:
    from controller.cli_users import add_parser

    add_parser(commands)


def _add_camera(commands: _Commands) -> None:
    from controller.cli_camera import add_parser

    add_parser(commands)


def _add_plc(commands: _Commands) -> None:
    from controller.cli_plc import add_parser

    add_parser(commands)


_COMMANDS: dict[str, Callable[[_Commands], None]] = {
    "run": _add_run,
    "check": _add_check,
    "prepare": _add_prepare,
    "demo": _add_demo,
    "parts": _add_parts,
    "trust": _add_trust,
    "users": _add_users,
    "camera": _add_camera,
    "plc": _add_plc,
    "data": _add_data,
    "catalogue": _add_catalogue,
    "model": _add_model,
}
