"""The life of one alarm as tables: raised, acknowledged, confirmed, cleared; shelved; taken out of service.

Pure: values in, values out. After OPC 10000-9 5.7 (acknowledge and confirm) and 5.8.17 (shelving).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Stage(Enum):
    """How far an alarm has come. (active, acknowledged, confirmed)"""

    NORMAL = (False, True, True)
    ACTIVE = (True, False, True)
    ACTIVE_ACKED = (True, True, False)
    ACTIVE_CONFIRMED = (True, True, True)
    CLEARED = (False, False, True)
    CLEARED_ACKED = (False, True, False)

    @property
    def active(self) -> bool:
        """The cause is there."""
        return self.value[0]

    @property
    def acked(self) -> bool:
        """Somebody has seen it."""
        return self.value[1]

    @property
    def confirmed(self) -> bool:
        """Somebody has done something about it."""
        return self.value[2]


class Shelving(Enum):
    """Whether people want to be spared of it for a while."""

    UNSHELVED = "Unshelved"
    TIMED = "TimedShelved"
    ONE_SHOT = "OneShotShelved"


class Act(Enum):
    """What can happen to an alarm."""

    RAISE = "raise"
    CLEAR = "clear"
    ACKNOWLEDGE = "acknowledge"
    CONFIRM = "confirm"
    SHELVE_ONCE = "shelve until it clears"
    SHELVE_FOR = "shelve for a time"
    UNSHELVE = "unshelve"
    EXPIRE = "shelving expired"
    ENABLE = "enable"
    DISABLE = "disable"


STAGES: dict[tuple[Stage, Act], Stage] = {
    (Stage.NORMAL, Act.RAISE): Stage.ACTIVE,
    (Stage.NORMAL, Act.CLEAR): Stage.NORMAL,
    (Stage.ACTIVE, Act.RAISE): Stage.ACTIVE,
    (Stage.ACTIVE, Act.CLEAR): Stage.CLEARED,
    (Stage.ACTIVE, Act.ACKNOWLEDGE): Stage.ACTIVE_ACKED,
    (Stage.ACTIVE_ACKED, Act.RAISE): Stage.ACTIVE_ACKED,
    (Stage.ACTIVE_ACKED, Act.CLEAR): Stage.CLEARED_ACKED,
    (Stage.ACTIVE_ACKED, Act.CONFIRM): Stage.ACTIVE_CONFIRMED,
    (Stage.ACTIVE_CONFIRMED, Act.RAISE): Stage.ACTIVE_CONFIRMED,
    (Stage.ACTIVE_CONFIRMED, Act.CLEAR): Stage.NORMAL,
    (Stage.CLEARED, Act.RAISE): Stage.ACTIVE,
    (Stage.CLEARED, Act.CLEAR): Stage.CLEARED,
    (Stage.CLEARED, Act.ACKNOWLEDGE): Stage.CLEARED_ACKED,
    (Stage.CLEARED_ACKED, Act.RAISE): Stage.ACTIVE,
    (Stage.CLEARED_ACKED, Act.CLEAR): Stage.CLEARED_ACKED,
    (Stage.CLEARED_ACKED, Act.CONFIRM): Stage.NORMAL,
}
"""What is not here is refused."""

SHELVINGS: dict[tuple[Shelving, Act], Shelving] = {
    (Shelving.UNSHELVED, Act.SHELVE_ONCE): Shelving.ONE_SHOT,
    (Shelving.UNSHELVED, Act.SHELVE_FOR): Shelving.TIMED,
    (Shelving.TIMED, Act.SHELVE_ONCE): Shelving.ONE_SHOT,
    (Shelving.TIMED, Act.UNSHELVE): Shelving.UNSHELVED,
    (Shelving.TIMED, Act.EXPIRE): Shelving.UNSHELVED,
    (Shelving.ONE_SHOT, Act.SHELVE_FOR): Shelving.TIMED,
    (Shelving.ONE_SHOT, Act.UNSHELVE): Shelving.UNSHELVED,
    (Shelving.ONE_SHOT, Act.CLEAR): Shelving.UNSHELVED,
    (Shelving.ONE_SHOT, Act.EXPIRE): Shelving.UNSHELVED,
}


@dataclass(frozen=True, slots=True)
class AlarmState:
    """One alarm at one moment. until: monotonic seconds at which its shelving ends."""

    stage: Stage = Stage.NORMAL
    shelving: Shelving = Shelving.UNSHELVED
    until: float = 0.0
    enabled: bool = True

    @property
    def retain(self) -> bool:
        """Somebody still has to look at it; what a client that connects now is told of."""
        return self.enabled and self.stage is not Stage.NORMAL


class ActRefused(Exception):
    """This cannot happen to the alarm as it is. `enabled`: whether it was in service."""

    def __init__(self, act: Act, state: AlarmState) -> None:
        super().__init__(f"{act.value}: not while {state.stage.name}, {state.shelving.name}")
        self.act, self.state = act, state


def step(state: AlarmState, act: Act, until: float = 0.0) -> AlarmState:
    """The alarm after an act. until: for shelving, when it ends. Raises ActRefused and changes nothing."""
    if act in (Act.ENABLE, Act.DISABLE):
        if state.enabled is (act is Act.ENABLE):
            raise ActRefused(act, state)
        return replace(state, enabled=act is Act.ENABLE)
    if not state.enabled and act not in (Act.RAISE, Act.CLEAR, Act.EXPIRE):
        raise ActRefused(act, state)
    stage = STAGES.get((state.stage, act))
    shelving = SHELVINGS.get((state.shelving, act))
    if stage is None and shelving is None:
        raise ActRefused(act, state)
    moved = shelving or state.shelving
    ends = 0.0 if moved is Shelving.UNSHELVED else until if shelving is not None else state.until
    return AlarmState(stage or state.stage, moved, ends, state.enabled)
