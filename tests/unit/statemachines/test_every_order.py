"""Breadth-first over every reachable joint state of three parts in flight: the six invariants of the PLC contract.

Explored: the real `statemachines.station` tables, joined to an adversarial PLC (ring of 2, 3-bit numbers that wrap,
triggers whose slot and number are written in two steps, bursts, Enable, restarts), a link whose writes take two steps,
are confirmed late or never, and whose reads may be torn (slot and head from different moments), cameras that deliver on
time, early, late, twice or not at all, models that judge, fail or are late, deadlines that strike at any moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from statemachines.checkword import trigger_check
from statemachines.commands import Capture, Command, Infer, Publish, RecordOutcome, RecordTrigger
from statemachines.cycle.state import FINAL, Cycle, Stage, awaits_write
from statemachines.cycle.table import TABLE
from statemachines.errors import IllegalEvent
from statemachines.events import (
    DeadlinePassed,
    Event,
    Failed,
    FrameCaptured,
    Inferred,
    LinkLost,
    LinkUp,
    PlcRead,
    Published,
)
from statemachines.handshake import sequence_profile
from statemachines.handshake.session import Sign
from statemachines.handshake.state import Contract, Handshake, Link
from statemachines.line import Line
from statemachines.sequence import following, slot_of
from statemachines.station.state import Rules, Station
from statemachines.views import ViewPolicy, ViewRule
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

DEPTH, MODULUS = 2, 8
FIRST = 8
"""The parts are numbered 8, 1, 2: the numbers wrap on the way."""
WINDOW, DEADLINE = 10_000_000, 50_000_000
NOW = Ns(1_000_000_000)
RECIPE = RecipeFacts(
    1, "p", "ab" * 32, ("top",), DEADLINE, WINDOW, Policy(Fallback.REJECT, divert_lane=False, stop_after_passes=0)
)
OK = Assessment(Verdict.OK, (), 0.1, "fine")
NAN = replace(OK, score=float("nan"))


@dataclass(frozen=True)
class Slot:
    """A result slot on the PLC: fields and number are written apart."""

    fields: Answer | None = None
    seq: int = 0


@dataclass(frozen=True)
class World(Variants):
    """Station and everything around it. `made` counts the parts that the PLC put on the belt."""

    station: Station
    trigger_ring: tuple[TriggerSlot, ...]
    trigger_seq: int
    half_written: bool
    parts: int
    enable: bool
    session_ack: int
    plc_epoch: int
    made: int
    next_session: int
    ready_session: int
    """The session in which the PLC saw Ready; it triggers on in it until it sees another SessionId."""
    stale_slots: tuple[TriggerSlot, ...]
    results: tuple[Slot, ...]
    writing: tuple[tuple[PartKey, Answer, int], ...]
    waiting: tuple[tuple[int, int, int, int], ...]
    """Parts the PLC waits for: (session, seq, part id, epoch)."""
    captures: tuple[tuple[PartKey, str], ...]
    inferences: tuple[tuple[PartKey, str], ...]
    published: tuple[PartKey, ...]
    accepted: tuple[PartKey, ...]
    ended: tuple[PartKey, ...]
    expired: tuple[PartKey, ...]
    memory: Memory = field(default_factory=Memory)


class Violation(AssertionError):
    """One of the six invariants does not hold."""


def start(mode: Mode, parts: int, recipe: RecipeFacts) -> World:
    station = Station(
        rules=Rules(Contract(DEPTH, MODULUS, plc_lost_ns=10**18, torn_reads=1), max_in_flight=parts),
        line=Line("running_" + mode.name.lower(), mode),
        recipe=recipe,
        ceiling=3,
        handshake=Handshake(
            Link.IN_SESSION, session_id=1, plc_epoch=7, last_seq=FIRST - 1, clock_ms=0, clock_moved_at=NOW
        ),
    )
    empty = TriggerSlot(0, 0, 0, 0, 0)
    return World(
        station=station,
        trigger_ring=(empty,) * DEPTH,
        trigger_seq=FIRST - 1,
        half_written=False,
        parts=parts,
        enable=True,
        session_ack=1,
        plc_epoch=7,
        made=0,
        next_session=2,
        ready_session=1,
        stale_slots=(empty,) * DEPTH,
        results=(Slot(),) * DEPTH,
        writing=(),
        waiting=(),
        captures=(),
        inferences=(),
        published=(),
        accepted=(),
        ended=(),
        expired=(),
    )


def absorb(world: World, event: Event, mode: Mode) -> World:
    """Step the real station and hand its commands to the world, checking invariants 1, 2, 3, 4 and 6 as they pass."""
    station, commands = world.memory.step(world.station, event)
    if station.handshake.session_id == world.next_session:
        world = world.but(next_session=world.next_session + 1)
    world = world.but(station=station)
    if station.ready:
        world = world.but(ready_session=station.handshake.session_id)
    for command in commands:
        world = _hand_over(world, command, mode)
    return world


def _hand_over(world: World, command: Command, mode: Mode) -> World:
    match command:
        case RecordTrigger():
            if command.part in world.accepted:
                raise Violation(f"part {command.part} was accepted twice")
            return world.but(accepted=(*world.accepted, command.part))
        case Capture():
            return world.but(captures=(*world.captures, (command.part, command.view)))
        case Infer():
            return world.but(inferences=(*world.inferences, (command.part, command.view)))
        case Publish():
            return _publish(world, command, mode)
        case RecordOutcome():
            part = command.outcome.part
            if part in world.ended:
                raise Violation(f"invariant 4: part {part} ended twice in the journal")
            return world.but(ended=(*world.ended, part))
        case _:
            return world


def _publish(world: World, command: Publish, mode: Mode) -> World:
    answer, part = command.answer, command.part
    if part in world.published:
        raise Violation(f"invariant 1: part {part} was answered twice")
    if answer.part_id != _id_of(world, part):
        raise Violation(f"invariant 2: part {part} answered as {answer.part_id}")
    if answer.reason is Reason.DECIDED and part in world.expired:
        raise Violation(f"invariant 3: part {part} was decided after its deadline")
    if mode is Mode.SHADOW and answer.action is not Action.NONE:
        raise Violation(f"invariant 6: {answer.action.name} in SHADOW")
    if answer.session_id != world.station.handshake.session_id:
        raise Violation(f"part {part} answered outside of its session")
    return world.but(published=(*world.published, part), writing=(*world.writing, (part, answer, 0)))


def _id_of(world: World, part: PartKey) -> int:
    for session, seq, part_id, _ in world.waiting:
        if (session, seq) == (part.epoch, part.seq):
            return part_id
    raise Violation(f"part {part} was never triggered in that session")


# --- what may happen next -------------------------------------------------------------------------------------


def moves(world: World, mode: Mode) -> Iterator[tuple[str, World]]:
    yield from _plc_moves(world)
    yield from _read_moves(world, mode)
    yield from _device_moves(world, mode)
    yield from _link_moves(world, mode)


def _plc_moves(world: World) -> Iterator[tuple[str, World]]:
    seq = following(world.trigger_seq, MODULUS)
    slot = slot_of(seq, DEPTH)
    if world.half_written:
        waiting = (*world.waiting, (world.session_ack, seq, world.made, world.plc_epoch))
        yield (
            "plc: TriggerSeq",
            world.but(trigger_seq=seq, half_written=False, waiting=waiting, stale_slots=world.trigger_ring),
        )
    elif world.made < world.parts and world.enable and world.session_ack == world.ready_session:
        made = world.made + 1
        ring = list(world.trigger_ring)
        ring[slot] = TriggerSlot(seq, made, 0, RECIPE.id, trigger_check(seq, made, 0, RECIPE.id, 0))
        yield "plc: slot", world.but(trigger_ring=tuple(ring), half_written=True, made=made)
    session = world.station.handshake.session_id
    if world.session_ack != session and world.station.handshake.link is Link.OPENING:
        yield (
            "plc: SessionAck",
            world.but(session_ack=session, half_written=False, results=(Slot(),) * DEPTH),
        )
    if world.made in (1, 2) and world.next_session == 2:
        if world.enable:
            yield "plc: Enable 0", world.but(enable=False, half_written=False)
        restarted = world.but(
            plc_epoch=world.plc_epoch + 1,
            session_ack=0,
            half_written=False,
            trigger_seq=0,
            results=(Slot(),) * DEPTH,
        )
        if world.plc_epoch == 7:
            yield "plc: restart", restarted
            retained = restarted.but(session_ack=world.session_ack, trigger_seq=world.trigger_seq)
            yield "plc: restart with equal numbers", retained
    if not world.enable and world.station.handshake.link is Link.WAITING:
        yield "plc: Enable 1", world.but(enable=True)


def _read_moves(world: World, mode: Mode) -> Iterator[tuple[str, World]]:
    if world.station.handshake.link is Link.OFFLINE:
        yield "link: up", absorb(world, LinkUp(NOW), mode)
        return
    head = PlcHead(0, world.session_ack, world.enable, world.trigger_seq, 3, world.plc_epoch, False, 0, 0)
    event = PlcRead(NOW, NOW, head, world.trigger_ring, world.next_session)
    after = absorb(world, event, mode)
    known = world.station.handshake
    goes_on = known.link is Link.IN_SESSION and after.station.handshake.link is Link.IN_SESSION and world.enable
    if goes_on and (world.session_ack, world.plc_epoch) != (known.session_id, known.plc_epoch):
        raise Violation("rule 6: the PLC was restarted, and the station goes on as if it had not been")
    yield "read", after
    if world.stale_slots != world.trigger_ring:
        yield "read torn", absorb(world, replace(event, slots=world.stale_slots), mode)
    if world.trigger_seq != world.station.handshake.last_seq:
        late = replace(event, sent_at=Ns(NOW - WINDOW - 1))
        yield "read too late", absorb(world, late, mode)


def _device_moves(world: World, mode: Mode) -> Iterator[tuple[str, World]]:
    for part, view in world.captures:
        after = world.but(captures=_without(world.captures, (part, view)))
        counter = _counter(world.station, view)
        for name, at, number in (
            ("frame", NOW, counter + 1),
            ("frame of an earlier part", Ns(NOW - 10**9), counter + 1),
            ("frame of a later part", Ns(NOW + WINDOW + 1), counter + 1),
            ("frame twice", NOW, counter),
        ):
            event = FrameCaptured(part, view, NOW, at, number, view)
            yield f"{view}: {name}", absorb(after, event, mode)
        failed = Failed(part, view, NOW, Reason.CAMERA, "silent")
        yield f"{view}: failed", absorb(after, failed, mode)
    for part, view in world.inferences:
        after = world.but(inferences=_without(world.inferences, (part, view)))
        yield "model: judged", absorb(after, Inferred(part, view, NOW, OK), mode)
        yield "model: NaN", absorb(after, Inferred(part, view, NOW, NAN), mode)
        yield "model: failed", absorb(after, Failed(part, view, NOW, Reason.MODEL, "no result"), mode)
        late = Inferred(part, view, Ns(NOW + DEADLINE + 1), OK)
        yield "model: late", absorb(after.but(expired=(*after.expired, part)), late, mode)
    for part, cycle in world.station.cycles.items():
        after = world
        if cycle.stage in (Stage.CAPTURING, Stage.INFERRING):
            after = world.but(expired=(*world.expired, part))
        yield "deadline", absorb(after, DeadlinePassed(part, cycle.deadline), mode)


def _counter(station: Station, view: str) -> int:
    """The number of the frame that this view's camera delivered last."""
    return max((station.last_counter.get(view, 0), *station.joined_counters.get(view, ())))


