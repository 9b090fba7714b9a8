"""The whole station as one pure value: handshake, parts in flight, line, health. THE place where the tables meet.

`step(station, event) -> (station, commands)` is what the runtime calls for everything that happens, and what the
exhaustive search in the tests explores. `outputs(station)` derives the PLC's status tags from the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from statemachines import cycle as part_cycle
from statemachines import four_phase, handshake, health, jobs, line, view_watch
from statemachines.belt_speed import BeltSpeed
from statemachines.cycle import Abandoned, Context, Cycle, CycleEvent, Distrusted, TurnCame
from statemachines.decision import rule
from statemachines.errors import IllegalEvent
from statemachines.handshake import Contract, Handshake, Link
from statemachines.health import FailsafeLatch
from statemachines.jobs import Jobs
from statemachines.line import Line
from statemachines.phases import ResultPhase, TriggerPhase
from statemachines.sequence import slot_of
from statemachines.view_watch import ViewWatch
from statemachines.views import ViewRule
from statemachines.vocabulary import (
    Action,
    ActNoted,
    BlockWritten,
    CauseCleared,
    Command,
    DeadlinePassed,
    Event,
    Failed,
    FailsafeTripped,
    Fallback,
    FaultCode,
    FrameCaptured,
    Health,
    HealthReported,
    Hold,
    HoldRequested,
    Inferred,
    JobRequested,
    JobSeriesRequested,
    JobsStopped,
    LinkLost,
    LinkUp,
    LoadRecipe,
    Mode,
    ModeRequested,
    Ns,
    PartKey,
    PersistLatch,
    PlcRead,
    Policy,
    Publish,
    Published,
    Reason,
    RecipeFacts,
    RecipeLoaded,
    RecipeRefused,
    RecipeRequested,
    RecordEvent,
    RecordGate,
    RecordLate,
    RecordOutcome,
    RecordTrigger,
    Release,
    ResetRequested,
    SessionTold,
    Stopped,
    TriggerCommitted,
    Verdict,
)

PLC = "plc"
"""Source name of triggers that come over the PLC's tags."""

RECIPE_LOADING, RECIPE_LOADED, RECIPE_REFUSED = 0, 1, 2
MODE_LOWERED = "mode lowered"
"""Source of the report that a person lowered the mode."""
VIEW = "view:"
"""Begin of the source of reports on a view that was done without."""


NO_RECIPE = RecipeFacts(
    id=0,
    product="",
    hash="0" * 64,
    views=(),
    deadline_ns=0,
    capture_window_ns=0,
    policy=Policy(Fallback.REJECT, divert_lane=False, stop_after_passes=0),
)
"""Stands in while no recipe is loaded: nothing is inspected, and what cannot be decided is rejected."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration fixes for the station's life."""

    contract: Contract = Contract()
    max_in_flight: int = 7
    fault_reset_from_plc: bool = False


