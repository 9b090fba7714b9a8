"""The PLC contract's tags as data: what a PLC programmer creates, whatever the protocol.

`docs/plc-contract.md` holds this table, generated; the drivers map these names to addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from statemachines.checkword import answer_check
from statemachines.vocabulary import Answer

TagValue = bool | int | float | str
Profile = Literal["sequence", "four-phase"]
"""How part and answer change hands: numbered rings, or one trigger and one result with acknowledged edges."""


class Direction(Enum):
    """Who writes a tag."""

    PLC_TO_STATION = "PLC → station"
    STATION_TO_PLC = "station → PLC"


class TagType(Enum):
    """What a tag holds. PART_ID is a DINT or a STRING, the same choice on both sides."""

    DINT = "DINT"
    BOOL = "BOOL"
    REAL = "REAL"
    PART_ID = "DINT or STRING"


class Span(Enum):
    """How far a number that the station writes or compares may reach, so that a narrower tag is refused at start."""

    CODE = 127
    COUNT = 32_767
    WORD = (1 << 31) - 1
    SEQUENCE = 0
    """1 to the configured modulus."""
    ANY = -1
    """Whatever the PLC put there; the station only passes it on."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag. ring: "Trigger" or "Result" for a slot's field, else empty.

    echoes: the PLC's tag whose values this one must be able to hold.
    """

    name: str
    direction: Direction
    type: TagType
    meaning: str
    ring: str = ""
    optional: bool = False
    span: Span = Span.ANY
    echoes: str = ""

    @property
    def title(self) -> str:
        """The name as the contract prints it: "Result[i].Verdict"."""
        return f"{self.ring}[i].{self.name}" if self.ring else self.name

    def at(self, index: int) -> str:
        """The name of this field in one slot of its ring: "Result[3].Verdict"; a single tag's own name."""
        return f"{self.ring}[{index}].{self.name}" if self.ring else self.name


_IN, _OUT = Direction.PLC_TO_STATION, Direction.STATION_TO_PLC
_DINT, _BOOL, _REAL, _PART = TagType.DINT, TagType.BOOL, TagType.REAL, TagType.PART_ID
_CODE, _COUNT, _WORD, _SEQ = Span.CODE, Span.COUNT, Span.WORD, Span.SEQUENCE

HEAD: tuple[tuple[str, Tag], ...] = (
    ("trigger_seq", Tag("TriggerSeq", _IN, _DINT, "the newest trigger; written after its slot", span=_SEQ)),
    ("clock_ms", Tag("PlcClockMs", _IN, _DINT, "free-running ms; unchanged for 500 ms = PLC lost", span=_WORD)),
    ("session_ack", Tag("SessionAck", _IN, _DINT, "SessionId, once the rings are cleared; else 0", span=_WORD)),
    ("enable", Tag("Enable", _IN, _BOOL, "1 = may inspect; 1→0 ends the session")),
    ("mode_ceiling", Tag("ModeCeiling", _IN, _DINT, "highest mode allowed: 1 shadow, 2 alert, 3 auto-reject")),
    ("plc_epoch", Tag("PlcEpoch", _IN, _DINT, "differs after every PLC start; echoed in each answer")),
    ("fault_reset", Tag("FaultReset", _IN, _BOOL, "0→1 asks to leave failsafe; must be seen 0 first")),
    ("recipe_request", Tag("RecipeRequest", _IN, _DINT, "number of the product to inspect; written first")),
    ("recipe_request_seq", Tag("RecipeRequestSeq", _IN, _DINT, "changes after RecipeRequest was written", span=_SEQ)),
    ("encoder_now", Tag("EncoderNow", _IN, _DINT, "present conveyor position", optional=True)),
    ("gate_seq", Tag("GateSeq", _IN, _DINT, "part that the gate handled last", optional=True, span=_SEQ)),
    ("gate_outcome", Tag("GateOutcome", _IN, _DINT, "what the gate did with it, as in Action", optional=True)),
)  # fmt: skip
"""The PLC's single tags with their fields of `PlcHead`, in reading order: TriggerSeq before everything else."""

TRIGGER: tuple[tuple[str, Tag], ...] = (
    ("seq", Tag("Seq", _IN, _DINT, "the trigger's own number", "Trigger", span=_SEQ)),
    ("part_id", Tag("PartId", _IN, _PART, "the PLC's name for the part", "Trigger")),
    ("trig_clock_ms", Tag("TrigClockMs", _IN, _DINT, "PlcClockMs at the trigger", "Trigger", span=_WORD)),
    ("recipe_id", Tag("RecipeId", _IN, _DINT, "product that the PLC believes is running", "Trigger")),
    ("encoder_pos", Tag("EncoderPos", _IN, _DINT, "position at the trigger; 0 where absent", "Trigger", optional=True)),
    ("check", Tag("Check", _IN, _DINT, "check word over the slot's fields", "Trigger", span=_WORD)),
)  # fmt: skip
"""The fields of a trigger slot with those of `TriggerSlot`."""

