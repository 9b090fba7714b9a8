"""PackML (ISA-TR88.00.02, OPC 30050) as a pure mapping: the state, mode and speed that a packaging line expects.

The station's own machines decide; this says in PackML's words where the station has got to.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from controller.status.messages import StationSnapshot
from controller.status.vision.machine import State, observe, state_of
from statemachines.vocabulary import Hold

SPEED_S = 10.0
"""The speed is that of the last so many seconds."""


class PackState(IntEnum):
    """PackML's states by their numbers, as far as the station has them; UNDEFINED: nothing is known."""

    UNDEFINED = 0
    STOPPED = 2
    IDLE = 4
    SUSPENDED = 5
    EXECUTE = 6
    ABORTED = 9
    RESETTING = 15

    @property
    def browse_name(self) -> str:
        """The name of the state's node."""
        return self.name.capitalize()


class UnitMode(IntEnum):
    """PackML's unit modes. PRODUCE: parts of the PLC; MANUAL: jobs of a client; MAINTENANCE: a person holds it."""

    INVALID = 0
    PRODUCE = 1
    MAINTENANCE = 2
    MANUAL = 3


STATES: dict[State, PackState] = {
    State.PREOPERATIONAL: PackState.STOPPED,
    State.HALTED: PackState.STOPPED,
    State.ERROR: PackState.ABORTED,
    State.INITIALIZED: PackState.RESETTING,
    State.READY: PackState.IDLE,
    State.SINGLE_EXECUTION: PackState.EXECUTE,
    State.CONTINUOUS_EXECUTION: PackState.EXECUTE,
}
"""PackML's state by the vision system's. While the PLC is in session but cannot trigger: SUSPENDED."""


def pack_state(snapshot: StationSnapshot) -> PackState:
    """The state that PackML would call it."""
    seen = observe(snapshot)
    state = state_of(seen)
    if state is State.CONTINUOUS_EXECUTION and not snapshot.ready and not seen.series:
        return PackState.SUSPENDED
    return STATES[state]


def unit_mode(snapshot: StationSnapshot) -> UnitMode:
    """The mode that PackML would call it."""
    if snapshot.hold != Hold.NONE or snapshot.failsafe:
        return UnitMode.MAINTENANCE
    return UnitMode.MANUAL if snapshot.job or snapshot.job_series else UnitMode.PRODUCE


class Speed:
    """Parts per minute over the last SPEED_S seconds. Counters that start anew start the speed anew."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, snapshot: StationSnapshot) -> float:
        """The speed with this snapshot."""
        now, count = snapshot.uptime_s, snapshot.triggers
        if self._seen and (now < self._seen[-1][0] or count < self._seen[-1][1]):
            self._seen.clear()
        self._seen.append((now, count))
        while len(self._seen) > 2 and self._seen[1][0] <= now - SPEED_S:
            self._seen.popleft()
        begin, first = self._seen[0]
        return 60.0 * (count - first) / (now - begin) if now > begin else 0.0
