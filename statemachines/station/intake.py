"""A part comes in: inspect it, or say at once why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from statemachines.commands import RecordEvent
from statemachines.cycle.answer import leave, undecided
from statemachines.cycle.state import Cycle, Stage, recorded
from statemachines.cycle.views import begin
from statemachines.events import PlcRead
from statemachines.handshake import triggers
from statemachines.handshake.state import Announced, MissedTriggers
from statemachines.station.parts import context, keep
from statemachines.station.reports import TRIGGERS, with_report
from statemachines.station.state import NO_RECIPE, PLC, Station, Step
from statemachines.views import ViewRule
from statemachines.vocabulary import Health, Ns, PartKey, Reason, RecipeFacts


def accept(station: Station, event: PlcRead, notice: Announced) -> Step:
    """Take one part in: inspect it, or answer at once why not."""
    recipe = _timed(station, event)
    refusal = _refusal(station, event, notice) or _lost_belt(recipe)
    if refusal is not None and refusal[0] in _NOT_TAKEN and station.rules.contract.four_phase:
        return _not_taken(station, event, notice, *refusal)
    slot = notice.slot
    cycle = Cycle(
        part=PartKey(station.handshake.session_id, PLC, slot.seq),
        part_id=slot.part_id,
        stage=Stage.CAPTURING,
        recipe=recipe,
        mode=station.mode,
        plc_epoch=event.head.plc_epoch,
        triggered_at=notice.triggered_at,
        seen_at=event.at,
        deadline=Ns(notice.triggered_at + recipe.deadline_ns),
    )
    record = recorded(cycle, slot.recipe_id, encoder_pos=slot.encoder_pos)
    counters = replace(station.counters, triggers=station.counters.triggers + 1)
    if refusal is not None and refusal[0] is Reason.OVERRUN:
        counters = replace(counters, overruns=counters.overruns + 1)
    if refusal is None:
        cycle, commands = begin(cycle)
    elif refusal[0] is Reason.OVERRUN and station.rules.contract.four_phase:
        station = replace(station, handshake=triggers.refused(station.handshake))
        cycle, commands = leave(cycle, event.at, *refusal)
    else:
        cycle, commands = undecided(cycle, event.at, *refusal, context(station, cycle))
    station = replace(station, counters=counters)
    station, commands = keep(station, cycle, commands)
    return station, (record, *commands)


def _timed(station: Station, event: PlcRead) -> RecipeFacts:
    """The recipe as it holds for a part of now: distances along the belt have become times."""
    recipe = station.recipe or NO_RECIPE
    if not any(rule.encoder_offset for rule in recipe.rules):
        return recipe

    def timed(rule: ViewRule) -> ViewRule:
        delay = station.belt.delay(rule.encoder_offset, event.at) if rule.encoder_offset else 0
        return rule if delay is None else replace(rule, delay_ns=rule.delay_ns + delay, encoder_offset=0)

    return replace(recipe, rules=tuple(timed(rule) for rule in recipe.rules))


def _lost_belt(recipe: RecipeFacts) -> tuple[Reason, str] | None:
    lost = next((rule for rule in recipe.rules if rule.encoder_offset), None)
    if lost is None:
        return None
    return Reason.CAMERA, f"{lost.name}: EncoderNow does not move, when the part passes this camera is not known"


_NOT_TAKEN = frozenset({Reason.NOT_READY, Reason.FAILSAFE})
"""Why Ready is 0. With one trigger and one result there is nowhere to put an answer then: TriggerAck stays away."""


def _not_taken(station: Station, event: PlcRead, notice: Announced, reason: Reason, why: str) -> Step:
    """A trigger while Ready is 0, four-phase profile: MissedTrigger, counted and journalled, no answer."""
    station = replace(station, handshake=triggers.refused(station.handshake))
    detail = {"part_id": notice.slot.part_id, "reason": reason.name}
    return missed(station, event.at, MissedTriggers(notice.slot.seq, 1, why), detail)


def missed(station: Station, at: Ns, what: MissedTriggers, more: Mapping[str, int | str] | None = None) -> Step:
    """Triggers that nobody will answer: counted, reported, journalled. more: what else is known of them."""
    station = with_report(station, TRIGGERS, Health.OUT_OF_SPEC, f"missed triggers: {what.why}")
    counters = replace(station.counters, missed=station.counters.missed + what.count)
    session = station.handshake.session_id
    detail = {"first": what.first, "count": what.count, **(more or {}), "why": what.why, "session": session}
    return replace(station, counters=counters), (RecordEvent(at, "missed", "plc", detail),)


def _refusal(station: Station, event: PlcRead, notice: Announced) -> tuple[Reason, str] | None:
    """Why this part may not be inspected, or None."""
    because, recipe = station.not_ready_because, station.recipe
    if because is not None or recipe is None:
        return because or (Reason.NOT_READY, "no recipe is loaded")
    overrun = None
    if station.in_flight >= station.rules.max_in_flight:
        overrun = Reason.OVERRUN, f"{station.in_flight} parts are in flight already"
    if overrun is not None and station.rules.contract.four_phase:
        return overrun
    if notice.slot.recipe_id != recipe.id:
        return Reason.RECIPE, f"the trigger names recipe {notice.slot.recipe_id}, loaded is {recipe.id}"
    age = event.at - notice.triggered_at
    if recipe.joined:
        # The camera saw the part by itself: its frame is found by time, as long as there is any left to judge it.
        return (
            overrun if age < recipe.deadline_ns else (Reason.LATE_TRIGGER, _late(age, "deadline", recipe.deadline_ns))
        )
    if not notice.newest:
        return Reason.LATE_TRIGGER, "a later trigger was seen in the same read"
    window = recipe.capture_window_ns + recipe.first_delay_ns
    return overrun if age <= window else (Reason.LATE_TRIGGER, _late(age, "capture window", window))


def _late(age: int, what: str, limit: int) -> str:
    return f"seen {age / 1e6:.1f} ms after the trigger, {what} is {limit / 1e6:.1f} ms"