def _link_moves(world: World, mode: Mode) -> Iterator[tuple[str, World]]:
    if world.writing:
        part, answer, done = world.writing[0]
        rest = world.writing[1:]
        results = list(world.results)
        slot = slot_of(part.seq, DEPTH)
        if not awaits_write(world.station.cycles.get(part), answer) and done == 0:
            yield "link: dropped", world.but(writing=rest)
        elif done == 0:
            results[slot] = Slot(answer, results[slot].seq)
            yield "link: fields", world.but(results=tuple(results), writing=((part, answer, 1), *rest))
        elif done == 1:
            results[slot] = replace(results[slot], seq=answer.seq)
            yield "link: ResultSeq", world.but(results=tuple(results), writing=((part, answer, 2), *rest))
        else:
            yield "link: confirmed", absorb(world.but(writing=rest), Published(part, NOW), mode)
    if world.station.handshake.link is not Link.OFFLINE and world.next_session == 2 and world.made >= 2:
        yield "link: lost", absorb(world.but(writing=()), LinkLost(NOW, "test"), mode)


def _without(waiting: tuple[tuple[PartKey, str], ...], gone: tuple[PartKey, str]) -> tuple[tuple[PartKey, str], ...]:
    return tuple(one for one in waiting if one != gone)


# --- the search -----------------------------------------------------------------------------------------------


