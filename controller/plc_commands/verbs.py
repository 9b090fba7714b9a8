"""The verbs of `linegate plc`, carried out: from the command line's words to a link, a list or a report."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import time
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import Progress

from controller.config import ConfigErrors, StationConfig, load_station
from controller.config_plc import PlcConfig
from controller.drivers.plc.opcua_nodes import Style
from controller.drivers.plc.tags import TAG_SETS
from controller.errors import ConfigError, ControllerError, DeviceError
from controller.exit_codes import CONFIG_ERROR
from controller.plc_commands import declarations, tag_list
from controller.plc_commands.live import Glance, TagValues, glance
from controller.plc_commands.measure import StationRuns
from controller.plc_commands.probe import ProbeOrder, ProbeReport, probe
from controller.plc_commands.screens import probe_screen, tag_screen, watch_screen
from controller.plc_links import plc_addresses, plc_link
from controller.ports import PlcLink, PlcTags
from statemachines.vocabulary import MS, Ns

DONE, UNREACHABLE = 0, 3

RETRY_S = 1.0
"""How long after a lost connection `watch` tries again."""

_SMALLEST: Mapping[str, Mapping[str, str]] = {
    "opcua": {"kind": "opcua", "endpoint": "opc.tcp://192.0.2.10:4840"},
    "ethernet-ip": {"kind": "ethernet_ip", "address": "192.0.2.10"},
    "modbus": {"kind": "modbus", "host": "192.0.2.10"},
}
"""The least that [plc] must say for each protocol, where no station's file says more. The address is never used."""

_USUAL: Mapping[tag_list.Brand, str] = {"rockwell": "ethernet-ip", "schneider": "modbus"}
_STYLES: Mapping[tag_list.Brand, Style] = {
    "siemens": "siemens",
    "codesys": "codesys",
    "beckhoff": "beckhoff",
    "rockwell": "kepware",
}


def run_verb(args: argparse.Namespace) -> int:
    """Carry out one of the verbs. Returns 0, 2 for what a person must mend, 3 where the PLC cannot be reached."""
    try:
        if args.verb == "tags":
            return _tags(args)
        station = load_station(args.station)
        link = plc_link(station, str(args.station), looking=True)
        if args.verb == "watch":
            work = watch(link, station, as_json=args.json, once=args.once, interval_s=args.interval)
        else:
            work = _probe(args, station, link)
        return _until_interrupted(work)
    except DeviceError as error:
        sys.stderr.write(f"linegate plc: {error}\n")
        return UNREACHABLE
    except (ControllerError, StationRuns, ValueError, OSError) as error:
        sys.stderr.write(f"linegate plc: {error}\n")
        return CONFIG_ERROR


def _tags(args: argparse.Namespace) -> int:
    plc = _plc_config(args)
    tags, brand = TAG_SETS[plc.profile], args.brand
    if args.format in ("st", "scl"):
        if args.format == "st":
            _put(declarations.structured_text(tags, plc.depth, brand, plc.part_id), args.out)
        else:
            _put(declarations.scl(tags, plc.depth, plc.part_id), args.out)
        return DONE
    rows = tag_list.tag_rows(tags, plc.depth, plc_addresses(plc), brand, plc.part_id)
    if args.format != "table":
        _put(tag_list.as_csv(rows) if args.format == "csv" else tag_list.as_json(rows), args.out)
        return DONE
    text = io.StringIO()
    # Names like Trigger[i] would be taken for markup.
    console = (
        Console(markup=False, highlight=False) if args.out is None else Console(file=text, width=160, markup=False)
    )
    console.print(f"{plc.kind}, {plc.profile} profile, {brand}")
    for part in tag_screen(rows, tags, plc.depth):
        console.print(part)
    if args.out is not None:
        _put(text.getvalue(), args.out)
    return DONE


