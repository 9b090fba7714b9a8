"""Breadth-first over every reachable joint state of two parts in the four-phase profile: the six invariants.

Explored: the real `statemachines.station` tables with the real order of status writes, joined to a PLC that may break
the contract once in each history: give a pulse, drop or raise a bit at any moment, raise Trigger before its fields or
while the station is not Ready, ask for the same part again, skip a number. Reads may be torn: each tag is from now or
from the moment of the last read. Writes take one step a request. The journal commits late, cameras and models fail or
come late, deadlines strike and phases run out at any moment, the link is lost, the PLC restarts, Enable falls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from controller.plc_order import next_request
from controller.ports import StatusValue
from statemachines.commands import Capture, Command, Infer, Publish, RecordEvent, RecordOutcome, RecordTrigger
from statemachines.cycle.state import FINAL, Stage, awaits_write
from statemachines.cycle.table import TABLE
from statemachines.errors import IllegalEvent
from statemachines.events import (
    BlockWritten,
    DeadlinePassed,
    Event,
    Failed,
    FrameCaptured,
    Inferred,
    LinkLost,
    LinkUp,
    PlcRead,
    Published,
    SessionTold,
    TriggerCommitted,
)
from statemachines.handshake import four_phase, results, triggers
from statemachines.handshake.phases import Phases, ResultPhase, TriggerPhase
from statemachines.handshake.results import AckSign
from statemachines.handshake.session import Reply, Sign
from statemachines.handshake.state import Contract, Handshake, Link
from statemachines.handshake.triggers import TriggerSign
from statemachines.line import Line
from statemachines.sequence import distance, following
from statemachines.station.state import Rules, Station
from statemachines.station.tags import outputs
from statemachines.vocabulary import (
    Action,
    Answer,
    Assessment,
    Fallback,
    Mode,
    Ns,
    PartKey,
    PlcHead,
    Policy,
    Reason,
    RecipeFacts,
    TriggerSlot,
    Verdict,
)
from tests.unit.statemachines.exploring import Memory, Variants

QUEUE, MODULUS = 2, 8
BASELINE = 7
"""The parts are numbered 8 and 1: the numbers wrap on the way."""
WINDOW, DEADLINE, PHASE = 10_000_000, 50_000_000, 100_000_000
NOW = Ns(1_000_000_000)
LATE = Ns(NOW + PHASE)
RECIPE = RecipeFacts(
    1, "p", "ab" * 32, ("top",), DEADLINE, WINDOW, Policy(Fallback.REJECT, divert_lane=False, stop_after_passes=0)
)
OK = Assessment(Verdict.OK, (), 0.1, "fine")
SEEN_BY_PLC = ("SessionId", "Ready", "TriggerIdAck", "TriggerAck", "ResultValid")


@dataclass(frozen=True)
class PlcTags:
    """What the PLC's program wrote."""

    trigger: bool = False
    result_ack: bool = False
    seq: int = BASELINE
    part_id: int = 0
    enable: bool = True
    plc_epoch: int = 7

    def head(self) -> PlcHead:
        return PlcHead(
            enable=self.enable,
            mode_ceiling=3,
            plc_epoch=self.plc_epoch,
            trigger=self.trigger,
            result_ack=self.result_ack,
        )

    def slot(self) -> TriggerSlot:
        return TriggerSlot(self.seq, self.part_id, 0, RECIPE.id)