@dataclass(frozen=True, slots=True)
class Counters:
    """They never go down while the station runs."""

    triggers: int = 0
    answered: int = 0
    ok: int = 0
    ng: int = 0
    unsure: int = 0
    no_decision: int = 0
    missed: int = 0
    late: int = 0
    overruns: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Station:
    """Everything that decides what the station does next.

    recipe_epoch: PlcEpoch that recipe_ack belongs to; recipe_wanted_epoch: that of the request being loaded.
    recipe_asked: RecipeRequestSeq and RecipeRequest as the last read showed them.
    """

    rules: Rules = Rules()
    handshake: Handshake = Handshake()
    line: Line = Line()
    latch: FailsafeLatch = FailsafeLatch()
    recipe: RecipeFacts | None = None
    recipe_ack: int = 0
    recipe_status: int = RECIPE_LOADING
    recipe_wanted: bool = False
    recipe_wanted_epoch: int = 0
    recipe_epoch: int = 0
    recipe_asked: tuple[int, int] = (0, 0)
    ceiling: int = 0
    fault_reset_seen_low: bool = False
    enable_seen_low: bool = False
    cycles: Mapping[PartKey, Cycle] = field(default_factory=dict[PartKey, Cycle])
    slot_owner: Mapping[int, PartKey] = field(default_factory=dict[int, PartKey])
    last_counter: Mapping[str, int] = field(default_factory=dict[str, int])
    joined_counters: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """By camera that the line triggers: the frames used last. Their parts may come in another order than they."""
    belt: BeltSpeed = BeltSpeed()
    views: ViewWatch = ViewWatch()
    trigger_ack: int = 0
    capture_done: int = 0
    gate_seq: int = 0
    undecided_in_row: int = 0
    line_stop: bool = False
    alert: bool = False
    hold: Hold = Hold.NONE
    held_over_failsafe: bool = False
    """The hold was asked for while the failsafe was latched already: it is the newer of the two."""
    jobs: Jobs = Jobs()
    reports: Mapping[str, tuple[Health, str]] = field(default_factory=dict[str, tuple[Health, str]])
    lowered_from: Mode | None = None
    """Mode from which a person lowered it: the bypass stands until it is there again."""
    counters: Counters = Counters()

    @property
    def mode(self) -> Mode:
        """Mode in force: what was asked for, under the PLC's ceiling."""
        return Mode(min(self.line.mode, max(self.ceiling, Mode.SHADOW)))

    @property
    def in_flight(self) -> int:
        """Parts accepted from the PLC and not yet ended."""
        return sum(1 for key, c in self.cycles.items() if key.source == PLC and c.stage not in part_cycle.FINAL)

    @property
    def ready(self) -> bool:
        """A trigger now would be inspected."""
        if self.handshake.link is not Link.IN_SESSION or self.not_ready_because is not None:
            return False
        if not self.rules.contract.four_phase:
            return True
        held = self.handshake.phases.trigger is TriggerPhase.HELD
        return not held and self.in_flight < self.rules.max_in_flight

    @property
    def not_ready_because(self) -> tuple[Reason, str] | None:
        """Why a trigger in session would be answered NO_DECISION, or None."""
        if self.latch.latched:
            return Reason.FAILSAFE, f"failsafe is latched: {self.latch.why}"
        if self.recipe_wanted or self.recipe is None:
            return Reason.NOT_READY, "a recipe is being loaded"
        if not self.line.running:
            return Reason.NOT_READY, f"the line is {self.line.state}"
        if self.hold is not Hold.NONE:
            return Reason.NOT_READY, f"a person took the station out of inspection ({self.hold.name})"
        if not 1 <= self.ceiling <= 3:
            return Reason.NOT_READY, f"the PLC's ModeCeiling is {self.ceiling}, valid are 1 to 3"
        if self.handshake.phases.result is ResultPhase.STUCK:
            return Reason.NOT_READY, "ResultAck stays 1, no result can be shown"
        return None

    @property
    def no_job_because(self) -> str | None:
        """Why a job may not start now, or None."""
        because = self.not_ready_because
        if because is not None:
            return because[1]
        if jobs.running(self.cycles) is not None:
            return "a job is running"
        return jobs.link_forbids(self.handshake, self.enable_seen_low)

    @property
    def health(self) -> tuple[Health, str]:
        """NE 107 health with its cause."""
        if self.latch.latched:
            return Health.FAILURE, f"failsafe: {self.latch.why}"
        return health.worst(self.reports)


Step = tuple[Station, tuple[Command, ...]]


def outputs(station: Station) -> dict[str, bool | int]:
    """The station's single tags for the PLC, but for Heartbeat, which the deciding loop itself moves."""
    hs, recipe = station.handshake, station.recipe
    policy = (recipe or NO_RECIPE).policy
    on_no_answer = rule(station.mode, Verdict.NO_DECISION, policy, station.undecided_in_row).action
    return {
        **(_four_phase_outputs(station) if station.rules.contract.four_phase else _sequence_outputs(station)),
        "Online": hs.link in (Link.OPENING, Link.IN_SESSION),
        "Ready": station.ready,
        "Fallback": int(on_no_answer),
        "SessionId": hs.session_id,
        "ContractVersion": station.rules.contract.version,
        "CaptureDoneSeq": station.capture_done,
        "LineStopRequest": station.line_stop,
        "AlertRequest": station.alert,
        "InFlight": station.in_flight,
        "Mode": int(station.mode),
        "Health": int(station.health[0]),
        "Failsafe": station.latch.latched,
        "FaultCode": int(station.latch.code),
        "RecipeActive": recipe.id if recipe else 0,
        "RecipeHash": recipe.hash_word if recipe else 0,
        "RecipeAckSeq": station.recipe_ack,
        "RecipeStatus": station.recipe_status,
        "MissedTriggers": station.counters.missed & 0x3FFFFFFF,
        "LateResults": station.counters.late & 0x3FFFFFFF,
        "Overruns": station.counters.overruns & 0x3FFFFFFF,
    }


