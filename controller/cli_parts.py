"""`linegate parts`: list, show and export what the journal holds, also while the station runs."""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.drivers.record.query import PART_FIELDS, JournalReader, Part, PartFilter
from controller.errors import ConfigError, RecordError
from statemachines.vocabulary import Reason, Verdict

FOUND, NOT_FOUND, BAD_INPUT = 0, 1, 2

_EXAMPLES = """examples:
  linegate parts list --station station.toml --verdict ng --since 2h
  linegate parts show --journal data/journal.db 4711
  linegate parts show --journal data/journal.db 12/plc/310 --picture part.png
  linegate parts export --station station.toml --since 2026-11-23 --format csv --out monday.csv
"""
_TIME_HELP = "local time (2026-11-23, 2026-11-23T14:30, with +00:00 for UTC) or an age (30m, 2h, 7d)"
T = TypeVar("T", Verdict, Reason)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


# The type of what add_subparsers() returns has no public name.
def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `parts` with its verbs to the program's sub-commands; `run` carries them out."""
    style = argparse.RawDescriptionHelpFormatter
    parts = subparsers.add_parser(
        "parts", help="look up inspected parts in the journal", epilog=_EXAMPLES, formatter_class=style
    )
    parts.set_defaults(run=run)
    verbs = parts.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="the newest parts", epilog=_EXAMPLES, formatter_class=style)
    show = verbs.add_parser("show", help="all about one part", epilog=_EXAMPLES, formatter_class=style)
    export = verbs.add_parser("export", help="parts as JSON or CSV", epilog=_EXAMPLES, formatter_class=style)
    for parser in (listing, show, export):
        place = parser.add_mutually_exclusive_group(required=True)
        place.add_argument("--journal", type=Path, metavar="PATH", help="the journal file")
        place.add_argument("--station", type=Path, metavar="STATION.toml", help="the station whose journal it is")
    show.add_argument("part", help="part id, or epoch/source/seq")
    show.add_argument("--picture", type=Path, metavar="FILE.png", help="all views of the newest, side by side")
    for parser in (listing, show):
        parser.add_argument("--json", action="store_true", help="JSON for programs instead of text for people")
    for parser, limit in ((listing, 50), (export, 0)):
        parser.add_argument("--part", help="part id")
        parser.add_argument("--since", help=_TIME_HELP)
        parser.add_argument("--until", help=_TIME_HELP)
        parser.add_argument("--recipe", help="recipe number, or the first 4 or more digits of its hash")
        parser.add_argument("--verdict", help=_names(Verdict))
        parser.add_argument("--reason", help=_names(Reason))
        parser.add_argument("--limit", type=int, default=limit, help="newest so many, 0 = all (default %(default)s)")
    export.add_argument("--format", choices=("json", "csv"), default="json")
    export.add_argument("--out", type=Path, metavar="FILE", help="write here instead of to the terminal")


def run(args: argparse.Namespace) -> int:
    """Carry out one of the verbs. Returns 0, 1 when nothing was found, 2 when the question makes no sense."""
    try:
        with JournalReader(_journal(args)) as reader:
            if args.verb == "show":
                return _show(reader, args)
            parts = reader.parts(_filter(args))
            return _list(parts, args) if args.verb == "list" else _export(parts, args)
    except (ValueError, OverflowError, ConfigError, RecordError, OSError) as error:
        print(f"linegate parts: {error}", file=sys.stderr)
        return BAD_INPUT


def parse_time(text: str, now: float) -> int:
    """A time as people type it, as Unix ns. now: Unix seconds. Raises ValueError."""
    age = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if age:
        return int((now - int(age[1]) * _UNITS[age[2]]) * 1e9)
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1e9)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no time: give {_TIME_HELP}") from error


def _journal(args: argparse.Namespace) -> Path:
    if args.journal is not None:
        return args.journal
    # Loaded only here: the configuration brings pydantic along, which `--journal` can do without.
    from controller.config import load_station

    return load_station(args.station).journal_path