@dataclass(frozen=True)
class World(Variants):
    """Station and everything around it. half: which of a part's fields the PLC wrote so far."""

    station: Station
    plc: PlcTags = PlcTags()
    at_last_read: PlcTags = PlcTags()
    tags: tuple[tuple[str, StatusValue], ...] = ()
    half: int = 0
    made: int = 0
    parts: int = 2
    faults: int = 1
    calm: bool = False
    flawless: bool = False
    """Nothing goes wrong in this history: the PLC must receive every result."""
    next_session: int = 2
    baseline: int = BASELINE
    together: frozenset[tuple[int, int]] = frozenset()
    """(TriggerId, PartId) that stood side by side while Trigger was 1."""
    block: Answer | None = None
    block_seq: int = 0
    writing: tuple[tuple[PartKey, Answer, int], ...] = ()
    taking: bool = False
    """The PLC took the result shown and has not seen ResultValid 0 since."""
    received: frozenset[tuple[int, int]] = frozenset()
    """(session, TriggerId) of results that the PLC took."""
    commits: tuple[PartKey, ...] = ()
    durable: frozenset[PartKey] = frozenset()
    captures: tuple[PartKey, ...] = ()
    inferring: PartKey | None = None
    published: tuple[PartKey, ...] = ()
    accepted: tuple[PartKey, ...] = ()
    ended: tuple[PartKey, ...] = ()
    expired: tuple[PartKey, ...] = ()
    """Parts whose deadline passed before they were published."""
    missed: frozenset[int] = frozenset()
    """Numbers of this session that were counted as missed."""
    memory: Memory = field(default_factory=lambda: Memory(_ageless))

    def tag(self, name: str) -> StatusValue:
        return self.tags[SEEN_BY_PLC.index(name)][1]


class Violation(AssertionError):
    """One of the six invariants does not hold."""


def start(mode: Mode) -> World:
    phases = Phases(trigger=TriggerPhase.WAITING, trigger_since=NOW, result=ResultPhase.FREE, result_since=NOW)
    station = Station(
        rules=Rules(
            Contract(QUEUE, MODULUS, plc_lost_ns=10**18, torn_reads=1, profile="four-phase", phase_ns=PHASE),
            max_in_flight=QUEUE,
        ),
        line=Line("running_" + mode.name.lower(), mode),
        recipe=RECIPE,
        ceiling=3,
        recipe_epoch=7,
        handshake=Handshake(
            Link.IN_SESSION,
            session_id=1,
            plc_epoch=7,
            last_seq=BASELINE,
            clock_ms=0,
            clock_moved_at=NOW,
            phases=phases,
        ),
    )
    return World(station, tags=_seen_by_plc(station))


def _ageless(station: Station) -> Station:
    """Where a phase began decides only when it runs out, which may be at any moment here."""
    hs = station.handshake
    phases = replace(hs.phases, trigger_since=NOW, result_since=NOW, toggle=False, missed=False)
    return replace(station, handshake=replace(hs, phases=phases))


def _seen_by_plc(station: Station) -> tuple[tuple[str, StatusValue], ...]:
    values = outputs(station)
    return tuple((name, values[name]) for name in SEEN_BY_PLC)


def absorb(world: World, event: Event, mode: Mode) -> World:
    """Step the real station and hand its commands to the world, checking invariants 1, 2, 3, 4 and 6 as they pass."""
    station, commands = world.memory.step(world.station, event)
    hs = station.handshake
    if hs.session_id == world.next_session:
        world = world.but(next_session=world.next_session + 1, missed=frozenset())
    if hs.link is Link.IN_SESSION and world.station.handshake.link is not Link.IN_SESSION:
        world = world.but(baseline=hs.last_seq)
        if world.tag("SessionId") != hs.session_id:
            raise Violation("a session began before the PLC was told")
    world = world.but(station=station)
    for command in commands:
        world = _hand_over(world, command, event.at, mode)
    return world


def _hand_over(world: World, command: Command, at: Ns, mode: Mode) -> World:
    match command:
        case RecordTrigger():
            if command.part in world.accepted:
                raise Violation(f"part {command.part} was accepted twice")
            commits = (*world.commits, command.part)
            return world.but(accepted=(*world.accepted, command.part), commits=commits)
        case Capture():
            return world.but(captures=(*world.captures, command.part))
        case Infer():
            return world.but(inferring=command.part)
        case Publish():
            return _publish(world, command, at, mode)
        case RecordOutcome():
            part = command.outcome.part
            if part in world.ended:
                raise Violation(f"invariant 4: part {part} ended twice in the journal")
            return world.but(ended=(*world.ended, part))
        case RecordEvent(kind="missed"):
            return _count(world, int(command.detail["first"]), int(command.detail["count"]))
        case _:
            return world


