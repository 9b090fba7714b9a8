"""Parts in flight: each event to its part, what that causes for the others, and what is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from statemachines import jobs, view_watch
from statemachines.commands import Command, Publish, RecordLate, RecordOutcome, Release
from statemachines.cycle.state import Context, Cycle, CycleEvent
from statemachines.cycle.table import step as part_step
from statemachines.errors import IllegalEvent
from statemachines.events import DeadlinePassed, Failed, FrameCaptured, HealthReported, Published, TriggerCommitted
from statemachines.handshake import triggers
from statemachines.sequence import slot_of
from statemachines.station.reports import VIEW, health_reported
from statemachines.station.state import PLC, Station, Step
from statemachines.vocabulary import Action, PartKey, Reason, Verdict


def drive(station: Station, event: CycleEvent) -> Step:
    """Give a part its event."""
    cycle = station.cycles.get(event.part)
    if cycle is None:
        return _stray(station, event)
    cycle, commands = part_step(cycle, event, context(station, cycle))
    return keep(station, cycle, commands)


def _stray(station: Station, event: CycleEvent) -> Step:
    """An event for a part that is settled: a timer that rang on, or a write that succeeded after its session's end."""
    if isinstance(event, DeadlinePassed):
        return station, ()
    if isinstance(event, Published):
        return station, (RecordLate(event.part, event.at, "written although its session was over"),)
    raise IllegalEvent(f"part {event.part}: {type(event).__name__} for a part that is not in flight")


def context(station: Station, cycle: Cycle) -> Context:
    """What this part must know of the others."""
    if cycle.part.source != PLC:
        return Context()
    contract = station.rules.contract
    if contract.four_phase:
        return Context(undecided_before=station.undecided_in_row, queued=True)
    owner = station.slot_owner.get(slot_of(cycle.part.seq, contract.depth))
    superseded = owner is not None and 0 < (owner.seq - cycle.part.seq) % contract.modulus <= contract.modulus // 2
    return Context(undecided_before=station.undecided_in_row, superseded=superseded)


def keep(station: Station, cycle: Cycle, commands: tuple[Command, ...]) -> Step:
    """Put a part back after its step, count what it caused, forget it once nothing of it is on its way."""
    extra: list[Command] = []
    if cycle.part.source in jobs.SOURCES:
        cycle, commands = jobs.conclude(cycle, commands)
    for command in commands:
        match command:
            case Publish():
                station = _count_answer(station, cycle, command)
            case RecordOutcome() if cycle.part.source == PLC:
                station = _count_end(station, command)
            case RecordLate() if cycle.part.source == PLC:
                station = replace(station, counters=replace(station.counters, late=station.counters.late + 1))
            case _:
                pass
    cycles = dict(station.cycles)
    if cycle.settled:
        cycles.pop(cycle.part, None)
        extra.append(Release(cycle.part))
        if cycle.recipe.rules and cycle.part.source == PLC:
            station, told = _watch_views(station, cycle)
            extra += told
    else:
        cycles[cycle.part] = cycle
    return replace(station, cycles=cycles), (*commands, *extra)


def _watch_views(station: Station, cycle: Cycle) -> Step:
    watch, news = view_watch.look(station.views, cycle)
    station, told = replace(station, views=watch), list[Command]()
    at = max(cycle.handed_at, cycle.captured_at, cycle.inferred_at)
    for view, (state, why) in news.items():
        station, more = health_reported(station, HealthReported(at, f"{VIEW}{view}", state, why))
        told += more
    return station, tuple(told)


def _count_answer(station: Station, cycle: Cycle, command: Publish) -> Station:
    answer, slot = command.answer, slot_of(command.part.seq, station.rules.contract.depth)
    undecided = station.undecided_in_row + 1 if answer.verdict is Verdict.NO_DECISION else 0
    return replace(
        station,
        slot_owner={**station.slot_owner, slot: command.part},
        undecided_in_row=min(undecided, 1_000_000),
        line_stop=station.line_stop or answer.action is Action.STOP,
        alert=cycle.alert,
    )


_VERDICT_COUNTER = {
    Verdict.OK: "ok",
    Verdict.NG: "ng",
    Verdict.UNSURE: "unsure",
    Verdict.NO_DECISION: "no_decision",
}


def _count_end(station: Station, command: RecordOutcome) -> Station:
    outcome, counters = command.outcome, station.counters
    if outcome.answered:
        name = _VERDICT_COUNTER[outcome.verdict]
        changes: dict[str, Any] = {"answered": counters.answered + 1, name: getattr(counters, name) + 1}
    else:
        changes = {"lost": counters.lost + 1}
        if outcome.reason is Reason.SUPERSEDED:
            changes["overruns"] = counters.overruns + 1
    return replace(station, counters=replace(counters, **changes))


def committed(station: Station, event: TriggerCommitted) -> Step:
    """The journal holds the trigger: now the PLC may see it acknowledged."""
    if event.part.source != PLC or event.part.epoch != station.handshake.session_id:
        return station, ()
    if station.rules.contract.four_phase:
        return replace(station, handshake=triggers.committed(station.handshake, event.part.seq, event.at)), ()
    return replace(station, trigger_ack=event.part.seq), ()


def frame_captured(station: Station, event: FrameCaptured) -> Step:
    """A frame counts once: a camera that hands out the same one again let its part down."""
    cycle = station.cycles.get(event.part)
    joined = cycle is not None and cycle.recipe.rule(event.view).joined
    if joined:
        used = station.joined_counters.get(event.camera, ())
        again, counters = event.counter in used, (*used, event.counter)[-_COUNTERS_KEPT:]
        fresh = replace(station, joined_counters={**station.joined_counters, event.camera: counters})
    else:
        again = event.counter <= station.last_counter.get(event.camera, -1)
        fresh = replace(station, last_counter={**station.last_counter, event.camera: event.counter})
    if again:
        why = f"{event.view}: camera {event.camera} delivered frame {event.counter} again"
        return failed(station, Failed(event.part, event.view, event.at, Reason.CAMERA, why))
    station, commands = drive(fresh, event)
    return _captured_all(station, event.part), commands


_COUNTERS_KEPT = 32


def failed(station: Station, event: Failed) -> Step:
    station, commands = drive(station, event)
    return _captured_all(station, event.part), commands


def _captured_all(station: Station, part: PartKey) -> Station:
    """Tell the PLC once every view of the part has been seen: an indexing line may move on."""
    cycle = station.cycles.get(part)
    if cycle is None or part.source != PLC or part.epoch != station.handshake.session_id:
        return station
    if cycle.frames_due or not cycle.captured_at:
        return station
    # A late frame of an earlier part must not take the number back.
    modulus = station.rules.contract.modulus
    if station.capture_done and (part.seq - station.capture_done) % modulus > modulus // 2:
        return station
    return replace(station, capture_done=part.seq)