def _filter(args: argparse.Namespace) -> PartFilter:
    now = time.time()
    if args.limit < 0:
        raise ValueError(f"--limit {args.limit}: give 0 for all, or a number above")
    return PartFilter(
        part_id=args.part,
        since_ns=parse_time(args.since, now) if args.since else None,
        until_ns=parse_time(args.until, now) if args.until else None,
        recipe=args.recipe,
        verdict=_member(Verdict, args.verdict, "--verdict"),
        reason=_member(Reason, args.reason, "--reason"),
        limit=args.limit,
    )


def _list(parts: Iterable[Part], args: argparse.Namespace) -> int:
    found = list(parts)
    if args.json:
        _write_json(found, sys.stdout)
    elif found:
        table = Table("time", "part", "verdict", "reason", "action", "mode", "why", "latency ms", "key")
        for part in found:
            latency = "" if part["latency_us"] is None else f"{part['latency_us'] / 1000:.1f}"
            cells = (part[name] for name in ("time", "part_id", "verdict", "reason", "action", "mode", "why"))
            table.add_row(*(_cell(cell) for cell in cells), _cell(latency), _cell(_key(part)))
        Console().print(table)
    else:
        print("no such part", file=sys.stderr)
    return FOUND if found else NOT_FOUND


def _show(reader: JournalReader, args: argparse.Namespace) -> int:
    found = reader.details(args.part)
    if args.json:
        _write_json(found, sys.stdout)
    elif not found:
        print("no such part", file=sys.stderr)
    if args.picture is not None and found:
        _draw(found[0], args.picture)
    console = Console()
    for part in [] if args.json else found:
        table = Table("what", "value", title=_cell(f"part {part['part_id']} ({_key(part)})"))
        for name, value in part.items():
            if not isinstance(value, list):
                table.add_row(name, _cell(value))
        for name in ("findings", "frames", "images", "late", "gate", "events"):
            for entry in part[name]:
                table.add_row(name, _cell(", ".join(f"{key} {value}" for key, value in entry.items())))
        console.print(table)
    return FOUND if found else NOT_FOUND


def _draw(part: Part, file: Path) -> None:
    # Loaded only here: looking up rows needs no image library.
    import cv2

    from controller.part_picture import side_by_side

    picture = side_by_side(part["images"], part["frames"], part["findings"])
    if picture is None:
        raise ValueError(f"part {_key(part)}: none of its images is there any more")
    done, encoded = cv2.imencode(file.suffix or ".png", picture)
    if not done:
        raise ValueError(f"--picture {file}: {file.suffix} is no kind of picture: use .png or .jpg")
    file.write_bytes(encoded.tobytes())


def _export(parts: Iterable[Part], args: argparse.Namespace) -> int:
    target = nullcontext(sys.stdout) if args.out is None else args.out.open("w", encoding="utf-8", newline="")
    with target as file:
        count = _write_csv(parts, file) if args.format == "csv" else _write_json(parts, file)
    return FOUND if count else NOT_FOUND


def _write_json(parts: Iterable[Part], file: TextIO) -> int:
    count = 0
    for part in parts:
        file.write("[\n" if count == 0 else ",\n")
        # ASCII only: whatever a part id holds, no terminal or code page trips over it.
        file.write(json.dumps(part, allow_nan=False))
        count += 1
    file.write("\n]\n" if count else "[]\n")
    return count


def _write_csv(parts: Iterable[Part], file: TextIO) -> int:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(PART_FIELDS)
    count = 0
    for part in parts:
        table.writerow([_safe_cell(part[name]) for name in PART_FIELDS])
        count += 1
    return count


def _safe_cell(value: Any) -> Any:
    # A spreadsheet would run a text that begins like this as a formula; the apostrophe makes it plain text there.
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def _cell(value: Any) -> Text:
    # Neither markup nor control characters of a part id may steer the terminal.
    text = "" if value is None else str(value)
    return Text("".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text))


def _key(part: Part) -> str:
    return f"{part['epoch']}/{part['source']}/{part['seq']}"


def _names(kind: type[Verdict] | type[Reason]) -> str:
    return ", ".join(member.name.lower() for member in kind)


def _member(kind: type[T], text: str | None, option: str) -> T | None:
    if text is None:
        return None
    try:
        return kind[text.upper().replace("-", "_")]
    except KeyError as error:
        raise ValueError(f"{option} {text!r}: give one of {_names(kind)}") from error