def _sequence_outputs(station: Station) -> dict[str, bool | int]:
    return {"Depth": station.rules.contract.depth, "TriggerAckSeq": station.trigger_ack}


def _four_phase_outputs(station: Station) -> dict[str, bool | int]:
    phases = station.handshake.phases
    busy = any(cycle.stage in part_cycle.UNDECIDED for cycle in station.cycles.values())
    return {
        "TriggerIdAck": phases.durable,
        "TriggerAck": phases.trigger is TriggerPhase.ACKNOWLEDGED,
        "Busy": busy,
        "ResultValid": phases.result is ResultPhase.SHOWN,
        "ResultToggle": phases.toggle,
        "MissedTrigger": phases.missed,
    }


def wanted(station: Station) -> tuple[int, ...]:
    """Sequence numbers whose trigger slots the next read should bring along."""
    if station.rules.contract.four_phase:
        return four_phase.wanted(station.handshake)
    return handshake.wanted(station.handshake, station.rules.contract)


def step(station: Station, event: Event) -> Step:
    """Take one event. Raises IllegalEvent and changes nothing where no row allows it."""
    station, commands = EFFECTS[type(event)](station, event)
    if not station.rules.contract.four_phase:
        return station, commands
    station, more = _next_result(station, event.at)
    return station, (*commands, *more)


# --- the PLC speaks -------------------------------------------------------------------------------------------


def _link_up(station: Station, event: LinkUp) -> Step:
    if station.line.stopped:
        return station, ()
    fresh = replace(station, enable_seen_low=False, fault_reset_seen_low=False)
    return replace(fresh, handshake=handshake.connected(station.handshake, event)), ()


def _link_lost(station: Station, event: LinkLost) -> Step:
    station, commands = _end_session(station, event.at, Reason.LOST, f"link lost: {event.why}")
    station = replace(station, handshake=handshake.disconnected(station.handshake))
    return station, (*commands, RecordEvent(event.at, "link", "", {"why": event.why}))


def _plc_read(station: Station, event: PlcRead) -> Step:
    if station.line.stopped:
        # A read that was under way when the station was stopped: nothing may follow from it.
        return station, ()
    head = event.head
    commands: list[Command] = []
    if head.mode_ceiling != station.ceiling:
        station, more = _new_ceiling(station, event.at, head.mode_ceiling)
        commands += more
    if head.gate_seq != station.gate_seq:
        station = replace(station, gate_seq=head.gate_seq)
        if station.handshake.link is Link.IN_SESSION:
            commands.append(RecordGate(head.gate_seq, station.handshake.session_id, head.gate_outcome, event.at))
    if not head.enable and not station.enable_seen_low:
        station = replace(station, enable_seen_low=True)
    if station.recipe is not None and any(rule.encoder_offset for rule in station.recipe.rules):
        station = replace(station, belt=station.belt.seen(event.sent_at, head.encoder_now))
    station = _fault_reset(station, head.fault_reset)
    before = station.handshake
    contract = station.rules.contract
    after, notices = (four_phase if contract.four_phase else handshake).read(before, event, contract)
    if before.link is not after.link:
        detail = {"from": before.link.value, "to": after.link.value, "session": after.session_id}
        commands.append(RecordEvent(event.at, "handshake", "plc", detail))
        if after.link is Link.OPENING and station.enable_seen_low:
            station, more = _enable_rose(replace(station, enable_seen_low=False), event.at)
            commands += more
    station = replace(station, handshake=after)
    for notice in notices:
        station, more = _take_notice(station, event, notice)
        commands += more
    if after.link is Link.IN_SESSION:
        station, more = _recipe_request(station, event)
        commands += more
    return station, tuple(commands)