def _count(world: World, first: int, count: int) -> World:
    numbers: list[int] = []
    for _ in range(count):
        numbers.append(first)
        first = following(first, MODULUS)
    twice = world.missed.intersection(numbers)
    if twice:
        raise Violation(f"{twice} were counted as missed twice")
    return world.but(missed=world.missed.union(numbers))


def _publish(world: World, command: Publish, at: Ns, mode: Mode) -> World:
    answer, part = command.answer, command.part
    if part in world.published:
        raise Violation(f"invariant 1: part {part} was answered twice")
    if (answer.seq, answer.part_id) not in world.together:
        raise Violation(f"invariant 2: part {part} answered as {answer.part_id}")
    if answer.reason is Reason.DECIDED and (at > command.deadline or part in world.expired):
        raise Violation(f"invariant 3: part {part} was decided after its deadline")
    if mode is Mode.SHADOW and answer.action is not Action.NONE:
        raise Violation(f"invariant 6: {answer.action.name} in SHADOW")
    if answer.session_id != world.station.handshake.session_id:
        raise Violation(f"part {part} answered outside of its session")
    before = [other.seq for other in world.published if other.epoch == part.epoch]
    if before and distance(before[-1], part.seq, MODULUS) > MODULUS // 2:
        raise Violation(f"part {part} was answered out of order")
    return world.but(published=(*world.published, part), writing=(*world.writing, (part, answer, 0)))


# --- what may happen next -------------------------------------------------------------------------------------


def moves(world: World, mode: Mode) -> Iterator[tuple[str, World]]:
    for name, after in (*_trigger_moves(world), *_result_moves(world), *_disturbances(world)):
        plc = after.plc
        together = after.together | {(plc.seq, plc.part_id)} if plc.trigger else after.together
        yield name, after.but(together=together)
    yield from _read_moves(world, mode)
    yield from _device_moves(world, mode)
    yield from _link_moves(world, mode)


def _trigger_moves(world: World) -> Iterator[tuple[str, World]]:
    plc, spare = world.plc, world.faults > 0
    broken = world.but(faults=0)
    invited = plc.enable and world.tag("Ready") and not world.tag("TriggerAck")
    if plc.trigger:
        acknowledged = world.tag("TriggerAck") and world.tag("TriggerIdAck") == plc.seq
        down = replace(plc, trigger=False)
        if acknowledged and world.half == 0:
            yield "plc: Trigger 0", world.but(plc=down)
        elif spare:
            yield "plc: Trigger 0 too early", broken.but(plc=down)
    if world.half == 0 and world.made and spare and not plc.trigger:
        yield "plc: Trigger 1 again", broken.but(plc=replace(plc, trigger=True))
    if world.half == 0 and world.made < world.parts and not plc.trigger:
        fields = replace(plc, part_id=world.made + 1)
        if invited and not spare:
            numbered = replace(fields, seq=following(plc.seq, MODULUS))
            yield "plc: fields, TriggerId", world.but(plc=numbered, half=2, made=world.made + 1)
        elif invited:
            yield "plc: fields", world.but(plc=fields, half=1, made=world.made + 1)
        elif spare and plc.enable:
            yield "plc: fields uninvited", broken.but(plc=fields, half=1, made=world.made + 1)
    if world.half == 1:
        numbered = replace(plc, seq=following(plc.seq, MODULUS))
        yield "plc: TriggerId", world.but(plc=numbered, half=0 if plc.trigger else 2)
        if spare:
            skipped = replace(plc, seq=following(numbered.seq, MODULUS))
            yield "plc: TriggerId skips one", broken.but(plc=skipped, half=2)
            yield "plc: Trigger 1 before TriggerId", broken.but(plc=replace(plc, trigger=True))
    if world.half == 2:
        yield "plc: Trigger 1", world.but(plc=replace(plc, trigger=True), half=0)


