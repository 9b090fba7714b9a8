"""The state machines of OPC UA for Machine Vision (OPC 40100-1, 8.2 and 8.3) as one pure table.

The station's own machines decide; this one says in the standard's states and transitions where the station has got to.
Numbers are the standard's: a transition's is its first state, its second state and its cause.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from controller.status.messages import PartAcquired, PartBegan, PartEnded, StationSnapshot
from statemachines.handshake.state import Link
from statemachines.jobs import SOURCES
from statemachines.vocabulary import Hold


class State(IntEnum):
    """States of the vision system; from INITIALIZED on those of its automatic mode, within OPERATIONAL."""

    PREOPERATIONAL = 1
    HALTED = 2
    ERROR = 3
    OPERATIONAL = 4
    INITIALIZED = 5
    READY = 6
    SINGLE_EXECUTION = 7
    CONTINUOUS_EXECUTION = 8

    @property
    def top(self) -> State:
        """The state of the outer machine."""
        return State.OPERATIONAL if self > State.OPERATIONAL else self

    @property
    def browse_name(self) -> str:
        """The name of the state's node: "SingleExecution"."""
        return "".join(word.capitalize() for word in self.name.split("_"))


class Cause(IntEnum):
    """Last digit of a transition's number. BY_OTHER: by product instead of recipe, or Abort instead of Stop."""

    AUTO = 0
    BY_METHOD = 1
    BY_OTHER = 2


TRANSITIONS: dict[int, str] = {
    120: "PreoperationalToHaltedAuto",
    121: "PreoperationalToHalted",
    130: "PreoperationalToErrorAuto",
    140: "PreoperationalToOperationalAuto",
    141: "PreoperationalToOperational",
    150: "PreoperationalToInitializedAuto",
    151: "PreoperationalToInitialized",
    210: "HaltedToPreoperationalAuto",
    211: "HaltedToPreoperational",
    310: "ErrorToPreoperationalAuto",
    311: "ErrorToPreoperational",
    320: "ErrorToHaltedAuto",
    321: "ErrorToHalted",
    340: "ErrorToOperationalAuto",
    410: "OperationalToPreoperationalAuto",
    411: "OperationalToPreoperational",
    420: "OperationalToHaltedAuto",
    421: "OperationalToHalted",
    430: "OperationalToErrorAuto",
    560: "InitializedToReadyAuto",
    561: "InitializedToReadyRecipe",
    562: "InitializedToReadyProduct",
    650: "ReadyToInitializedAuto",
    651: "ReadyToInitializedRecipe",
    652: "ReadyToInitializedProduct",
    670: "ReadyToSingleExecutionAuto",
    671: "ReadyToSingleExecution",
    680: "ReadyToContinuousExecutionAuto",
    681: "ReadyToContinuousExecution",
    760: "SingleExecutionToReadyAuto",
    761: "SingleExecutionToReadyStop",
    762: "SingleExecutionToReadyAbort",
    860: "ContinuousExecutionToReadyAuto",
    861: "ContinuousExecutionToReadyStop",
    862: "ContinuousExecutionToReadyAbort",
}
"""Every transition of the standard, by number. 141 belongs to operation modes that a vendor adds; this one has none."""

_S = State
_NEIGHBOURS: dict[State, tuple[State, ...]] = {
    _S.PREOPERATIONAL: (_S.HALTED, _S.ERROR, _S.INITIALIZED, _S.READY),
    _S.HALTED: (_S.PREOPERATIONAL,),
    _S.ERROR: (_S.PREOPERATIONAL, _S.HALTED, _S.INITIALIZED, _S.READY),
    _S.INITIALIZED: (_S.PREOPERATIONAL, _S.HALTED, _S.ERROR, _S.READY),
    _S.READY: (
        _S.PREOPERATIONAL,
        _S.HALTED,
        _S.ERROR,
        _S.INITIALIZED,
        _S.SINGLE_EXECUTION,
        _S.CONTINUOUS_EXECUTION,
    ),
    _S.SINGLE_EXECUTION: (_S.PREOPERATIONAL, _S.HALTED, _S.ERROR, _S.READY),
    _S.CONTINUOUS_EXECUTION: (_S.PREOPERATIONAL, _S.HALTED, _S.ERROR, _S.READY),
}
"""Where one transition can lead. Entering OPERATIONAL is entering its automatic mode, in INITIALIZED or in READY."""

Move = tuple[int, State]
"""A transition's number and the state that it leads to."""

Expected = dict[tuple[State, State], Cause]
"""What methods that were granted will cause: (first, second state of the outer or inner machine) to cause."""

GRANTED: dict[str, Expected] = {
    "Halt": {(s, _S.HALTED): Cause.BY_METHOD for s in (_S.PREOPERATIONAL, _S.ERROR, _S.OPERATIONAL)},
    "Reset": {(s, _S.PREOPERATIONAL): Cause.BY_METHOD for s in (_S.HALTED, _S.ERROR, _S.OPERATIONAL)},
    "SelectModeAutomatic": {(_S.PREOPERATIONAL, _S.INITIALIZED): Cause.BY_METHOD},
    "StartSingleJob": {(_S.READY, _S.SINGLE_EXECUTION): Cause.BY_METHOD},
    "StartContinuous": {(_S.READY, _S.CONTINUOUS_EXECUTION): Cause.BY_METHOD},
    "Stop": {(s, _S.READY): Cause.BY_METHOD for s in (_S.SINGLE_EXECUTION, _S.CONTINUOUS_EXECUTION)},
    "Abort": {(s, _S.READY): Cause.BY_OTHER for s in (_S.SINGLE_EXECUTION, _S.CONTINUOUS_EXECUTION)},
    "PrepareRecipe": {
        (_S.READY, _S.INITIALIZED): Cause.BY_METHOD,
        (_S.INITIALIZED, _S.READY): Cause.BY_METHOD,
    },
    "PrepareProduct": {(_S.READY, _S.INITIALIZED): Cause.BY_OTHER, (_S.INITIALIZED, _S.READY): Cause.BY_OTHER},
}
"""The transitions that each method may cause. Everything else that happens is automatic."""

