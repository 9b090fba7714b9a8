"""Every alarm of a station, rationalised: what it means, what it costs, what to do.

`python -m controller.status.alarms.table` prints the page docs/alarms.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from controller.status.messages import StationSnapshot
from statemachines.vocabulary import Hold


class Priority(Enum):
    """How soon somebody must act. The value is OPC UA's Severity."""

    CRITICAL = 900
    HIGH = 700
    MEDIUM = 500
    LOW = 200


@dataclass(frozen=True, slots=True)
class Sight:
    """What an alarm looks at. now: None while the station says nothing; before: None at first; active: as it stands."""

    now: StationSnapshot | None
    before: StationSnapshot | None
    active: bool


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. why: the reason that it is raised for, "" when there is none; pure.

    on_delay_s: the reason must last so long.   off_delay_s: it must be gone so long.   band: the dead band in words.
    shelf_min: the longest shelving; 0: it must not be shelved.
    """

    id: str
    priority: Priority
    cause: str
    consequence: str
    action: str
    why: Callable[[Sight], str]
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    band: str = ""
    shelf_min: int = 0


def _state(read: Callable[[StationSnapshot], str]) -> Callable[[Sight], str]:
    return lambda sight: read(sight.now) if sight.now is not None else ""


def _report(*sources: str) -> Callable[[Sight], str]:
    """What these duties report; a source that ends with ":" stands for all that begin so."""

    def why(sight: Sight) -> str:
        reports = sight.now.reports if sight.now is not None else []
        return "; ".join(f"{r.source}: {r.why}" for r in reports if _is_of(r.source, sources))

    return why


def _is_of(source: str, sources: tuple[str, ...]) -> bool:
    return any(source.startswith(known) if known.endswith(":") else source == known for known in sources)


_KNOWN = (
    "camera:",
    "calibration:",
    "image:",
    "journal",
    "images",
    "mode ceiling",
    "mode lowered",
    "failsafe latch",
    "status",
)


def _unknown_report(sight: Sight) -> str:
    reports = sight.now.reports if sight.now is not None else []
    return "; ".join(f"{r.source}: {r.why}" for r in reports if not _is_of(r.source, _KNOWN))


def _rises(read: Callable[[StationSnapshot], int], what: str) -> Callable[[Sight], str]:
    """A counter that went up since the snapshot before. Counters start anew with the station."""

    def why(sight: Sight) -> str:
        if sight.now is None or sight.before is None:
            return ""
        more = read(sight.now) - read(sight.before)
        return f"{more} {what}, {read(sight.now)} since the start" if more > 0 else ""

    return why


_HOLDS = {int(Hold.HALTED): "halted by a person", int(Hold.PREOPERATIONAL): "reset, and not in automatic mode yet"}

LAG_RAISE_MS, LAG_CLEAR_MS = 20.0, 5.0


def _lag(sight: Sight) -> str:
    if sight.now is None:
        return ""
    limit = LAG_CLEAR_MS if sight.active else LAG_RAISE_MS
    # Not below: a NaN is bad, too.
    return "" if sight.now.loop_lag_ms <= limit else f"the deciding loop is {sight.now.loop_lag_ms:.0f} ms late"


UNDECIDED_RAISE, UNDECIDED_CLEAR, UNDECIDED_PARTS = 0.20, 0.10, 10


def _undecided(sight: Sight) -> str:
    if sight.now is None or len(sight.now.last_parts) < UNDECIDED_PARTS:
        return ""
    parts = sight.now.last_parts
    share = sum(1 for part in parts if part.verdict == "NO_DECISION") / len(parts)
    limit = UNDECIDED_CLEAR if sight.active else UNDECIDED_RAISE
    return "" if share <= limit else f"{share:.0%} of the last {len(parts)} parts without a decision"


ALARMS: tuple[Alarm, ...] = (
    Alarm(
        "Failsafe",
        Priority.CRITICAL,
        "an inference or the loop hung, a duty died, or an operator stopped it",
        "no verdict is trusted: every part gets the fallback",
        "read the reason; mend its cause; ask for the reset; Enable 0→1 at the PLC",
        _state(lambda s: s.fault_why or f"fault {s.fault_code}" if s.failsafe else ""),
    ),
    Alarm(
        "FeedLost",
        Priority.CRITICAL,
        "the deciding process hangs or is gone",
        "all values are old; the PLC counts every part as not answered",
        "look at the station's log and at its supervisor; the PLC's own display is right meanwhile",
        lambda sight: "the station says nothing any more" if sight.now is None else "",
        on_delay_s=3.0,
    ),
    Alarm(
        "PlcOffline",
        Priority.CRITICAL,
        "PLC stopped, cable or switch down, wrong endpoint",
        "no triggers are taken: every part gets the PLC's fallback",
        "check the PLC's run state and the network",
        # While the station starts, its model is compiled before the link is opened.
        _state(lambda s: "" if s.online or s.state == "starting" else "no link to the PLC"),
        on_delay_s=2.0,
        off_delay_s=2.0,
        band="2 s each way",
    ),
    Alarm(
        "ModeLowered",
        Priority.HIGH,
        "a person lowered the mode",
        "bypass: defective parts may pass",
        "find out who and why in the journal; raise the mode when the reason is gone",
        _report("mode lowered"),
    ),
    Alarm(
        "ModeCeiling",
        Priority.HIGH,
        "the PLC's ModeCeiling is below the mode that was asked for",
        "bypass: defective parts may pass",
        "find out at the PLC who holds it down; release it there",
        _report("mode ceiling"),
    ),
    Alarm(
        "Held",
        Priority.HIGH,
        "a person took the station out of inspection (Halt, Reset)",
        "no part is inspected: every part gets the fallback",
        "find out who and why in the journal; Reset, then SelectModeAutomatic",
        _state(lambda s: _HOLDS.get(s.hold, "")),
        shelf_min=60,
    ),
    Alarm(
        "Camera",
        Priority.HIGH,
        "camera off, cable, trigger line, power",
        "parts of this view are not decided",
        "check power and cable of the camera that is named; exchange it if need be",
        _report("camera:"),
        on_delay_s=1.0,
        off_delay_s=5.0,
        band="1 s on, 5 s off",
        shelf_min=60,
    ),
    Alarm(
        "ImageDrift",
        Priority.MEDIUM,
        "lamp ages, lens moves, dust on the window, another surface",
        "parts are still decided, soon with less certainty",
        "clean window and lamp, look at focus and light; where the product changed for good, learn its images anew",
        _report("image:"),
        off_delay_s=5.0,
        band="beyond 1.5 spreads of good images on, within 1.0 off",
        shelf_min=480,
    ),
    Alarm(
        "Calibration",
        Priority.MEDIUM,
        "the view's calibration is older than it may be",
        "sizes in mm are as good as they were, but nobody has looked",
        "run linegate camera calibrate at the next stop",
        _report("calibration:"),
        shelf_min=1440,
    ),
    Alarm(
        "Undecided",
        Priority.HIGH,
        "light, focus, belt or a model that does not fit the product",
        "good parts are rejected, or the line stops",
        "look at the reasons of the last parts and at their images",
        _undecided,
        off_delay_s=10.0,
        band=f"above {UNDECIDED_RAISE:.0%} on, below {UNDECIDED_CLEAR:.0%} off, of the last 20 parts",
        shelf_min=30,
    ),
    Alarm(
        "MissedTriggers",
        Priority.HIGH,
        "the line is faster than the ring, or the link stood still",
        "parts went by that nobody looked at; the gate rejected them",
        "compare PLC rate and ring depth; look at the network's load",
        _rises(lambda s: s.missed, "triggers missed"),
        off_delay_s=60.0,
        band="60 s without a new one",
        shelf_min=60,
    ),
    Alarm(
        "Overruns",
        Priority.HIGH,
        "more parts in flight than allowed",
        "the parts beyond are not decided",
        "slow the line or shorten the inspection",
        _rises(lambda s: s.overruns, "overruns"),
        off_delay_s=60.0,
        band="60 s without a new one",
        shelf_min=60,
    ),
    Alarm(
        "LateResults",
        Priority.MEDIUM,
        "model, camera or computer too slow for the deadline",
        "these parts got the fallback",
        "look at the latencies; check what else runs on the computer",
        _rises(lambda s: s.late, "results after their deadline"),
        off_delay_s=60.0,
        band="60 s without a new one",
        shelf_min=240,
    ),
    Alarm(
        "LostParts",
        Priority.MEDIUM,
        "the session with the PLC ended while parts were in flight",
        "these parts got the PLC's fallback",
        "look for the reason of the reconnect in the journal",
        _rises(lambda s: s.lost, "parts lost"),
        off_delay_s=60.0,
        band="60 s without a new one",
        shelf_min=240,
    ),
    Alarm(
        "Journal",
        Priority.HIGH,
        "disk slow, full or broken",
        "parts may be without a record",
        "make room or exchange the disk",
        _report("journal"),
        on_delay_s=1.0,
        off_delay_s=5.0,
        band="1 s on, 5 s off",
    ),
    Alarm(
        "JournalLoss",
        Priority.HIGH,
        "the journal's queue was full",
        "rows are gone for good",
        "as for Journal; note the time for the quality records",
        _rises(lambda s: s.journal_dropped, "rows lost"),
        off_delay_s=60.0,
        band="60 s without a new one",
    ),
    Alarm(
        "Latch",
        Priority.HIGH,
        "the failsafe latch cannot be written",
        "after a restart the station would not know that it was latched",
        "check the disk and its rights",
        _report("failsafe latch"),
    ),
    Alarm(
        "LoopLag",
        Priority.MEDIUM,
        "something else takes the processor",
        "answers come later than they could",
        "look for other programs; see process_priority",
        _lag,
        on_delay_s=2.0,
        off_delay_s=10.0,
        band=f"above {LAG_RAISE_MS:g} ms on, below {LAG_CLEAR_MS:g} ms off",
        shelf_min=240,
    ),
    Alarm(
        "Images",
        Priority.LOW,
        "image disk slow, full or broken",
        "images are not kept; answers are not touched",
        "make room, lower the budget or exchange the disk",
        _report("images"),
        on_delay_s=1.0,
        off_delay_s=10.0,
        band="1 s on, 10 s off",
        shelf_min=480,
    ),
    Alarm(
        "ImagesLost",
        Priority.LOW,
        "images came faster than the disk takes them",
        "some images are missing",
        "as for Images",
        _rises(lambda s: s.images_dropped, "images lost"),
        off_delay_s=60.0,
        band="60 s without a new one",
        shelf_min=480,
    ),
    Alarm(
        "Status",
        Priority.LOW,
        "the status process ended and was started anew",
        "clients had to connect again",
        "if it comes back: look at the station's log",
        _report("status"),
        off_delay_s=10.0,
        band="10 s off",
        shelf_min=480,
    ),
    Alarm(
        "Duty",
        Priority.MEDIUM,
        "another part of the station is not normal; its report says which",
        "as the report says",
        "as the report says",
        _unknown_report,
        on_delay_s=1.0,
        off_delay_s=5.0,
        band="1 s on, 5 s off",
        shelf_min=60,
    ),
)


def page() -> str:
    """docs/alarms.md."""
    lines = [
        "# Alarms",
        "",
        "Written by `python -m controller.status.alarms.table > docs/alarms.md`; do not edit.",
        "",
        "Each is an instance of OffNormalAlarmType below `Alarms` of the status server and tells its changes as events",
        "of the object Server. An operator acknowledges it (seen), confirms it (done), comments it and, where allowed,",
        "shelves it; maintenance takes it out of service. Who did so stands in the journal.",
        "",
        "| alarm | priority | severity | cause | consequence | what to do | delay | dead band | shelving |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(alarm) for alarm in ALARMS),
        "",
    ]
    return "\n".join(lines)


def _row(alarm: Alarm) -> str:
    cells = (
        alarm.id,
        alarm.priority.name.lower(),
        str(alarm.priority.value),
        alarm.cause,
        alarm.consequence,
        alarm.action,
        f"{alarm.on_delay_s:g} s" if alarm.on_delay_s else "none",
        alarm.band or "none",
        f"at most {alarm.shelf_min} min" if alarm.shelf_min else "not allowed",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