def check(world: World) -> None:
    """What must hold in every state."""
    open_parts = {key for key, cycle in world.station.cycles.items() if cycle.stage not in FINAL}
    for part in world.accepted:
        if (part in world.ended) == (part in open_parts):
            raise Violation(f"invariant 4: part {part} is neither open nor ended, or both")
    for waiting in world.waiting:
        answer = found_by_scan(world, *waiting)
        if answer is not None and answer.part_id != waiting[2]:
            raise Violation(f"invariant 2: the PLC found part {answer.part_id} in the slot of {waiting[2]}")


def found_by_scan(world: World, session: int, seq: int, part_id: int, epoch: int) -> Answer | None:
    """What a PLC scan at this moment would take for this part's answer: it copies the slot, then validates the copy."""
    slot = world.results[slot_of(seq, DEPTH)]
    answer = slot.fields
    if answer is None or (slot.seq, answer.seq) != (seq, seq) or session != world.session_ack:
        return None
    return answer if (answer.session_id, answer.epoch_echo) == (session, epoch) else None


def check_quiet(world: World) -> None:
    """Invariant 5: where nothing more will happen by itself, each part of the present session was answered or its
    trigger counted as missed; the PLC's own fallback holds the others, since their session is over."""
    session = world.station.handshake.session_id
    for part_session, seq, _, epoch in world.waiting:
        part = PartKey(part_session, "plc", seq)
        if part_session != session or (world.session_ack, world.plc_epoch) != (session, epoch) or not world.enable:
            continue
        if world.station.handshake.link is not Link.IN_SESSION:
            continue
        if part in world.accepted and part not in world.published and part not in world.ended:
            raise Violation(f"invariant 5: part {part} waits for nothing")
        if part not in world.accepted and _taken(world) and world.station.counters.missed == 0:
            raise Violation(f"invariant 5: part {part} was lost in silence")
        if part in world.published and _hidden(world, part):
            raise Violation(f"invariant 5: the answer of {part} was overwritten by an earlier part's")