STATUS: tuple[Tag, ...] = (
    Tag("Heartbeat", _OUT, _DINT, "+1 per 100 ms from the loop that decides", span=_SEQ),
    Tag("Online", _OUT, _BOOL, "link up and station armed; counts only while Heartbeat moves"),
    Tag("Ready", _OUT, _BOOL, "a trigger can be taken now; counts only while Heartbeat moves"),
    Tag("Fallback", _OUT, _DINT, "action that the PLC itself takes on no answer; 0 in SHADOW", span=_CODE),
    Tag("SessionId", _OUT, _DINT, "new after every station start, reconnect and Enable 0→1", span=_WORD),
    Tag("ContractVersion", _OUT, _DINT, "version of this contract", span=_CODE),
    Tag("Depth", _OUT, _DINT, "slots in each ring; one less is usable", span=_COUNT),
    Tag("CaptureDoneSeq", _OUT, _DINT, "part fully captured: an indexing line may move on", span=_SEQ),
    Tag("LineStopRequest", _OUT, _BOOL, "the station asks for a line stop"),
    Tag("AlertRequest", _OUT, _BOOL, "a person should look at a part that was let pass"),
    Tag("TriggerAckSeq", _OUT, _DINT, "newest trigger accepted; written after it is durable", span=_SEQ),
    Tag("InFlight", _OUT, _DINT, "parts accepted and not yet answered", span=_COUNT),
    Tag("Mode", _OUT, _DINT, "mode in force: 1 shadow, 2 alert, 3 auto-reject", span=_CODE),
    Tag("Health", _OUT, _DINT, "NE 107: 0 normal, 1 failure, 2 check, 3 out of spec, 4 maintenance", span=_CODE),
    Tag("Failsafe", _OUT, _BOOL, "latched: no verdict is trusted until an operator's reset"),
    Tag("FaultCode", _OUT, _DINT, "why the failsafe is latched; 0 none", span=_COUNT),
    Tag("RecipeActive", _OUT, _DINT, "number of the recipe in force", echoes="RecipeRequest"),
    Tag("RecipeHash", _OUT, _DINT, "first 30 bits of the recipe's hash", span=_WORD),
    Tag("RecipeAckSeq", _OUT, _DINT, "RecipeRequestSeq that RecipeStatus speaks of", echoes="RecipeRequestSeq"),
    Tag("RecipeStatus", _OUT, _DINT, "0 loading, 1 loaded, 2 refused", span=_CODE),
    Tag("MissedTriggers", _OUT, _DINT, "triggers never read; does not go down while the station runs", span=_WORD),
    Tag("LateResults", _OUT, _DINT, "results after their part's answer; does not go down", span=_WORD),
    Tag("Overruns", _OUT, _DINT, "parts refused for want of room; does not go down", span=_WORD),
)  # fmt: skip
"""The station's single tags."""

RESULT: tuple[Tag, ...] = (
    Tag("PartIdEcho", _OUT, _PART, "PartId of the part answered", "Result", echoes="Trigger[i].PartId"),
    Tag("EpochEcho", _OUT, _DINT, "PlcEpoch of the trigger", "Result", echoes="PlcEpoch"),
    Tag("SessionId", _OUT, _DINT, "session that the answer belongs to", "Result", span=_WORD),
    Tag("Action", _OUT, _DINT, "0 none, 1 pass, 2 divert, 3 reject, 4 stop the line", "Result", span=_CODE),
    Tag("Verdict", _OUT, _DINT, "0 none, 1 OK, 2 NG, 3 unsure, 4 no decision", "Result", span=_CODE),
    Tag("Reason", _OUT, _DINT, "why: 0 decided; the other numbers are listed below", "Result", span=_CODE),
    Tag("DefectCode", _OUT, _DINT, "the worst finding's number in the catalogue; 0 none", "Result", span=_COUNT),
    Tag("Severity", _OUT, _DINT, "0 none, 1 minor, 2 major, 3 critical", "Result", span=_CODE),
    Tag("FindingCount", _OUT, _DINT, "defects seen", "Result", span=_COUNT),
    Tag("Score", _OUT, _REAL, "0 to 1, rises with badness; for display, not in Check", "Result"),
    Tag("LatencyUs", _OUT, _DINT, "trigger seen → answer written, µs", "Result", span=_WORD),
    Tag("Mode", _OUT, _DINT, "mode that the part was judged in", "Result", span=_CODE),
    Tag("Check", _OUT, _DINT, "check word over the slot's fields", "Result", span=_WORD),
)  # fmt: skip
"""A result slot but its ResultSeq."""

