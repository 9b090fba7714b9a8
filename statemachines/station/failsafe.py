"""Into failsafe and out of it."""

from __future__ import annotations

from dataclasses import replace

from statemachines import health, line
from statemachines.commands import Command, PersistLatch, RecordEvent
from statemachines.cycle.state import UNDECIDED, Distrusted, Stage
from statemachines.events import CauseCleared, FailsafeTripped, ResetRequested
from statemachines.line import Line
from statemachines.station.parts import drive
from statemachines.station.state import Station, Step
from statemachines.vocabulary import FaultCode, Ns


def tripped(station: Station, event: FailsafeTripped) -> Step:
    """No verdict is trusted any more: whatever is in flight is NO_DECISION, and so is every part to come."""
    station = replace(
        station,
        latch=health.trip(station.latch, event.code, event.why, event.at),
        held_over_failsafe=False,
        jobs=replace(station.jobs, series=False),
        line=station.line if station.line.state == "stopped" else line.trip(station.line),
    )
    commands: list[Command] = [PersistLatch(station.latch.code, station.latch.why)]
    for cycle in tuple(station.cycles.values()):
        if cycle.stage in (*UNDECIDED, Stage.QUEUED):
            station, more = drive(station, Distrusted(cycle.part, event.at, f"failsafe: {event.why}"))
            commands += more
    commands.append(RecordEvent(event.at, "failsafe", "", {"tripped": event.code.name, "why": event.why}))
    return station, tuple(commands)


def cause_cleared(station: Station, _event: CauseCleared) -> Step:
    """The first condition of a reset."""
    return replace(station, latch=health.clear_cause(station.latch)), ()


def reset_requested(station: Station, event: ResetRequested) -> Step:
    """An operator asks; what was asked and whether it is granted is journalled."""
    latch = health.request_reset(station.latch, event.who)
    granted = latch is not station.latch
    detail = {"reset_requested": station.latch.why, "granted": int(granted)}
    return replace(station, latch=latch), (RecordEvent(event.at, "failsafe", event.who, detail),)


def fault_reset_read(station: Station, fault_reset: bool) -> Station:
    """FaultReset 0→1, seen 0 first, asks to leave failsafe where the station allows it from the PLC."""
    if not fault_reset:
        return station if station.fault_reset_seen_low else replace(station, fault_reset_seen_low=True)
    if not station.fault_reset_seen_low:
        return station
    station = replace(station, fault_reset_seen_low=False)
    if not station.rules.fault_reset_from_plc:
        return station
    return replace(station, latch=health.request_reset(station.latch, "plc"))


def enable_rose(station: Station, at: Ns) -> Step:
    """Enable went from 0 to 1: the last condition of a granted reset."""
    latch = health.enable_rose(station.latch)
    if latch is station.latch:
        return station, ()
    who = station.latch.reset_by
    commands = (PersistLatch(FaultCode.NONE, ""), RecordEvent(at, "failsafe", who, {"reset": station.latch.why}))
    mended = line.run(station.line, station.line.mode) if station.recipe else Line(mode=station.line.mode)
    return replace(station, latch=latch, line=mended), commands