def _taken(world: World) -> bool:
    """The station took in everything that the PLC announced."""
    return world.station.handshake.last_seq == world.trigger_seq


def _hidden(world: World, part: PartKey) -> bool:
    slot = world.results[slot_of(part.seq, DEPTH)]
    ahead = (slot.seq - part.seq) % MODULUS
    return not ahead <= MODULUS // 2 or slot.fields is None or slot.fields.seq != slot.seq


def gist(answer: Answer | None) -> tuple[object, ...] | None:
    """Which reason a NO_DECISION has decides nothing that comes after."""
    if answer is None:
        return None
    return (answer.seq, answer.part_id, answer.session_id, answer.epoch_echo, answer.verdict)


def _so_far(cycle: Cycle) -> tuple[object, ...]:
    """What the views gave, where more than one is asked."""
    if len(cycle.recipe.views) == 1:
        return ()
    nan = any(assessment.score != assessment.score for assessment in cycle.assessments)
    return frozenset(failure.view for failure in cycle.failed), len(cycle.assessments), nan


def _of_station(station: Station) -> int:
    cycles = tuple(
        (key, c.stage, c.frames_due, c.verdicts_due, c.reserve, *_so_far(c), gist(c.answer))
        for key, c in sorted(station.cycles.items())
    )
    core = (
        station.handshake,
        station.latch,
        station.line,
        cycles,
        tuple(sorted(station.slot_owner.items())),
        station.enable_seen_low,
        min(station.counters.missed, 1),
    )
    return hash(core)


def key_of(world: World) -> int:
    """Equal for worlds that are equal but for counters and texts, which decide nothing."""
    around = (
        world.memory.of(world.station, _of_station),
        world.trigger_ring,
        world.trigger_seq,
        world.half_written,
        world.enable,
        world.session_ack,
        world.ready_session,
        world.plc_epoch,
        world.made,
        world.stale_slots,
        tuple((gist(slot.fields), slot.seq) for slot in world.results),
        tuple((part, gist(answer), done) for part, answer, done in world.writing),
        world.waiting,
        frozenset(world.captures),
        frozenset(world.inferences),
        frozenset(world.published),
        frozenset(world.ended),
        frozenset(world.expired) - frozenset(world.published) - frozenset(world.ended),
    )
    return hash(around)