def _take_notice(station: Station, event: PlcRead, notice: handshake.Notice) -> Step:
    match notice:
        case handshake.SessionOpened():
            reports = {source: report for source, report in station.reports.items() if source != "triggers"}
            fresh = replace(station, slot_owner={}, trigger_ack=0, capture_done=0, line_stop=False, alert=False)
            fresh = replace(fresh, reports=reports)
            fresh, ended = _end_jobs(fresh, event.at, "the PLC's Enable went to 1")
            return fresh, (*ended, RecordEvent(event.at, "session", "", {"id": notice.session_id, "why": notice.why}))
        case handshake.SessionAcknowledged():
            detail = {"id": notice.session_id, "baseline": notice.baseline}
            return station, (RecordEvent(event.at, "baseline", "plc", detail),)
        case handshake.SessionEnded():
            return _end_session(station, event.at, notice.reason, notice.why)
        case handshake.MissedTriggers():
            counters = replace(station.counters, missed=station.counters.missed + notice.count)
            reports = {**station.reports, "triggers": (Health.OUT_OF_SPEC, f"missed triggers: {notice.why}")}
            detail: dict[str, int | str] = {"first": notice.first, "count": notice.count, "why": notice.why}
            detail["session"] = station.handshake.session_id
            return replace(station, counters=counters, reports=reports), (
                RecordEvent(event.at, "missed", "plc", detail),
            )
        case handshake.Announced():
            return _accept(station, event, notice)
        case handshake.Withdrawn():
            return _withdrawn(station, event, notice)
        case handshake.PhaseOverdue():
            overruns = station.counters.overruns + notice.unread
            reports = {**station.reports, "handshake": (Health.OUT_OF_SPEC, notice.why)}
            overdue = {"overdue": notice.why, "session": station.handshake.session_id}
            return replace(station, counters=replace(station.counters, overruns=overruns), reports=reports), (
                RecordEvent(event.at, "handshake", "plc", overdue),
            )


def _withdrawn(station: Station, event: PlcRead, notice: handshake.Withdrawn) -> Step:
    """Told once in a session that is otherwise well: a PLC that gives pulses does so for every part."""
    if "triggers" in station.reports:
        return station, ()
    why = "Trigger falls before TriggerAck: hold it, pulses can be missed"
    reports = {**station.reports, "triggers": (Health.OUT_OF_SPEC, why)}
    detail = {"withdrawn": notice.seq, "taken": int(notice.taken), "session": station.handshake.session_id}
    return replace(station, reports=reports), (RecordEvent(event.at, "handshake", "plc", detail),)


def _accept(station: Station, event: PlcRead, notice: handshake.Announced) -> Step:
    """Take one part in: inspect it, or answer at once why not."""
    recipe = _timed(station, event)
    refusal = _refusal(station, event, notice) or _lost_belt(recipe)
    if refusal is not None and refusal[0] in _NOT_TAKEN and station.rules.contract.four_phase:
        return _not_taken(station, event, notice, *refusal)
    slot = notice.slot
    part = PartKey(station.handshake.session_id, PLC, slot.seq)
    cycle = Cycle(
        part=part,
        part_id=slot.part_id,
        stage=part_cycle.Stage.CAPTURING,
        recipe=recipe,
        mode=station.mode,
        plc_epoch=event.head.plc_epoch,
        triggered_at=notice.triggered_at,
        seen_at=event.at,
        deadline=Ns(notice.triggered_at + recipe.deadline_ns),
    )
    record = RecordTrigger(
        part=part,
        part_id=slot.part_id,
        at=event.at,
        triggered_at=cycle.triggered_at,
        deadline=cycle.deadline,
        mode=cycle.mode,
        recipe_id=slot.recipe_id,
        recipe_hash=recipe.hash,
        plc_epoch=cycle.plc_epoch,
        encoder_pos=slot.encoder_pos,
    )
    counters = replace(station.counters, triggers=station.counters.triggers + 1)
    if refusal is not None and refusal[0] is Reason.OVERRUN:
        counters = replace(counters, overruns=counters.overruns + 1)
    if refusal is None:
        cycle, commands = part_cycle.begin(cycle)
    elif refusal[0] is Reason.OVERRUN and station.rules.contract.four_phase:
        station = replace(station, handshake=four_phase.refused(station.handshake))
        cycle, commands = part_cycle.drop(cycle, event.at, *refusal)
    else:
        cycle, commands = part_cycle.refuse(cycle, event.at, *refusal, _context(station, cycle))
    station = replace(station, counters=counters)
    station, commands = _keep(station, cycle, commands)
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


