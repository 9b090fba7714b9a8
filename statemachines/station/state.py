"""The station's value: what is fixed, what is known now, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from statemachines import health, jobs
from statemachines.belt_speed import BeltSpeed
from statemachines.commands import Command
from statemachines.cycle.state import FINAL, Cycle
from statemachines.handshake.phases import ResultPhase, TriggerPhase
from statemachines.handshake.state import Contract, Handshake, Link
from statemachines.health import FailsafeLatch
from statemachines.jobs import Jobs
from statemachines.line import Line
from statemachines.view_watch import ViewWatch
from statemachines.vocabulary import Fallback, Health, Hold, Mode, PartKey, Policy, Reason, RecipeFacts

PLC = "plc"
"""Source name of triggers that come over the PLC's tags."""
RECIPE_LOADING, RECIPE_LOADED, RECIPE_REFUSED = 0, 1, 2
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
        return sum(1 for key, c in self.cycles.items() if key.source == PLC and c.stage not in FINAL)

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
