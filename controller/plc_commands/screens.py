"""What `linegate plc watch` and `probe` show on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from controller.drivers.plc.tags import Direction, TagSet
from controller.plc_commands.expectation import RoundTrips
from controller.plc_commands.live import Glance, TagValues
from controller.plc_commands.probe import ProbeReport
from controller.plc_commands.tag_list import TagRow, folded
from statemachines.vocabulary import Action, Mode, Reason, Verdict

_NAMES: Mapping[str, Callable[[int], str]] = {
    "Action": lambda code: Action(code).name,
    "Fallback": lambda code: Action(code).name,
    "Verdict": lambda code: Verdict(code).name,
    "Reason": lambda code: Reason(code).name,
    "Mode": lambda code: Mode(code).name,
    "ModeCeiling": lambda code: Mode(code).name,
}
"""Codes that a person would otherwise look up."""


def tag_screen(rows: Sequence[TagRow], tags: TagSet, depth: int) -> Iterator[RenderableType]:
    """One table for each side. What all addresses have in common is said once, so that the rest fits on a screen."""
    start = _common_start([row.address for row in rows])
    if start:
        yield Text(f"every address begins with {start}")
    for direction in Direction:
        table = Table("tag", "type", Column("address" if not start else "and goes on", overflow="fold"), "meaning")
        table.title = direction.value
        for row in folded(rows, tags, depth):
            if row.direction == direction.value:
                meaning = f"{row.meaning} (optional)" if row.needed == "optional" else row.meaning
                table.add_row(row.name, row.type, row.address.replace(start, "") if start else row.address, meaning)
        yield table
    if tags.rings:
        yield Text(f"i = 0 … {depth - 1}; --csv and --json list every slot")


def _common_start(addresses: Sequence[str]) -> str:
    """What all begin with, up to the last dot in it."""
    first, last = min(addresses), max(addresses)
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: first.rfind(".", 0, same) + 1]


def watch_screen(title: str, seen: Glance, before: TagValues, tags: TagSet, depth: int) -> RenderableType:
    """All single tags by who writes them, and the newest slot of each ring. What changed since `before` stands out."""
    tables: list[RenderableType] = []
    for direction in Direction:
        table = Table("tag", "value", title=direction.value)
        for tag in tags.tags:
            if not tag.ring and tag.direction is direction and tag.name in seen.values:
                table.add_row(tag.name, _shown(tag.name, seen.values, before))
        tables.append(table)
    for ring, number in (("Trigger", "Seq"), ("Result", "ResultSeq")) if tags.rings else ():
        index = newest_slot(seen.values, ring, number, depth)
        if index is not None:
            table = Table("field", "value", title=f"{ring}[{index}], the newest")
            prefix = f"{ring}[{index}]."
            for name in (name for name in seen.values if name.startswith(prefix)):
                table.add_row(name.removeprefix(prefix), _shown(name, seen.values, before))
            tables.append(table)
    return Group(Text(f"{title}   read in {seen.read_ms:.1f} ms   Ctrl-C ends"), Columns(tables))


def newest_slot(values: TagValues, ring: str, number: str, depth: int) -> int | None:
    """The slot with the highest number; None where none is used or the ring is not shown."""
    numbers = {index: values.get(f"{ring}[{index}].{number}") for index in range(depth)}
    used = {index: found for index, found in numbers.items() if isinstance(found, int) and found > 0}
    return max(used, key=lambda index: used[index]) if used else None


def probe_screen(report: ProbeReport) -> Iterator[RenderableType]:
    """Tags with problems, round trips, what to expect, what to mend."""
    yield _tag_table(report)
    trips = {"read": report.read, "write fields": report.write_fields, "write number": report.write_number}
    measured = {kind: trip for kind, trip in trips.items() if trip is not None}
    if measured:
        yield _trip_table(measured)
    if report.expectation is not None:
        expected = report.expectation
        yield Text(
            f"trigger to answer: about {expected.typical_ms:.1f} ms, at most about {expected.slow_ms:.1f} ms; "
            f"a trigger is seen within {expected.seen_within_ms:.1f} ms"
        )
        for warning in expected.warnings:
            yield Text(f"warning: {warning}", style="yellow")
    for remark in report.remarks:
        yield Text(f"note: {remark}")


def _tag_table(report: ProbeReport) -> RenderableType:
    shown = [tag for tag in report.tags if tag.problem or tag.note]
    count = len(report.problems)
    if not shown:
        return Text(f"{len(report.tags)} tags, all fine")
    table = Table("tag", "address", "type", "access", "what", title=f"{len(report.tags)} tags, {count} to mend")
    for tag in shown:
        style = "red" if tag.problem else ""
        table.add_row(tag.name, tag.address, tag.kind, tag.access, Text(tag.problem or tag.note, style=style))
    return table


def _trip_table(trips: Mapping[str, RoundTrips]) -> Table:
    table = Table("request", "p50 ms", "p95 ms", "p99 ms", "worst ms", "of")
    for kind, trip in trips.items():
        figures = (f"{figure:.2f}" for figure in (trip.p50, trip.p95, trip.p99, trip.worst))
        table.add_row(kind, *figures, str(trip.count))
    return table


def _shown(name: str, values: TagValues, before: TagValues) -> Text:
    value = values[name]
    text = "–" if value is None else str(value)
    named = _NAMES.get(name.rpartition(".")[2])
    if named is not None and isinstance(value, int) and not isinstance(value, bool):
        try:
            text = f"{value} {named(value)}"
        except ValueError:
            text = f"{value} (unknown)"
    # A part id may hold anything; no control character of it may steer the terminal.
    clean = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)
    return Text(clean, style="bold yellow" if name in before and before[name] != value else "")