@dataclass(frozen=True)
class Explored:
    states: int
    transitions: int
    answered_all: bool


def explore(mode: Mode, parts: int, recipe: RecipeFacts = RECIPE) -> Explored:
    """Every reachable state, nearest first, so that a violation comes with its shortest history."""
    first = start(mode, parts, recipe)
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
            if not world.captures and not world.inferences and not world.writing:
                check_quiet(world)
        except (Violation, IllegalEvent) as error:
            raise AssertionError(f"{error}\nafter: {' | '.join(history)}") from error
        answered_all = answered_all or len(world.published) == parts == len(world.ended)
    return Explored(len(seen), transitions, answered_all)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mode", "parts", "at_least"),
    [
        (Mode.AUTO_REJECT, 2, 10_000),
        pytest.param(Mode.AUTO_REJECT, 3, 50_000, marks=pytest.mark.slow),
        pytest.param(Mode.SHADOW, 2, 10_000, marks=pytest.mark.slow),
        pytest.param(Mode.ALERT, 2, 10_000, marks=pytest.mark.slow),
    ],
)
def test_invariants_hold_in_every_reachable_state(
    mode: Mode, parts: int, at_least: int, capsys: pytest.CaptureFixture[str]
) -> None:
    explored = explore(mode, parts)
    with capsys.disabled():
        print(f"\n{mode.name}, {parts} parts in flight: {explored.states} states, {explored.transitions} transitions")
    assert explored.answered_all, "the search must reach the state in which all parts were answered"
    assert explored.states > at_least


VIEWS = {
    "an optional view": (ViewRule("side", ViewPolicy.OPTIONAL),),
    "a redundant camera": (ViewRule("side", ViewPolicy.REDUNDANT, stands_in_for="top"),),
    "both triggered by the line": tuple(ViewRule(view, joined=True, slack_ns=WINDOW) for view in ("top", "side")),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", VIEWS)
def test_invariants_hold_whatever_the_views_are_worth(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = replace(RECIPE, views=("top", "side"), rules=VIEWS[name])
    explored = explore(Mode.AUTO_REJECT, 1, recipe)
    with capsys.disabled():
        print(f"\n{name}: {explored.states} states, {explored.transitions} transitions")
    assert explored.answered_all
    assert explored.states > 1_000


BREAKS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a late result decides again": lambda patch: patch.setitem(
        TABLE,
        (Stage.PUBLISHING, Inferred),
        ((Stage.PUBLISHING, Stage.ABANDONED), TABLE[(Stage.INFERRING, Inferred)][1]),
    ),
    "the deadline answers again": lambda patch: patch.setitem(
        TABLE,
        (Stage.PUBLISHING, DeadlinePassed),
        ((Stage.PUBLISHING,), TABLE[(Stage.INFERRING, DeadlinePassed)][1]),
    ),
    "the deadline is ignored": lambda patch: patch.setitem(
        TABLE,
        (Stage.INFERRING, DeadlinePassed),
        ((Stage.INFERRING,), TABLE[(Stage.ANSWERED, DeadlinePassed)][1]),
    ),
    "a restarted PLC is not noticed": lambda patch: patch.setitem(
        sequence_profile.TABLE,
        (Link.IN_SESSION, Sign.EPOCH_CHANGED),
        (Link.IN_SESSION, sequence_profile.TABLE[(Link.IN_SESSION, Sign.QUIET)][1]),
    ),
    "Enable 0 abandons nothing": lambda patch: patch.setitem(
        sequence_profile.TABLE,
        (Link.IN_SESSION, Sign.DISABLED),
        (Link.WAITING, sequence_profile.TABLE[(Link.IN_SESSION, Sign.QUIET)][1]),
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_breaking_one_row_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search itself can fail: one wrong row, and it names the shortest way to the harm."""
    BREAKS[name](monkeypatch)
    with pytest.raises(AssertionError, match="after: plc: slot"):
        explore(Mode.AUTO_REJECT, 2)
