"""What can be asked of a simulated PLC while it runs, and what it tells. Plain values that cross a process boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controller.sim.plc_image import ModeWord, PartId
from controller.sim.tally import PartTally, TallySummary


@dataclass(frozen=True, slots=True)
class StartLine:
    """Let the conveyor run."""


@dataclass(frozen=True, slots=True)
class EndPlc:
    """Send the final tally and end the process."""


@dataclass(frozen=True, slots=True)
class AskTally:
    """Send the whole tally; TallyReady answers."""


@dataclass(frozen=True, slots=True)
class TakeParts:
    """Hand over the oldest parts that are past the gate and forget them; PartsTaken answers.

    keep: so many of the newest stay, since their answers may still come.
    """

    count: int
    keep: int = 4096


@dataclass(frozen=True, slots=True)
class SetEnable:
    """Ask for Enable on or off; on is granted once Ready is 0."""

    on: bool


@dataclass(frozen=True, slots=True)
class SetCeiling:
    """Set ModeCeiling."""

    mode: ModeWord


@dataclass(frozen=True, slots=True)
class PulseFaultReset:
    """Raise FaultReset for a while."""

    for_ms: int = 300


@dataclass(frozen=True, slots=True)
class RequestRecipe:
    """Ask the station for another product."""

    recipe_id: int


@dataclass(frozen=True, slots=True)
class AcknowledgeStop:
    """A person acknowledges the line stop."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Put the PLC into program mode: no scan, PlcClockMs stands still, tags are still served."""

    for_ms: float


@dataclass(frozen=True, slots=True)
class HoldClock:
    """Let PlcClockMs stand still while the program goes on: the heartbeat is stuck, everything else works."""

    for_ms: float


@dataclass(frozen=True, slots=True)
class Burst:
    """Bring several parts into view in one instant. Their ids count up from first_number."""

    count: int
    first_number: int = 1_000_000


@dataclass(frozen=True, slots=True)
class TriggerNow:
    """Bring one part into view. impatient: trigger it even though the station is not Ready."""

    part_id: PartId
    impatient: bool = False


@dataclass(frozen=True, slots=True)
class JumpSeq:
    """Make the next trigger's number differ from the right one by this much, forwards or backwards."""

    by: int


@dataclass(frozen=True, slots=True)
class TearSlot:
    """Write the next trigger's slot with a wrong check word, and mend it so much after its TriggerSeq."""

    repair_ms: float


@dataclass(frozen=True, slots=True)
class DelaySeq:
    """Write the next trigger's TriggerSeq so much after its slot; shorter than the spacing of parts."""

    delay_ms: float


@dataclass(frozen=True, slots=True)
class RestartProgram:
    """Start the program anew: SessionAck 0, another epoch (None: one more), numbers from trigger_seq on (None: 0)."""

    trigger_seq: int | None = None
    plc_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class BlindSensor:
    """Make the sensor behind the gate miss the next parts."""

    parts: int = 1


@dataclass(frozen=True, slots=True)
class ForceOutput:
    """Hold one output at a value, whatever the program writes, as a controller's force table does; for_ms 0 lets go.

    clear_rings 0: the rings keep what stands in them when the program would empty them.
    """

    name: Literal["session_ack", "result_ack", "trigger", "clear_rings"]
    value: int
    for_ms: float


PlcCommand = (
    StartLine
    | EndPlc
    | AskTally
    | TakeParts
    | SetEnable
    | SetCeiling
    | PulseFaultReset
    | RequestRecipe
    | AcknowledgeStop
    | Halt
    | HoldClock
    | Burst
    | TriggerNow
    | JumpSeq
    | TearSlot
    | DelaySeq
    | RestartProgram
    | BlindSensor
    | ForceOutput
)


@dataclass(frozen=True, slots=True)
class PlcServing:
    """The server takes connections under this address."""

    url: str


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The PLC acknowledged a station's session."""

    session_id: int


@dataclass(frozen=True, slots=True)
class LineStarted:
    """The conveyor runs since this monotonic time; part n comes into view at start_ns + arrivals[n - 1]."""

    start_ns: int


@dataclass(frozen=True, slots=True)
class LineFinished:
    """The last part is past the gate."""


@dataclass(frozen=True, slots=True)
class LiveTally:
    """The figures of this moment; sent a few times a second. hindrance: what forbids a trigger now, "" for nothing."""

    at_ns: int
    figures: TallySummary
    session_id: int
    station_ready: bool
    line_stopped: bool
    hindrance: str


@dataclass(frozen=True, slots=True)
class TallyReady:
    """The whole tally."""

    figures: TallySummary
    parts: list[PartTally]


@dataclass(frozen=True, slots=True)
class PartsTaken:
    """What TakeParts asked for, oldest first; empty when there is nothing to hand over yet."""

    parts: list[PartTally]


PlcEvent = PlcServing | SessionOpened | LineStarted | LineFinished | LiveTally | TallyReady | PartsTaken
