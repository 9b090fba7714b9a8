"""The line's own states, with the `transitions` library: starting, running in a mode, failsafe, stopped.

Used a few times a day, never per part (the part cycle is a table). Synchronous; the machine holds no state between
calls: it is set to where the line is, fires one trigger, and is read where it went.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transitions import MachineError
from transitions.extensions import HierarchicalMachine

from statemachines.errors import IllegalEvent
from statemachines.vocabulary import Mode

_SUBSTATE = {Mode.SHADOW: "shadow", Mode.ALERT: "alert", Mode.AUTO_REJECT: "auto_reject"}

STATES: list[Any] = [
    "starting",
    {"name": "running", "children": list(_SUBSTATE.values())},
    "failsafe",
    "stopped",
]

TRANSITIONS: list[dict[str, Any]] = [
    *(
        {"trigger": f"run_{name}", "source": ["starting", "running", "failsafe"], "dest": f"running_{name}"}
        for name in _SUBSTATE.values()
    ),
    {"trigger": "trip", "source": ["starting", "running", "failsafe"], "dest": "failsafe"},
    {"trigger": "stop", "source": "*", "dest": "stopped"},
]


@dataclass(frozen=True, slots=True)
class Line:
    """Where the line is. mode: the one asked for; in force only while running, and under the PLC's ceiling."""

    state: str = "starting"
    mode: Mode = Mode.SHADOW

    @property
    def running(self) -> bool:
        return self.state.startswith("running_")

    @property
    def stopped(self) -> bool:
        return self.state == "stopped"

    @property
    def failsafe(self) -> bool:
        return self.state == "failsafe"


class _Model:
    """What the machine drives."""

    state: str
    trigger: Any


_model = _Model()
_machine = HierarchicalMachine(
    model=_model, states=STATES, transitions=TRANSITIONS, initial="starting", auto_transitions=False
)


def run(line: Line, mode: Mode) -> Line:
    """Run in this mode: from starting (recipe loaded), from another mode, or out of a released failsafe."""
    return Line(_fire(line.state, f"run_{_SUBSTATE[mode]}"), mode)


def trip(line: Line) -> Line:
    """Latch failsafe; the mode asked for is remembered."""
    return Line(_fire(line.state, "trip"), line.mode)


def stop(line: Line) -> Line:
    """Shut down on purpose."""
    return Line(_fire(line.state, "stop"), line.mode)


def _fire(state: str, trigger: str) -> str:
    _machine.set_state(state)
    try:
        _model.trigger(trigger)
    except MachineError as error:
        raise IllegalEvent(f"line: {trigger} while {state}") from error
    return _model.state