def _not_taken(station: Station, event: PlcRead, notice: handshake.Announced, reason: Reason, why: str) -> Step:
    """A trigger while Ready is 0, four-phase profile: MissedTrigger, counted and journalled, no answer."""
    slot, counters = notice.slot, replace(station.counters, missed=station.counters.missed + 1)
    reports = {**station.reports, "triggers": (Health.OUT_OF_SPEC, f"missed triggers: {why}")}
    detail: dict[str, int | str] = {"first": slot.seq, "count": 1, "part_id": slot.part_id, "why": why}
    detail |= {"reason": reason.name, "session": station.handshake.session_id}
    hs = four_phase.refused(station.handshake)
    return replace(station, handshake=hs, counters=counters, reports=reports), (
        RecordEvent(event.at, "missed", "plc", detail),
    )


def _refusal(station: Station, event: PlcRead, notice: handshake.Announced) -> tuple[Reason, str] | None:
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


def _end_session(station: Station, at: Ns, reason: Reason, why: str) -> Step:
    """Nothing that is in flight may be answered any more; the journal learns why."""
    station = replace(station, jobs=replace(station.jobs, series=False))
    commands: list[Command] = []
    for cycle in tuple(station.cycles.values()):
        if cycle.stage not in part_cycle.FINAL:
            station, more = _drive(station, Abandoned(cycle.part, at, reason, why))
            commands += more
    return station, tuple(commands)


def _new_ceiling(station: Station, at: Ns, ceiling: int) -> Step:
    bypass = 1 <= ceiling < station.line.mode
    reports = dict(station.reports)
    reports.pop("mode ceiling", None)
    if bypass:
        reports["mode ceiling"] = (Health.CHECK_FUNCTION, f"the PLC holds the mode down to {Mode(ceiling).name}")
    detail = {"ceiling": ceiling, "requested": station.line.mode.name}
    return replace(station, ceiling=ceiling, reports=reports), (RecordEvent(at, "ceiling", "plc", detail),)


def _fault_reset(station: Station, fault_reset: bool) -> Station:
    """FaultReset 0→1, seen 0 first, asks to leave failsafe where the station allows it from the PLC."""
    if not fault_reset:
        return station if station.fault_reset_seen_low else replace(station, fault_reset_seen_low=True)
    if not station.fault_reset_seen_low:
        return station
    station = replace(station, fault_reset_seen_low=False)
    if not station.rules.fault_reset_from_plc:
        return station
    return replace(station, latch=health.request_reset(station.latch, "plc"))


def _enable_rose(station: Station, at: Ns) -> Step:
    latch = health.enable_rose(station.latch)
    if latch is station.latch:
        return station, ()
    who = station.latch.reset_by
    commands = (PersistLatch(FaultCode.NONE, ""), RecordEvent(at, "failsafe", who, {"reset": station.latch.why}))
    mended = line.run(station.line, station.line.mode) if station.recipe else Line(mode=station.line.mode)
    return replace(station, latch=latch, line=mended), commands


def _recipe_request(station: Station, event: PlcRead) -> Step:
    """The PLC asks for a product by raising RecipeRequestSeq; asked for what is loaded, it is told so.

    The order inside a read is undefined: a new RecipeRequestSeq may come with the RecipeRequest of before. Only what
    two reads show alike is a request. A restarted PLC counts anew: what its predecessor was told is no answer to it.
    """
    head, epoch = event.head, station.handshake.plc_epoch
    if epoch != station.recipe_epoch:
        station = replace(station, recipe_epoch=epoch, recipe_ack=0)
    asked = (head.recipe_request_seq, head.recipe_request)
    if asked != station.recipe_asked:
        return replace(station, recipe_asked=asked), ()
    if head.recipe_request_seq in (0, station.recipe_ack) or station.recipe_wanted:
        return station, ()
    if station.recipe is not None and head.recipe_request == station.recipe.id:
        return replace(station, recipe_ack=head.recipe_request_seq, recipe_status=RECIPE_LOADED), ()
    return _want_recipe(station, LoadRecipe(head.recipe_request, "", head.recipe_request_seq, "plc"))


