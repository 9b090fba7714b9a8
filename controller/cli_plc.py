"""`linegate plc`: the tags of a station for a PLC brand, live on the terminal, and probed for access and speed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from controller.drivers.plc.tags import TAG_SETS
from controller.plc_commands.tag_list import Brand

_FORMATS = ("table", "csv", "json", "st", "scl")
_PROTOCOLS = ("opcua", "ethernet-ip", "modbus")

_EXAMPLES = """examples:
  linegate plc tags --brand siemens                      what to create in the PLC
  linegate plc tags --brand siemens --format scl --out DB_Linegate.scl
  linegate plc tags station.toml --csv
  linegate plc watch station.toml                        live, beside a running station; writes nothing
  linegate plc probe station.toml --inference-ms 4       before the first part
exit codes: 0 done, 2 configuration or a tag is wrong, 3 the PLC cannot be reached
"""


# The type of what add_subparsers() returns has no public name.
def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `plc` with its verbs to the program's sub-commands; `run` carries them out."""
    style = argparse.RawDescriptionHelpFormatter
    plc = subparsers.add_parser(
        "plc", help="tags of the PLC: list, watch, probe", epilog=_EXAMPLES, formatter_class=style
    )
    plc.set_defaults(run=run)
    verbs = plc.add_subparsers(dest="verb", required=True)
    tags = verbs.add_parser("tags", help="the tag list for a PLC brand", epilog=_EXAMPLES, formatter_class=style)
    tags.add_argument("station", type=Path, nargs="?", metavar="STATION.toml", help="its protocol, profile, addresses")
    tags.add_argument("--brand", choices=get_args(Brand), default="siemens", help="whose types (default siemens)")
    tags.add_argument("--protocol", choices=_PROTOCOLS, help="default: what the brand usually speaks")
    tags.add_argument("--profile", choices=tuple(TAG_SETS), help="default sequence")
    tags.add_argument("--depth", type=int, choices=(2, 4, 8, 16, 32, 64), help="slots in each ring (default 8)")
    tags.add_argument("--part-id", choices=("int", "string"), help="kind of part id (default int)")
    what = tags.add_mutually_exclusive_group()
    what.add_argument("--format", choices=_FORMATS, default="table", help="st, scl: sources to import")
    what.add_argument("--csv", dest="format", action="store_const", const="csv", help="same as --format csv")
    what.add_argument("--json", dest="format", action="store_const", const="json", help="same as --format json")
    tags.add_argument("--out", type=Path, metavar="FILE", help="write here instead of to the terminal")
    watch = verbs.add_parser("watch", help="live tags; writes nothing", epilog=_EXAMPLES, formatter_class=style)
    watch.add_argument("--interval", type=_positive, default=0.2, metavar="S", help="seconds (default 0.2)")
    watch.add_argument("--once", action="store_true", help="read once and end")
    probing = verbs.add_parser("probe", help="check and measure", epilog=_EXAMPLES, formatter_class=style)
    probing.add_argument("--requests", type=_count, default=200, metavar="N", help="of each kind (default 200)")
    probing.add_argument("--write", action="store_true", help="write back the values read, to measure writes")
    probing.add_argument("--exposure-ms", type=_positive, help="exposure and transfer of the image")
    probing.add_argument("--inference-ms", type=_positive, help="default: what the model package says")
    for parser in (watch, probing):
        parser.add_argument("station", type=Path, metavar="STATION.toml")
        parser.add_argument("--json", action="store_true", help="JSON for programs instead of text for people")


def run(args: argparse.Namespace) -> int:
    """Carry out one of the verbs. Returns 0, 2 for what a person must mend, 3 where the PLC cannot be reached."""
    # Only now: configuration and protocol libraries take a second to load, and `--help` needs none of them.
    from controller.plc_commands.verbs import run_verb

    return run_verb(args)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 100_000:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError("must be from 1 to 1000000")
    return value
