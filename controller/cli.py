"""The command `linegate`. Each sub-command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from controller import cli_camera, cli_model, cli_parts, cli_plc, cli_trust, cli_users

_EXIT = "exit codes: 0 done, 2 configuration is wrong"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the command, return its exit code."""
    args = _parser().parse_args(arguments)
    return int(args.run(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="linegate",
        description="Inspection controller for a production line: one answer per part, for that part, in time.",
        epilog="example: linegate demo --parts 300 --rate 120",
    )
    parser.add_argument("--version", action="version", version=f"linegate {version('linegate')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_check(commands)
    _add_demo(commands)
    cli_parts.add_parser(commands)
    cli_trust.add_parser(commands)
    cli_users.add_parser(commands)
    cli_camera.add_parser(commands)
    cli_plc.add_parser(commands)
    cli_model.add_parser(commands)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    run = commands.add_parser(
        "run",
        help="run a station",
        description="Run a station until it is stopped. A guard restarts it after a hang or a crash.",
        epilog=f"example: linegate run /etc/linegate/station.toml   ({_EXIT}, 70 the station asks for a restart)",
    )
    run.add_argument("station", type=Path, metavar="STATION.toml")
    run.add_argument("--once", action="store_true", help="in this process, without a guard (for systemd)")
    run.set_defaults(run=_run)


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    check = commands.add_parser(
        "check",
        help="check a station's configuration",
        description="Check station.toml, all recipes, catalogues and model packages. Names file, key, value and cure.",
        epilog=f"example: linegate check station.toml --json   ({_EXIT})",
    )
    check.add_argument("station", type=Path, metavar="STATION.toml")
    check.add_argument("--json", action="store_true", help="problems as a JSON list")
    check.set_defaults(run=_check)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
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
    from controller.app import run_station
    from controller.config import ConfigErrors, load_station
    from controller.exit_codes import CONFIG_ERROR

    try:
        config = load_station(args.station)
    except ConfigErrors as errors:
        sys.stderr.write(f"{errors}\n")
        return CONFIG_ERROR
    return run_station(config)


def _check(args: argparse.Namespace) -> int:
    from controller.check import run_check

    return run_check(args.station, as_json=args.json)


def _demo(args: argparse.Namespace) -> int:
    from controller.sim.demo import run_demo

    return run_demo(args)