def _want_recipe(station: Station, load: LoadRecipe) -> Step:
    wanted = replace(station, recipe_wanted=True, recipe_wanted_epoch=station.recipe_epoch)
    return replace(wanted, recipe_status=RECIPE_LOADING), (load,)


def _recipe_answered(station: Station, request_seq: int, status: int) -> Station:
    """The request is settled; one from before the PLC's restart is none that it knows of."""
    ack = request_seq if station.recipe_wanted_epoch == station.recipe_epoch else station.recipe_ack
    return replace(station, recipe_ack=ack, recipe_status=status, recipe_wanted=False)


# --- parts ----------------------------------------------------------------------------------------------------


def _drive(station: Station, event: CycleEvent) -> Step:
    """Give a part its event."""
    cycle = station.cycles.get(event.part)
    if cycle is None:
        return _stray(station, event)
    cycle, commands = part_cycle.step(cycle, event, _context(station, cycle))
    return _keep(station, cycle, commands)


def _stray(station: Station, event: CycleEvent) -> Step:
    """An event for a part that is settled: a timer that rang on, or a write that succeeded after its session's end."""
    if isinstance(event, DeadlinePassed):
        return station, ()
    if isinstance(event, Published):
        return station, (RecordLate(event.part, event.at, "written although its session was over"),)
    raise IllegalEvent(f"part {event.part}: {type(event).__name__} for a part that is not in flight")


def _context(station: Station, cycle: Cycle) -> Context:
    if cycle.part.source != PLC:
        return Context()
    contract = station.rules.contract
    if contract.four_phase:
        return Context(undecided_before=station.undecided_in_row, queued=True)
    owner = station.slot_owner.get(slot_of(cycle.part.seq, contract.depth))
    superseded = owner is not None and 0 < (owner.seq - cycle.part.seq) % contract.modulus <= contract.modulus // 2
    return Context(undecided_before=station.undecided_in_row, superseded=superseded)


def _keep(station: Station, cycle: Cycle, commands: tuple[Command, ...]) -> Step:
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
        station, more = _health_reported(station, HealthReported(at, f"{VIEW}{view}", state, why))
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


def _frame_captured(station: Station, event: FrameCaptured) -> Step:
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
        return _failed(station, Failed(event.part, event.view, event.at, Reason.CAMERA, why))
    station, commands = _drive(fresh, event)
    return _captured_all(station, event.part), commands


_COUNTERS_KEPT = 32


def _failed(station: Station, event: Failed) -> Step:
    station, commands = _drive(station, event)
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


def _session_told(station: Station, event: SessionTold) -> Step:
    """In the sequence profile the PLC says so itself, by SessionAck."""
    if not station.rules.contract.four_phase:
        return station, ()
    return replace(station, handshake=four_phase.told(station.handshake, event.session_id, event.at)), ()


def _committed(station: Station, event: TriggerCommitted) -> Step:
    """The journal holds the trigger: now the PLC may see it acknowledged."""
    if event.part.source != PLC or event.part.epoch != station.handshake.session_id:
        return station, ()
    if station.rules.contract.four_phase:
        return replace(station, handshake=four_phase.committed(station.handshake, event.part.seq, event.at)), ()
    return replace(station, trigger_ack=event.part.seq), ()


def _block_written(station: Station, event: BlockWritten) -> Step:
    if event.part.epoch != station.handshake.session_id:
        return station, ()
    cycle = station.cycles.get(event.part)
    if cycle is not None and cycle.stage is part_cycle.Stage.PUBLISHING:
        station, _ = _drive(station, event)
        if station.cycles[event.part].stage is part_cycle.Stage.QUEUED:
            station = replace(station, undecided_in_row=cycle.undecided_before)
            return replace(station, handshake=four_phase.taken_back(station.handshake)), ()
    return replace(station, handshake=four_phase.shown(station.handshake, event.at)), ()