def _result_moves(world: World) -> Iterator[tuple[str, World]]:
    plc, valid = world.plc, bool(world.tag("ResultValid"))
    broken = world.but(faults=0)
    if valid and not plc.result_ack and not world.taking:
        yield "plc: takes the result", _take_result(world).but(plc=replace(plc, result_ack=True), taking=True)
    if not valid and plc.result_ack:
        yield "plc: ResultAck 0", world.but(plc=replace(plc, result_ack=False), taking=False)
    elif not valid and world.taking:
        yield "plc: sees ResultValid 0", world.but(taking=False)
    if world.faults and not valid and not plc.result_ack:
        yield "plc: ResultAck 1 too early", broken.but(plc=replace(plc, result_ack=True))
    if world.faults and valid and plc.result_ack:
        yield "plc: ResultAck 0 too early", broken.but(plc=replace(plc, result_ack=False))


def _take_result(world: World) -> World:
    """The PLC copies the block and takes it for the part that it names."""
    answer = world.block
    if answer is None or answer.seq != world.block_seq:
        raise Violation("the PLC took a torn block")
    if answer.epoch_echo != world.plc.plc_epoch:
        return world
    key = (answer.session_id, answer.seq)
    if key in world.received:
        raise Violation(f"invariant 1: the PLC was shown {key} twice")
    if (answer.seq, answer.part_id) not in world.together:
        raise Violation(f"invariant 2: the PLC was shown part {answer.part_id} as {answer.seq}")
    return world.but(received=world.received | {key})


def _disturbances(world: World) -> Iterator[tuple[str, World]]:
    plc = world.plc
    if world.made and world.next_session == 2 and not world.calm:
        if plc.enable:
            yield "plc: Enable 0", world.but(plc=replace(plc, enable=False), half=0)
        if plc.plc_epoch == 7:
            # A PLC that starts waits for ResultValid 0 before it takes anything.
            fresh = PlcTags(seq=0, plc_epoch=8)
            yield "plc: restart", world.but(plc=fresh, half=0, taking=True)
            retained = replace(plc, plc_epoch=8, trigger=False, result_ack=False)
            yield "plc: restart with equal numbers", world.but(plc=retained, half=0, taking=True)
    if not plc.enable and not world.tag("Ready") and world.station.handshake.link is Link.WAITING:
        yield "plc: Enable 1", world.but(plc=replace(plc, enable=True))


def _read_moves(world: World, mode: Mode) -> Iterator[tuple[str, World]]:
    hs = world.station.handshake
    if hs.link is Link.OFFLINE:
        yield "link: up", absorb(world, LinkUp(NOW), mode)
        return
    now, then = world.plc, world.at_last_read
    seen: set[PlcTags] = set()
    for name, mix in (
        ("read", now),
        ("read torn: old bits", replace(now, trigger=then.trigger, result_ack=then.result_ack)),
        ("read torn: old fields", replace(now, seq=then.seq, part_id=then.part_id)),
        ("read torn: old TriggerId", replace(now, seq=then.seq)),
        ("read torn: old PartId", replace(now, part_id=then.part_id)),
    ):
        if mix not in seen:
            seen.add(mix)
            after = absorb(world.but(at_last_read=now), _event(world, mix, NOW), mode)
            goes_on = hs.link is Link.IN_SESSION and after.station.handshake.link is Link.IN_SESSION and now.enable
            if goes_on and now.plc_epoch != hs.plc_epoch:
                raise Violation("the PLC was restarted, and the station goes on as if it had not been")
            yield name, after
    if world.faults:
        after = world.but(at_last_read=now, faults=0)
        yield "read when a phase is over", absorb(after, _event(world, now, LATE), mode)


def _event(world: World, plc: PlcTags, at: Ns) -> PlcRead:
    return PlcRead(at, at, plc.head(), (plc.slot(),), world.next_session)