ALLOWED: dict[str, frozenset[State]] = {
    "Halt": frozenset(_S) - {_S.HALTED},
    "Reset": frozenset(_S) - {_S.PREOPERATIONAL},
    "SelectModeAutomatic": frozenset({_S.PREOPERATIONAL}),
    "StartSingleJob": frozenset({_S.READY}),
    "StartContinuous": frozenset({_S.READY}),
    "Stop": frozenset({_S.SINGLE_EXECUTION, _S.CONTINUOUS_EXECUTION}),
    "Abort": frozenset({_S.SINGLE_EXECUTION, _S.CONTINUOUS_EXECUTION}),
    "SimulationMode": frozenset({_S.INITIALIZED, _S.READY}),
}
"""In which states each method of the state machines may be called; elsewhere it answers Bad_InvalidState."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What of the station decides its state."""

    line: str = "starting"
    ceiling: int = 0
    failsafe: bool = False
    reset_granted: bool = False
    hold: Hold = Hold.NONE
    held_over_failsafe: bool = False
    recipe_loading: bool = True
    in_session: bool = False
    series: bool = False
    job: bool = False


def observe(snapshot: StationSnapshot) -> Observation:
    """What a snapshot says of it."""
    return Observation(
        line=snapshot.state,
        ceiling=snapshot.mode_ceiling,
        failsafe=snapshot.failsafe,
        reset_granted=snapshot.reset_granted,
        hold=Hold(snapshot.hold),
        held_over_failsafe=snapshot.held_over_failsafe,
        recipe_loading=snapshot.recipe_loading,
        in_session=snapshot.plc_link in (Link.OPENING.value, Link.IN_SESSION.value),
        series=snapshot.job_series,
        job=bool(snapshot.job),
    )


def of_a_job(key: str) -> bool:
    """Whether the part of this key is a client's job, not one that the PLC triggered."""
    return key.split("/")[1:2] != [] and key.split("/")[1] in SOURCES


def brought_up_to_date(snapshot: StationSnapshot, news: PartBegan | PartAcquired | PartEnded) -> StationSnapshot:
    """A snapshot that is older than what happened to a job, and shown after it: it must not bring back the job that
    has ended, nor end the one that has begun."""
    match news:
        case PartBegan() if of_a_job(news.key):
            return msgspec.structs.replace(snapshot, job=news.key, job_series=news.series)
        case PartEnded() if snapshot.job == news.key:
            return msgspec.structs.replace(snapshot, job="")
        case _:
            return snapshot


def state_of(seen: Observation) -> State:
    """The state that the station is in. The first that holds counts.

    PREOPERATIONAL: it may be made operational, but a person or the PLC (ModeCeiling 0) has not yet let it, or a reset
    waits for the PLC's Enable. CONTINUOUS_EXECUTION: parts are inspected as the PLC triggers them, or job after job.
    """
    if seen.line == "stopped":
        return State.HALTED
    if seen.failsafe and not seen.held_over_failsafe:
        return State.PREOPERATIONAL if seen.reset_granted else State.ERROR
    if seen.hold is Hold.HALTED:
        return State.HALTED
    if seen.hold is Hold.PREOPERATIONAL or seen.line == "starting" or not 1 <= seen.ceiling <= 3:
        return State.PREOPERATIONAL
    if seen.recipe_loading:
        return State.INITIALIZED
    if seen.in_session or seen.series:
        return State.CONTINUOUS_EXECUTION
    return State.SINGLE_EXECUTION if seen.job else State.READY


def moves(at: State, target: State, expected: Expected) -> tuple[Move, ...]:
    """The legal transitions from one state to another, each with the cause that is expected of it, else automatic.

    A call of SelectModeAutomatic leads into INITIALIZED first, whatever the station is ready for.
    """
    route = _route(at, target)
    selected = at is State.PREOPERATIONAL and (at, State.INITIALIZED) in expected
    if selected and route[:1] == [State.READY]:
        route.insert(0, State.INITIALIZED)
    found: list[Move] = []
    for state in route:
        found.append((_number(at, state, expected), state))
        at = state
    return tuple(found)


def used(number: int) -> tuple[State, State]:
    """The two states of a transition, as in the keys of `Expected`."""
    return State(number // 100), State(number // 10 % 10)


def _number(at: State, to: State, expected: Expected) -> int:
    automatic = at > State.OPERATIONAL and to > State.OPERATIONAL
    first = at if automatic else at.top
    # Entering the automatic mode in READY is the outer machine's own transition; in INITIALIZED it has one of its own.
    second = to if automatic or (first is State.PREOPERATIONAL and to is State.INITIALIZED) else to.top
    number = 100 * first + 10 * second + expected.get((first, second), Cause.AUTO)
    return number if number in TRANSITIONS else number // 10 * 10


def _route(at: State, target: State) -> list[State]:
    """The shortest way from neighbour to neighbour."""
    ways: dict[State, list[State]] = {at: []}
    ahead = deque([at])
    while target not in ways:
        here = ahead.popleft()
        for state in _NEIGHBOURS[here]:
            if state not in ways:
                ways[state] = [*ways[here], state]
                ahead.append(state)
    return ways[target]