def _next_result(station: Station, at: Ns) -> Step:
    """Four-phase profile: hand over the oldest part's result, once it is decided and the PLC is done with the last."""
    hs = station.handshake
    for cycle in station.cycles.values():
        if cycle.part.source != PLC or cycle.stage in part_cycle.FINAL:
            continue
        if cycle.stage is not part_cycle.Stage.QUEUED or not hs.phases.may_show(cycle.part.seq):
            break
        return _drive(replace(station, handshake=four_phase.writing(hs)), TurnCame(cycle.part, at))
    return station, ()


# --- people, duties, faults -----------------------------------------------------------------------------------


def _mode_requested(station: Station, event: ModeRequested) -> Step:
    """Takes effect from the next part; parts in flight keep theirs. A lowered mode is a bypass."""
    station = _bypass(station, event)
    detail = {"from": station.line.mode.name, "to": event.mode.name, "why": event.why}
    changed = line.run(station.line, event.mode) if station.line.running else replace(station.line, mode=event.mode)
    station = replace(station, line=changed)
    station, more = _new_ceiling(station, event.at, station.ceiling)
    return station, (RecordEvent(event.at, "mode", event.who, detail), *more)


def _bypass(station: Station, event: ModeRequested) -> Station:
    usual = max(station.line.mode, station.lowered_from or Mode.SHADOW)
    reports = dict(station.reports)
    reports.pop(MODE_LOWERED, None)
    if event.mode >= usual:
        return replace(station, lowered_from=None, reports=reports)
    reports[MODE_LOWERED] = (
        Health.CHECK_FUNCTION,
        f"{event.who} lowered the mode from {usual.name} to {event.mode.name}: {event.why}",
    )
    return replace(station, lowered_from=usual, reports=reports)


def _act_noted(station: Station, event: ActNoted) -> Step:
    return station, (RecordEvent(event.at, event.kind, event.who, event.detail),)


def _reset_requested(station: Station, event: ResetRequested) -> Step:
    latch = health.request_reset(station.latch, event.who)
    granted = latch is not station.latch
    detail = {"reset_requested": station.latch.why, "granted": int(granted)}
    return replace(station, latch=latch), (RecordEvent(event.at, "failsafe", event.who, detail),)


def _tripped(station: Station, event: FailsafeTripped) -> Step:
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
        if cycle.stage in (*part_cycle.UNDECIDED, part_cycle.Stage.QUEUED):
            station, more = _drive(station, Distrusted(cycle.part, event.at, f"failsafe: {event.why}"))
            commands += more
    commands.append(RecordEvent(event.at, "failsafe", "", {"tripped": event.code.name, "why": event.why}))
    return station, tuple(commands)


def _cause_cleared(station: Station, _event: CauseCleared) -> Step:
    return replace(station, latch=health.clear_cause(station.latch)), ()


def _recipe_requested(station: Station, event: RecipeRequested) -> Step:
    if station.recipe_wanted:
        detail = {"refused": event.product, "why": "another recipe is being loaded"}
        return station, (RecordEvent(event.at, "recipe", event.who, detail),)
    return _want_recipe(station, LoadRecipe(0, event.product, station.recipe_ack, event.who))


def _recipe_loaded(station: Station, event: RecipeLoaded) -> Step:
    current = station.line
    if current.state == "starting":
        current = line.run(current, current.mode)
    latch = station.latch
    if latch.code is FaultCode.MODEL_UNUSABLE:
        latch = health.clear_cause(latch)
    # What was said of views was said of those of the recipe before.
    kept = (source for source in station.reports if source != "recipe" and not source.startswith(VIEW))
    reports = {source: station.reports[source] for source in kept}
    station = _recipe_answered(station, event.request_seq, RECIPE_LOADED)
    station = replace(station, recipe=event.recipe, line=current, latch=latch, reports=reports, views=ViewWatch())
    detail = {"loaded": event.recipe.product, "id": event.recipe.id, "hash": event.recipe.hash}
    return station, (RecordEvent(event.at, "recipe", "", detail),)


def _recipe_refused(station: Station, event: RecipeRefused) -> Step:
    """The one before stays in force; why is in the journal and in the health text until a recipe is loaded."""
    station = _recipe_answered(station, event.request_seq, RECIPE_REFUSED)
    reports = {**station.reports, "recipe": (Health.CHECK_FUNCTION, f"recipe refused: {event.why}")}
    station = replace(station, reports=reports)
    return station, (RecordEvent(event.at, "recipe", "", {"refused": event.request_seq, "why": event.why}),)


