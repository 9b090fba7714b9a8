"""The conversation with the PLC: the link, each read of its tags, sessions that begin and end."""

from __future__ import annotations

from dataclasses import replace

from statemachines import line
from statemachines.commands import Command, RecordEvent, RecordGate
from statemachines.cycle.state import FINAL, Abandoned
from statemachines.events import LinkLost, LinkUp, PlcRead, SessionTold, Stopped
from statemachines.handshake import four_phase, sequence_profile
from statemachines.handshake.state import (
    Announced,
    Link,
    MissedTriggers,
    Notice,
    PhaseOverdue,
    SessionAcknowledged,
    SessionEnded,
    SessionOpened,
    Withdrawn,
    connected,
    disconnected,
)
from statemachines.station.failsafe import enable_rose, fault_reset_read
from statemachines.station.intake import accept, missed
from statemachines.station.job_requests import end_jobs
from statemachines.station.modes import new_ceiling
from statemachines.station.parts import drive
from statemachines.station.recipes import recipe_asked_by_plc
from statemachines.station.reports import TRIGGERS, with_report, without_report
from statemachines.station.state import Station, Step
from statemachines.vocabulary import Health, Ns, Reason


def link_up(station: Station, event: LinkUp) -> Step:
    """What was known of the PLC's bits is not known any more."""
    if station.line.stopped:
        return station, ()
    fresh = replace(station, enable_seen_low=False, fault_reset_seen_low=False)
    return replace(fresh, handshake=connected(station.handshake, event)), ()


def link_lost(station: Station, event: LinkLost) -> Step:
    """The session is over."""
    station, commands = _end_session(station, event.at, Reason.LOST, f"link lost: {event.why}")
    station = replace(station, handshake=disconnected(station.handshake))
    return station, (*commands, RecordEvent(event.at, "link", "", {"why": event.why}))


def stopped(station: Station, event: Stopped) -> Step:
    """The session is over, and there will be none."""
    station, commands = _end_session(station, event.at, Reason.LOST, "the station was stopped")
    station = replace(station, line=line.stop(station.line), handshake=disconnected(station.handshake))
    return station, (*commands, RecordEvent(event.at, "stop", "", {}))


def session_told(station: Station, event: SessionTold) -> Step:
    """In the sequence profile the PLC says so itself, by SessionAck."""
    if not station.rules.contract.four_phase:
        return station, ()
    return replace(station, handshake=four_phase.told(station.handshake, event.session_id, event.at)), ()


def _end_session(station: Station, at: Ns, reason: Reason, why: str) -> Step:
    """Nothing that is in flight may be answered any more; the journal learns why."""
    station = replace(station, jobs=replace(station.jobs, series=False))
    commands: list[Command] = []
    for cycle in tuple(station.cycles.values()):
        if cycle.stage not in FINAL:
            station, more = drive(station, Abandoned(cycle.part, at, reason, why))
            commands += more
    return station, tuple(commands)


def plc_read(station: Station, event: PlcRead) -> Step:
    """Take one read of the PLC's tags: first its plain facts, then what the handshake makes of it."""
    if station.line.stopped:
        # A read that was under way when the station was stopped: nothing may follow from it.
        return station, ()
    station, facts = _note_facts(station, event)
    commands = [*facts]
    before, contract = station.handshake, station.rules.contract
    after, notices = (four_phase if contract.four_phase else sequence_profile).read(before, event, contract)
    if before.link is not after.link:
        detail = {"from": before.link.value, "to": after.link.value, "session": after.session_id}
        commands.append(RecordEvent(event.at, "handshake", "plc", detail))
        if after.link is Link.OPENING and station.enable_seen_low:
            station, more = enable_rose(replace(station, enable_seen_low=False), event.at)
            commands += more
    station = replace(station, handshake=after)
    for notice in notices:
        station, more = _take_notice(station, event, notice)
        commands += more
    if after.link is Link.IN_SESSION:
        station, more = recipe_asked_by_plc(station, event)
        commands += more
    return station, tuple(commands)


def _note_facts(station: Station, event: PlcRead) -> Step:
    """What the single tags say, whatever the handshake makes of the read."""
    head = event.head
    commands: list[Command] = []
    if head.mode_ceiling != station.ceiling:
        station, more = new_ceiling(station, event.at, head.mode_ceiling)
        commands += more
    if head.gate_seq != station.gate_seq:
        station = replace(station, gate_seq=head.gate_seq)
        if station.handshake.link is Link.IN_SESSION:
            commands.append(RecordGate(head.gate_seq, station.handshake.session_id, head.gate_outcome, event.at))
    if not head.enable and not station.enable_seen_low:
        station = replace(station, enable_seen_low=True)
    if station.recipe is not None and any(rule.encoder_offset for rule in station.recipe.rules):
        station = replace(station, belt=station.belt.seen(event.sent_at, head.encoder_now))
    return fault_reset_read(station, head.fault_reset), tuple(commands)


def _take_notice(station: Station, event: PlcRead, notice: Notice) -> Step:
    match notice:
        case SessionOpened():
            return _session_opened(station, event.at, notice)
        case SessionAcknowledged():
            detail = {"id": notice.session_id, "baseline": notice.baseline}
            return station, (RecordEvent(event.at, "baseline", "plc", detail),)
        case SessionEnded():
            return _end_session(station, event.at, notice.reason, notice.why)
        case MissedTriggers():
            return missed(station, event.at, notice)
        case Announced():
            return accept(station, event, notice)
        case Withdrawn():
            return _withdrawn(station, event.at, notice)
        case PhaseOverdue():
            return _overdue(station, event.at, notice)


def _session_opened(station: Station, at: Ns, notice: SessionOpened) -> Step:
    """The PLC clears its rings: nothing that was in them counts any more."""
    fresh = replace(station, slot_owner={}, trigger_ack=0, capture_done=0, line_stop=False, alert=False)
    fresh, ended = end_jobs(without_report(fresh, TRIGGERS), at, "the PLC's Enable went to 1")
    return fresh, (*ended, RecordEvent(at, "session", "", {"id": notice.session_id, "why": notice.why}))


def _overdue(station: Station, at: Ns, notice: PhaseOverdue) -> Step:
    station = with_report(station, "handshake", Health.OUT_OF_SPEC, notice.why)
    counters = replace(station.counters, overruns=station.counters.overruns + notice.unread)
    detail = {"overdue": notice.why, "session": station.handshake.session_id}
    return replace(station, counters=counters), (RecordEvent(at, "handshake", "plc", detail),)


def _withdrawn(station: Station, at: Ns, notice: Withdrawn) -> Step:
    """Told once in a session that is otherwise well: a PLC that gives pulses does so for every part."""
    if TRIGGERS in station.reports:
        return station, ()
    why = "Trigger falls before TriggerAck: hold it, pulses can be missed"
    detail = {"withdrawn": notice.seq, "taken": int(notice.taken), "session": station.handshake.session_id}
    station = with_report(station, TRIGGERS, Health.OUT_OF_SPEC, why)
    return station, (RecordEvent(at, "handshake", "plc", detail),)