def _device_moves(world: World, mode: Mode) -> Iterator[tuple[str, World]]:
    if world.commits:
        part, rest = world.commits[0], world.commits[1:]
        after = world.but(commits=rest, durable=world.durable | {part})
        yield "journal: committed", absorb(after, TriggerCommitted(part, NOW), mode)
    for part in world.captures:
        after = world.but(captures=tuple(p for p in world.captures if p != part))
        counter = world.station.last_counter.get("cam", 0)
        framed = absorb(after, FrameCaptured(part, "top", NOW, NOW, counter + 1, "cam"), mode)
        judged = framed if framed.inferring is None else absorb(framed, Inferred(part, "top", NOW, OK), mode)
        yield "camera and model: judged", judged.but(inferring=None)
        yield "camera: failed", absorb(after, Failed(part, "top", NOW, Reason.CAMERA, "silent"), mode)
    for part, cycle in world.station.cycles.items():
        expired = world if part in world.expired else world.but(expired=(*world.expired, part))
        if cycle.stage not in FINAL and cycle.stage is not Stage.PUBLISHING:
            yield "deadline", absorb(expired, DeadlinePassed(part, Ns(cycle.deadline + 1)), mode)
        elif any(writing[0] == part and writing[2] == 1 for writing in world.writing):
            yield "deadline, the block is on its way", expired


def _link_moves(world: World, mode: Mode) -> Iterator[tuple[str, World]]:
    tags = dict(world.tags)
    difference = {name: value for name, value in world.memory.of(world.station, _seen_by_plc) if tags[name] != value}
    online = world.station.handshake.link is not Link.OFFLINE
    request = next_request(difference, signals_only=False) if online else {}
    if request:
        after = _written(world, request)
        if "SessionId" in request:
            after = absorb(after, SessionTold(int(request["SessionId"]), NOW), mode)
        yield f"link: {', '.join(request)}", after
    settled = not (online and next_request(difference, signals_only=True))
    if world.writing:
        yield from _answer_moves(world, settled, mode)
    if online and world.next_session == 2 and world.made and not world.calm:
        yield "link: lost", absorb(world.but(writing=()), LinkLost(NOW, "test"), mode)


def _answer_moves(world: World, settled: bool, mode: Mode) -> Iterator[tuple[str, World]]:
    part, answer, done = world.writing[0]
    rest = world.writing[1:]
    awaited = awaits_write(world.station.cycles.get(part), answer)
    if done == 0 and not awaited:
        yield "link: dropped", world.but(writing=rest)
    elif done == 0 and settled:
        yield "link: fields", world.but(block=answer, writing=((part, answer, 1), *rest))
    elif done == 1:
        after = world.but(block_seq=answer.seq, writing=((part, answer, 2), *rest))
        late = awaited and part in world.expired and answer.reason is Reason.DECIDED
        if late:
            after = after.but(published=tuple(other for other in world.published if other != part))
        at = Ns(world.station.cycles[part].deadline + 1) if late else NOW
        after = absorb(after, BlockWritten(part, at), mode)
        if late and after.station.handshake.phases.result is ResultPhase.SHOWN:
            raise Violation(f"invariant 3: the verdict of {part} is shown after its deadline")
        yield "link: Result.TriggerId", after
    elif done == 2 and settled:
        after = world.but(writing=rest)
        yield "link: confirmed", absorb(after, Published(part, NOW), mode) if awaited else after


def _written(world: World, request: dict[str, StatusValue]) -> World:
    return world.but(tags=tuple((name, request.get(name, value)) for name, value in world.tags))


# --- the search -----------------------------------------------------------------------------------------------


def check(world: World) -> None:
    """What must hold in every state."""
    open_parts = {key for key, cycle in world.station.cycles.items() if cycle.stage not in FINAL}
    for part in world.accepted:
        if (part in world.ended) == (part in open_parts):
            raise Violation(f"invariant 4: part {part} is neither open nor ended, or both")
    if world.tag("ResultValid") and (world.block is None or world.block.seq != world.block_seq):
        raise Violation("the block changes while ResultValid is 1")
    session, number = int(world.tag("SessionId")), int(world.tag("TriggerIdAck"))
    if world.tag("TriggerAck") and PartKey(session, "plc", number) not in world.durable:
        raise Violation(f"TriggerAck for {number}, which is not durable in session {session}")
    _check_numbers(world)


def _check_numbers(world: World) -> None:
    """Each number since the baseline was either taken or counted as missed (or refused for want of room)."""
    hs = world.station.handshake
    if hs.link is not Link.IN_SESSION:
        return
    taken = {part.seq for part in world.accepted if part.epoch == hs.session_id}
    number = world.baseline
    while number != hs.last_seq:
        number = following(number, MODULUS)
        if (number in taken) == (number in world.missed):
            raise Violation(f"{number} is neither taken nor missed, or both")


