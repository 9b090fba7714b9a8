"""A status server in the test's own process: told snapshots by the test, read by real clients over TCP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from controller.status.commands import CommandDesk
from controller.status.messages import CommandResult, HealthReport, Noted, PartSummary, StationSnapshot, StatusCommand
from controller.status.process import StatusSettings
from controller.status.station_server import StationServer
from tests.integration.status_access import free_endpoint, settings


def snapshot(**changes: Any) -> StationSnapshot:
    """A healthy station that has just started."""
    empties: dict[type, Any] = {str: "", int: 0, bool: False, float: 0.0}
    values: dict[str, Any] = {f.name: empties.get(f.type) for f in msgspec.structs.fields(StationSnapshot)}
    values |= {"state": "running_shadow", "online": True, "ready": True, "mode": 1, "mode_requested": 1}
    values |= {"last_parts": [], "latencies": {}, "reports": []}
    return StationSnapshot(**(values | changes))


def part(seq: int, verdict: str = "OK", score: float = 0.0) -> PartSummary:
    return PartSummary(str(seq), seq, verdict, "DECIDED", "PASS", "AUTO_REJECT", "", [], 7000, score)


def report(source: str, why: str = "broken") -> HealthReport:
    return HealthReport(source, 1, why)


@dataclass
class Served:
    """The server and what came out of it."""

    endpoint: str
    settings: StatusSettings
    shown: StationServer
    commands: list[StatusCommand] = field(default_factory=list[StatusCommand])
    notes: list[Noted] = field(default_factory=list[Noted])

    def acts(self, kind: str) -> list[dict[str, str]]:
        return [note.detail | {"who": note.who} for note in self.notes if note.kind == kind]


@asynccontextmanager
async def served(folder: Path, *, alarms: bool = False, **changes: Any) -> AsyncGenerator[Served]:
    """Running; grants every wish."""
    commands: list[StatusCommand] = []
    notes: list[Noted] = []

    def send(command: StatusCommand) -> bool:
        commands.append(command)
        desk.answered(CommandResult(command.id, True, "granted"))
        return True

    desk = CommandDesk(send)
    endpoint = free_endpoint()
    told = settings(endpoint, folder, **changes)
    shown = await StationServer.started(told, desk, notes.append)
    try:
        if alarms:
            await shown.start_alarms()
        await shown.show(snapshot())
        yield Served(endpoint, told, shown, commands, notes)
    finally:
        await shown.server.stop()