def _plc_config(args: argparse.Namespace) -> PlcConfig:
    """[plc] of the station's file with what the options say otherwise; without a file, the defaults of the brand."""
    asked = {"profile": args.profile, "depth": args.depth, "part_id": args.part_id}
    changes: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    if args.station is not None:
        if args.protocol is not None:
            raise ValueError("--protocol: the station's file says which; leave out one of both")
        content = load_station(args.station).plc.model_dump()
        if "depth" in changes:
            del content["max_in_flight"]
        return _checked(content | changes)
    protocol = args.protocol or _USUAL.get(args.brand, "opcua")
    content = {**_SMALLEST[protocol], **changes}
    if protocol == "opcua" and args.brand in _STYLES:
        content["tags"] = {"style": _STYLES[args.brand]}
    return _checked(content)


def _checked(content: Mapping[str, Any]) -> PlcConfig:
    adapter: TypeAdapter[PlcConfig] = TypeAdapter(PlcConfig)
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigErrors([ConfigError("plc", where, first.get("input"), first["msg"])]) from error


async def watch(link: PlcLink, station: StationConfig, *, as_json: bool, once: bool, interval_s: float) -> int:
    """Show the tags once, or again and again until cancelled. Closes the link. Raises DeviceError if once."""
    try:
        if once:
            await link.connect(after(station.plc.connect_timeout_ms))
            seen = await _look(link, station)
            if as_json:
                put_json({"tags": dict(seen.values), "read_ms": seen.read_ms, "notices": list(_notices(link))}, 2)
            else:
                Console(markup=False).print(_screen(seen, {}, station))
            return DONE
        with Live(console=Console(stderr=as_json, markup=False), auto_refresh=False) as live:
            while True:
                try:
                    await _follow(link, station, None if as_json else live, interval_s)
                except DeviceError as error:
                    live.update(f"{station.station.name}: {error}; trying again", refresh=True)
                    await link.close()
                    await asyncio.sleep(RETRY_S)
    finally:
        await link.close()


async def _follow(link: PlcLink, station: StationConfig, live: Live | None, interval_s: float) -> NoReturn:
    """Connect and show what stands in the tags, as one line of JSON each time where there is no screen."""
    await link.connect(after(station.plc.connect_timeout_ms))
    before: TagValues = {}
    while True:
        seen = await _look(link, station)
        if live is None:
            put_json(dict(seen.values))
        else:
            live.update(_screen(seen, before, station), refresh=True)
        before = seen.values
        await asyncio.sleep(interval_s)


async def _look(link: PlcLink, station: StationConfig) -> Glance:
    plc = station.plc
    return await glance(link, TAG_SETS[plc.profile], plc.depth, plc.request_timeout_ms)


def _screen(seen: Glance, before: TagValues, station: StationConfig) -> RenderableType:
    plc = station.plc
    return watch_screen(f"{station.station.name}: {plc.kind}", seen, before, TAG_SETS[plc.profile], plc.depth)


async def _probe(args: argparse.Namespace, station: StationConfig, link: PlcLink) -> int:
    order = ProbeOrder(args.requests, args.write, args.exposure_ms, args.inference_ms)
    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def progress(kind: str, done: int) -> None:
            if kind not in tasks:
                tasks[kind] = bars.add_task(kind, total=args.requests)
            bars.update(tasks[kind], completed=done)

        report = await probe(station, link, order, progress)
    _put_report(report, as_json=args.json)
    return CONFIG_ERROR if report.problems else DONE


def _put_report(report: ProbeReport, *, as_json: bool) -> None:
    if as_json:
        put_json(report.as_json(), 2)
        return
    console = Console(markup=False)
    for part in probe_screen(report):
        console.print(part)


def _until_interrupted(work: Awaitable[int]) -> int:
    async def finish() -> int:
        return await work

    try:
        return asyncio.run(finish())
    except KeyboardInterrupt:
        return DONE


def _notices(link: PlcLink) -> tuple[str, ...]:
    return link.notices if isinstance(link, PlcTags) else ()


def put_json(content: object, indent: int | None = None) -> None:
    """One JSON value on standard output."""
    # ASCII only: whatever a part id holds, no terminal or code page trips over it.
    sys.stdout.write(json.dumps(content, indent=indent) + "\n")
    sys.stdout.flush()


def _put(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8", newline="")


def after(milliseconds: float) -> Ns:
    """A deadline from now."""
    return Ns(time.monotonic_ns() + int(milliseconds * MS))