RESULT_SEQ = Tag("ResultSeq", _OUT, _DINT, "TriggerSeq of the part answered; written last", "Result", span=_SEQ)
"""What makes a result slot valid."""


def answer_values(answer: Answer) -> tuple[TagValue, ...]:
    """An answer's values in the order of `RESULT`."""
    return (
        answer.part_id,
        answer.epoch_echo,
        answer.session_id,
        int(answer.action),
        int(answer.verdict),
        int(answer.reason),
        answer.defect_code,
        int(answer.severity),
        answer.finding_count,
        answer.score,
        answer.latency_us,
        int(answer.mode),
        answer_check(answer),
    )


@dataclass(frozen=True, slots=True)
class TagSet:
    """The tags of one profile, in the order in which they are read and written.

    head, trigger: tags with their fields of `PlcHead` and `TriggerSlot`. result: a result slot's fields in the order of
    `answer_values`; result_seq is written in a request of its own after them. rings: slots are numbered from 0 to
    depth - 1; without rings there is one slot and its tags carry no number.
    """

    profile: Profile
    head: tuple[tuple[str, Tag], ...]
    trigger: tuple[tuple[str, Tag], ...]
    status: tuple[Tag, ...]
    result: tuple[Tag, ...]
    result_seq: Tag
    rings: bool

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The whole contract of this profile."""
        fields = (tag for _, tag in (*self.head, *self.trigger))
        return (*fields, *self.status, *self.result, self.result_seq)

    def slots(self, depth: int) -> int:
        """How many slots the triggers and the results have."""
        return depth if self.rings else 1

    def slot_of(self, seq: int, depth: int) -> int:
        """Slot of a sequence number; depth is a power of two."""
        return (seq - 1) & (depth - 1) if self.rings else 0

    def names(self, depth: int) -> dict[str, Tag]:
        """Every tag of a PLC with rings of this depth, by its full name."""
        return {tag.at(index): tag for tag in self.tags for index in range(depth if tag.ring else 1)}


SEQUENCE = TagSet("sequence", HEAD, TRIGGER, STATUS, RESULT, RESULT_SEQ, rings=True)


def _single(tag: Tag, name: str, prefix: str = "") -> Tag:
    """A ring's field as the only one of its kind."""
    return replace(tag, name=f"{prefix}{name}", ring="", echoes=tag.echoes.replace("Trigger[i].", ""))


_ONLY_IN_SEQUENCE = frozenset({"TriggerSeq", "SessionAck", "TriggerAckSeq", "Depth", "Check"})

FOUR_PHASE = TagSet(
    "four-phase",
    head=(
        ("trigger", Tag("Trigger", _IN, _BOOL, "0→1 asks for an inspection; held until TriggerAck")),
        ("result_ack", Tag("ResultAck", _IN, _BOOL, "1 = result taken; back to 0 once ResultValid is 0")),
        *((field, tag) for field, tag in HEAD if tag.name not in _ONLY_IN_SEQUENCE),
    ),
    trigger=tuple(
        (field, _single(tag, {"Seq": "TriggerId"}.get(tag.name, tag.name)))
        for field, tag in TRIGGER
        if tag.name not in _ONLY_IN_SEQUENCE
    ),
    status=(
        Tag("TriggerIdAck", _OUT, _DINT, "TriggerId that was taken; stands before TriggerAck rises", span=_SEQ),
        *(tag for tag in STATUS if tag.name not in _ONLY_IN_SEQUENCE),
        Tag("TriggerAck", _OUT, _BOOL, "trigger taken and durable; 0 again after Trigger is 0"),
        Tag("Busy", _OUT, _BOOL, "a part is being inspected; for display, never sequence on it"),
        Tag("ResultValid", _OUT, _BOOL, "the result block is whole; 0 after ResultAck"),
        Tag("ResultToggle", _OUT, _BOOL, "changes with every result"),
        Tag("MissedTrigger", _OUT, _BOOL, "a trigger came while none could be taken; 0 again with the next one taken"),
    ),
    result=tuple(_single(tag, tag.name, "Result.") for tag in RESULT),
    result_seq=_single(replace(RESULT_SEQ, meaning="TriggerId of the part answered"), "TriggerId", "Result."),
    rings=False,
)

TAG_SETS: dict[Profile, TagSet] = {tags.profile: tags for tags in (SEQUENCE, FOUR_PHASE)}


def markdown_table(tags: TagSet = SEQUENCE) -> str:
    """The tag table of docs/plc-contract.md."""
    lines: list[str] = []
    for direction in Direction:
        lines += [f"### {direction.value}", "", "| tag | type | needed | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{tag.title}` | {tag.type.value} | {'optional' if tag.optional else 'yes'} | {tag.meaning} |"
            for tag in tags.tags
            if tag.direction is direction
        ]
        lines.append("")
    return "\n".join(lines)