def check_quiet(world: World) -> None:
    """Invariant 5: where nothing more happens by itself, no decided part waits although the PLC could take it, and the
    PLC sees the bits that say how things stand."""
    hs = world.station.handshake
    if hs.link is not Link.IN_SESSION or world.plc.trigger or world.plc.result_ack or not world.plc.enable:
        return
    if hs.phases.trigger is not TriggerPhase.WAITING or hs.phases.result is not ResultPhase.FREE:
        return
    for part, cycle in world.station.cycles.items():
        if cycle.stage is Stage.QUEUED:
            raise Violation(f"invariant 5: the result of {part} waits for nothing")
    for part in world.published if world.flawless else ():
        if (part.epoch, part.seq) not in world.received:
            raise Violation(f"invariant 5: the result of {part} was withdrawn before the PLC took it")


def _of_station(station: Station) -> int:
    cycles = tuple(
        (key, c.stage, c.frames_due, c.verdicts_due, c.decision.verdict if c.decision else None)
        for key, c in station.cycles.items()
    )
    return hash((station.handshake, cycles, station.enable_seen_low, station.line_stop))


def key_of(world: World) -> int:
    """Equal for worlds that are equal but for counters and texts, which decide nothing."""
    on_its_way = {part for part, _, done in world.writing if done < 2}
    settled = frozenset(world.ended) | (frozenset(world.published) - on_its_way)
    around = (
        world.memory.of(world.station, _of_station),
        (world.plc, world.at_last_read, world.tags, world.half, world.made, world.faults),
        (world.next_session, world.baseline, world.together, world.missed, world.block_seq),
        (_gist(world.block), tuple((part, done) for part, _, done in world.writing)),
        (world.taking, world.received, world.commits, world.durable, frozenset(world.captures)),
        (frozenset(world.published), frozenset(world.accepted), frozenset(world.ended)),
        frozenset(world.expired) - settled,
    )
    return hash(around)


def _gist(answer: Answer | None) -> tuple[object, ...] | None:
    return None if answer is None else (answer.seq, answer.part_id, answer.session_id, answer.verdict)


@dataclass(frozen=True)
class Scope:
    """How much may go wrong in one history. calm: neither link nor Enable nor PLC fails."""

    parts: int
    faults: int
    calm: bool


@dataclass(frozen=True)
class Explored:
    states: int
    transitions: int
    answered_all: bool


def explore(mode: Mode, scope: Scope) -> Explored:
    """Every reachable state, nearest first, so that a violation comes with its shortest history."""
    first = start(mode).but(
        parts=scope.parts, faults=scope.faults, calm=scope.calm, flawless=scope.calm and not scope.faults
    )
    seen = {key_of(first)}
    frontier: deque[tuple[World, tuple[str, ...]]] = deque([(first, ())])
    transitions, answered_all = 0, False
    while frontier:
        world, history = frontier.popleft()
        try:
            check(world)
            for name, after in moves(world, mode):
                transitions += 1
                key = key_of(after)
                if key not in seen:
                    seen.add(key)
                    frontier.append((after, (*history, name)))
            if not (world.captures or world.writing or world.commits):
                check_quiet(world)
        except (Violation, IllegalEvent) as error:
            raise AssertionError(f"{error}\nafter: {' | '.join(history)}") from error
        answered_all = answered_all or len(world.received) == scope.parts == len(world.ended)
    return Explored(len(seen), transitions, answered_all)