def _health_reported(station: Station, event: HealthReported) -> Step:
    reports = dict(station.reports)
    known = reports.pop(event.source, (Health.NORMAL, ""))
    if event.health is not Health.NORMAL:
        reports[event.source] = (event.health, event.why)
    if known == (event.health, event.why):
        return station, ()
    detail = {"source": event.source, "health": event.health.name, "why": event.why}
    return replace(station, reports=reports), (RecordEvent(event.at, "health", "", detail),)


def _job_requested(station: Station, event: JobRequested) -> Step:
    """Take a job in as a part of its own, or say in the audit trail why not."""
    because, recipe = station.no_job_because, station.recipe
    if because is not None or recipe is None:
        detail = {"refused": str(event.part_id), "why": because or "no recipe is loaded"}
        return replace(station, jobs=replace(station.jobs, series=False)), (
            RecordEvent(event.at, "job", event.who, detail),
        )
    cycle, commands = jobs.begin(event, recipe)
    station = replace(station, jobs=replace(station.jobs, last=event.part))
    return _keep(station, cycle, commands)


def _series_requested(station: Station, event: JobSeriesRequested) -> Step:
    because = station.no_job_because
    detail = {"series": int(because is None), "why": because or ""}
    changed = replace(station, jobs=replace(station.jobs, series=because is None))
    return changed, (RecordEvent(event.at, "job", event.who, detail),)


def _jobs_stopped(station: Station, event: JobsStopped) -> Step:
    record = RecordEvent(event.at, "job", event.who, {"stopped": "abort" if event.abort else "stop", "why": event.why})
    if not event.abort:
        return replace(station, jobs=replace(station.jobs, series=False)), (record,)
    station, commands = _end_jobs(station, event.at, f"aborted by {event.who}: {event.why}")
    return station, (*commands, record)


def _end_jobs(station: Station, at: Ns, why: str) -> Step:
    """No job is wanted any more, and the one in flight is given up."""
    station = replace(station, jobs=replace(station.jobs, series=False))
    running = jobs.running(station.cycles)
    if running is None:
        return station, ()
    return _drive(station, Abandoned(running, at, Reason.LOST, why))


def _hold_requested(station: Station, event: HoldRequested) -> Step:
    """Takes effect from the next part on; a job in flight ends as it would."""
    detail = {"from": station.hold.name, "to": event.hold.name, "why": event.why}
    station = replace(
        station,
        hold=event.hold,
        held_over_failsafe=station.latch.latched and event.hold is Hold.HALTED,
        jobs=replace(station.jobs, series=False),
    )
    return station, (RecordEvent(event.at, "hold", event.who, detail),)


def _stopped(station: Station, event: Stopped) -> Step:
    station, commands = _end_session(station, event.at, Reason.LOST, "the station was stopped")
    station = replace(station, line=line.stop(station.line), handshake=handshake.disconnected(station.handshake))
    return station, (*commands, RecordEvent(event.at, "stop", "", {}))


EFFECTS: dict[type[Event], Callable[[Station, Any], Step]] = {
    LinkUp: _link_up,
    LinkLost: _link_lost,
    PlcRead: _plc_read,
    SessionTold: _session_told,
    TriggerCommitted: _committed,
    FrameCaptured: _frame_captured,
    Inferred: _drive,
    Failed: _failed,
    DeadlinePassed: _drive,
    BlockWritten: _block_written,
    Published: _drive,
    ModeRequested: _mode_requested,
    ResetRequested: _reset_requested,
    FailsafeTripped: _tripped,
    CauseCleared: _cause_cleared,
    RecipeRequested: _recipe_requested,
    RecipeLoaded: _recipe_loaded,
    RecipeRefused: _recipe_refused,
    HealthReported: _health_reported,
    JobRequested: _job_requested,
    JobSeriesRequested: _series_requested,
    JobsStopped: _jobs_stopped,
    HoldRequested: _hold_requested,
    ActNoted: _act_noted,
    Stopped: _stopped,
}