CALM = Scope(parts=2, faults=0, calm=True)
ONE_FAULT = Scope(parts=1, faults=1, calm=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("mode", "scope", "at_least"),
    [
        (Mode.AUTO_REJECT, CALM, 3_000),
        (Mode.AUTO_REJECT, ONE_FAULT, 1_000),
        (Mode.AUTO_REJECT, Scope(parts=1, faults=0, calm=False), 5_000),
        (Mode.SHADOW, ONE_FAULT, 1_000),
        (Mode.ALERT, ONE_FAULT, 1_000),
        pytest.param(Mode.AUTO_REJECT, Scope(parts=2, faults=1, calm=True), 50_000, marks=pytest.mark.slow),
        pytest.param(Mode.AUTO_REJECT, Scope(parts=1, faults=1, calm=False), 30_000, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_invariants_hold_in_every_reachable_state(
    mode: Mode, scope: Scope, at_least: int, capsys: pytest.CaptureFixture[str]
) -> None:
    explored = explore(mode, scope)
    with capsys.disabled():
        print(f"\nfour-phase, {mode.name}, {scope}: {explored.states} states, {explored.transitions} transitions")
    assert explored.answered_all, "the search must reach the state in which the PLC took every result"
    assert explored.states > at_least


def _leads(
    table: dict[tuple[Any, Any], tuple[Any, Any]], row: tuple[Any, Any], like: tuple[Any, Any]
) -> Callable[[pytest.MonkeyPatch], None]:
    """This row does what another one does."""
    return lambda patch: patch.setitem(table, row, table[like])


BREAKS: dict[str, tuple[Scope, Callable[[pytest.MonkeyPatch], None]]] = {
    "one read is enough to take a trigger": (
        Scope(parts=2, faults=1, calm=True),
        lambda patch: patch.setattr(triggers, "trigger_sign", _hasty(triggers.trigger_sign)),
    ),
    "a result is not queued": (
        CALM,
        lambda patch: patch.setattr(Phases, "may_show", lambda _phases, _seq: True),  # pyright: ignore[reportUnknownLambdaType]
    ),
    "the deadline is ignored in the queue": (
        CALM,
        lambda patch: patch.setitem(TABLE, (Stage.QUEUED, DeadlinePassed), ((Stage.QUEUED,), TABLE[_IGNORED][1])),
    ),
    "a verdict is shown although its block came late": (
        CALM,
        lambda patch: patch.setitem(TABLE, (Stage.PUBLISHING, BlockWritten), ((Stage.PUBLISHING,), TABLE[_IGNORED][1])),
    ),
    "the same part is taken again": (
        ONE_FAULT,
        _leads(
            triggers.TRIGGERS,
            (TriggerPhase.LATCHING, TriggerSign.AGAIN_DURABLE),
            (TriggerPhase.LATCHING, TriggerSign.NEW),
        ),
    ),
    "a result is withdrawn before ResultAck": (
        CALM,
        _leads(results.RESULTS, (ResultPhase.SHOWN, AckSign.LOW), (ResultPhase.SHOWN, AckSign.HIGH)),
    ),
    "a restarted PLC is not noticed": (
        Scope(parts=1, faults=0, calm=False),
        _leads(four_phase.TABLE, (Link.IN_SESSION, Sign.EPOCH_CHANGED), (Link.IN_SESSION, Sign.QUIET)),
    ),
    "a session begins before the PLC was told": (
        Scope(parts=1, faults=0, calm=False),
        _leads(four_phase.TABLE, (Link.OPENING, Sign.SESSION_OLD), (Link.OPENING, Sign.QUIET)),
    ),
    "what TriggerId leaves out is not counted": (
        ONE_FAULT,
        lambda patch: patch.setattr(triggers, "_count_gap", _silent_gap),
    ),
}
_IGNORED = (Stage.ANSWERED, DeadlinePassed)


def _silent_gap(hs: Handshake, until: int, _contract: Contract, _why: str) -> Reply:
    return replace(hs, last_seq=until), ()


def _hasty(careful: Callable[..., TriggerSign]) -> Callable[..., TriggerSign]:
    def sign(hs: Handshake, event: PlcRead, slot: TriggerSlot, contract: Contract) -> TriggerSign:
        hs = replace(hs, phases=replace(hs.phases, candidate=slot)) if hs.phases.candidate is not None else hs
        return careful(hs, event, slot, contract)

    return sign


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BREAKS)
def test_breaking_one_row_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search itself can fail: one wrong row, and it names the shortest way to the harm."""
    scope, break_it = BREAKS[name]
    break_it(monkeypatch)
    with pytest.raises(AssertionError, match="after: plc: fields"):
        explore(Mode.AUTO_REJECT, scope)
