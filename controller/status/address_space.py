"""What the status server shows, as data: one row per node, each with its way out of a snapshot.

Node ids are "ns=2;s=" and the row's name, and stay for good. `python -m controller.status.address_space` prints the
page docs/status-nodes.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from controller.status.access import METHODS as ACCESS
from controller.status.messages import STAGES, PartSummary, StageLatency, StationSnapshot
from controller.status.packml import pack_state, unit_mode

NAMESPACE = "urn:linegate:status"
NAMESPACE_INDEX = 2
PARTS = 20
"""How many of the last parts are shown."""
COMMAND_TIMEOUT_S = 2.0
"""How long a client's command waits for the station."""
FEED_LOST_S = 2.0
"""Without a snapshot for so long, the feed counts as lost."""

Value = bool | int | float | str | list[str]


class Kind(Enum):
    """Type of a node's value, by its OPC UA name."""

    BOOLEAN = "Boolean"
    INT32 = "Int32"
    INT64 = "Int64"
    DOUBLE = "Double"
    STRING = "String"
    STRINGS = "String[]"

    @property
    def empty(self) -> Value:
        """What stands where there is nothing to show."""
        empties: dict[Kind, Value] = {Kind.BOOLEAN: False, Kind.DOUBLE: 0.0, Kind.STRING: "", Kind.STRINGS: []}
        return empties.get(self, 0)


@dataclass(frozen=True, slots=True)
class StatusNode:
    """One variable. lost: what it shows, with good quality, while the feed is lost; None: its last value, uncertain."""

    name: str
    kind: Kind
    read: Callable[[StationSnapshot], Value]
    description: str
    lost: Value | None = None


@dataclass(frozen=True, slots=True)
class StatusMethod:
    """One method of the object Station. inputs: name, type and meaning of each argument."""

    name: str
    inputs: tuple[tuple[str, Kind, str], ...]
    description: str


def node_id(name: str) -> str:
    """The node id of a row, as a client writes it."""
    return f"ns={NAMESPACE_INDEX};s={name}"


_STATION = (
    StatusNode("Station.Name", Kind.STRING, lambda s: s.station, "name of the station"),
    StatusNode(
        "Station.FeedAlive",
        Kind.BOOLEAN,
        lambda _: True,
        f"the station told its status in the last {FEED_LOST_S:g} s; while false, all else is its last known value",
        lost=False,
    ),
    StatusNode(
        "Station.State",
        Kind.STRING,
        lambda s: s.state,
        "state of the line: starting, running_shadow, running_alert, running_auto_reject, failsafe, stopped; "
        "unknown while the feed is lost",
        lost="unknown",
    ),
    StatusNode("Station.Mode", Kind.INT32, lambda s: s.mode, "mode in force: 1 SHADOW, 2 ALERT, 3 AUTO_REJECT"),
    StatusNode("Station.ModeRequested", Kind.INT32, lambda s: s.mode_requested, "mode that was asked for"),
    StatusNode("Station.ModeCeiling", Kind.INT32, lambda s: s.mode_ceiling, "highest mode that the PLC allows; 0 none"),
    StatusNode(
        "Station.Health",
        Kind.INT32,
        lambda s: s.health,
        "NE 107: 0 normal, 1 failure, 2 check function, 3 out of spec, 4 maintenance",
    ),
    StatusNode("Station.HealthText", Kind.STRING, lambda s: s.health_text, "why the health is not normal"),
    StatusNode(
        "Station.Failsafe", Kind.BOOLEAN, lambda s: s.failsafe, "no verdict is trusted until a person resets it"
    ),
    StatusNode("Station.FaultCode", Kind.INT32, lambda s: s.fault_code, "what latched the failsafe; 0 none"),
    StatusNode("Station.FaultWhy", Kind.STRING, lambda s: s.fault_why, "the same in words"),
    StatusNode("Station.Ready", Kind.BOOLEAN, lambda s: s.ready, "can take a trigger now", lost=False),
    StatusNode("Station.Online", Kind.BOOLEAN, lambda s: s.online, "the link to the PLC is up", lost=False),
    StatusNode("Station.SessionId", Kind.INT64, lambda s: s.session_id, "number of the session with the PLC"),
    StatusNode("Station.InFlight", Kind.INT32, lambda s: s.in_flight, "parts accepted and not yet answered"),
    StatusNode(
        "Station.PlcLink",
        Kind.STRING,
        lambda s: s.plc_link,
        "how far the handshake with the PLC has come: offline, waiting for Enable, opening a session, in session, "
        "PLC clock stands still",
    ),
    StatusNode("Station.Hold", Kind.INT32, lambda s: s.hold, "held by a person: 0 no, 1 preoperational, 2 halted"),
    StatusNode("Station.Job", Kind.STRING, lambda s: s.job, "key of the job that runs for a client, or empty"),
    StatusNode("Station.NoJobBecause", Kind.STRING, lambda s: s.no_job_because, "why no job may start now, or empty"),
    StatusNode("Station.Simulating", Kind.BOOLEAN, lambda s: s.simulating, "jobs see kept images, not the cameras"),
    StatusNode("Station.LoopLagMs", Kind.DOUBLE, lambda s: s.loop_lag_ms, "lateness of the deciding loop, ms"),
    StatusNode("Station.UptimeS", Kind.DOUBLE, lambda s: s.uptime_s, "time since the station's start, s"),
    StatusNode("Recipe.Product", Kind.STRING, lambda s: s.recipe_product, "product that is inspected"),
    StatusNode("Recipe.Id", Kind.INT32, lambda s: s.recipe_id, "the PLC's number of it"),
    StatusNode("Recipe.Hash", Kind.STRING, lambda s: s.recipe_hash, "covers everything that can change a verdict"),
    StatusNode("Model.Name", Kind.STRING, lambda s: s.model_name, "model package in force"),
    StatusNode("Model.Version", Kind.STRING, lambda s: s.model_version, "its version"),
    StatusNode("Model.Hash", Kind.STRING, lambda s: s.model_hash, "its SHA-256"),
    StatusNode("Model.Precision", Kind.STRING, lambda s: s.model_precision, "precision that it runs in"),
)

_COUNTERS = (
    StatusNode("Counters.Triggers", Kind.INT64, lambda s: s.triggers, "triggers accepted since the start"),
    StatusNode("Counters.Answered", Kind.INT64, lambda s: s.answered, "parts answered to the PLC"),
    StatusNode("Counters.Ok", Kind.INT64, lambda s: s.ok, "verdicts OK"),
    StatusNode("Counters.Ng", Kind.INT64, lambda s: s.ng, "verdicts NG"),
    StatusNode("Counters.Unsure", Kind.INT64, lambda s: s.unsure, "verdicts UNSURE"),
    StatusNode("Counters.NoDecision", Kind.INT64, lambda s: s.no_decision, "verdicts NO_DECISION"),
    StatusNode("Counters.Missed", Kind.INT64, lambda s: s.missed, "triggers that were never read"),
    StatusNode("Counters.Late", Kind.INT64, lambda s: s.late, "results after their part's answer, never acted on"),
    StatusNode("Counters.Overruns", Kind.INT64, lambda s: s.overruns, "triggers beyond the parts in flight allowed"),
    StatusNode("Counters.Lost", Kind.INT64, lambda s: s.lost, "parts in flight when the session ended"),
    StatusNode("Counters.ImagesDropped", Kind.INT64, lambda s: s.images_dropped, "images that were not kept"),
    StatusNode("Counters.FeedDropped", Kind.INT64, lambda s: s.feed_dropped, "messages to this server that were lost"),
    StatusNode("Counters.JournalDropped", Kind.INT64, lambda s: s.journal_dropped, "journal rows that were lost"),
)

_PACKML = (
    StatusNode(
        "PackTags.StateCurrent",
        Kind.INT32,
        lambda s: int(pack_state(s)),
        "PackML: 2 stopped (halted, preoperational), 4 idle (may take a job), 5 suspended (in session, not ready), "
        "6 execute, 9 aborted (failsafe), 15 resetting (recipe being loaded); 0 while the feed is lost",
        lost=0,
    ),
    StatusNode(
        "PackTags.UnitModeCurrent",
        Kind.INT32,
        lambda s: int(unit_mode(s)),
        "PackML: 1 produce, 2 maintenance (held by a person, failsafe), 3 manual (a client's job); "
        "0 while the feed is lost",
        lost=0,
    ),
    StatusNode("PackTags.ProdProcessedCount", Kind.INT64, lambda s: s.answered, "PackML: as Counters.Answered"),
    StatusNode("PackTags.ProdDefectiveCount", Kind.INT64, lambda s: s.ng, "PackML: as Counters.Ng"),
)

_SCORES = (
    StatusNode(
        "Scores.Newest",
        Kind.DOUBLE,
        lambda s: s.last_parts[0].score if s.last_parts else 0.0,
        "score of the newest part's worst finding; 0 without one",
    ),
    StatusNode(
        "Scores.Highest",
        Kind.DOUBLE,
        lambda s: max((part.score for part in s.last_parts), default=0.0),
        f"highest score of the last {PARTS} parts",
    ),
)

_NO_LATENCY = StageLatency(0, 0, 0, 0, 0)
_LATENCY: tuple[tuple[str, Callable[[StageLatency], Value], str], ...] = (
    ("Count", lambda x: x.count, "parts measured since the start"),
    ("P50", lambda x: x.p50_us, "median, us"),
    ("P99", lambda x: x.p99_us, "99 % were not longer, us"),
    ("P999", lambda x: x.p999_us, "99.9 % were not longer, us"),
    ("Max", lambda x: x.max_us, "longest, us"),
)
_STAGE_MEANINGS = {
    "capture": "request of a frame to frame in memory",
    "inference": "frame to graded findings",
    "overhead": "what neither camera, model nor wire took",
    "total": "trigger seen to answer written",
}

_NO_PART = PartSummary("", 0, "", "", "", "", "", [], 0)
_PART: tuple[tuple[str, Kind, Callable[[PartSummary], Value], str], ...] = (
    ("PartId", Kind.STRING, lambda p: p.part_id, "the PLC's name of the part"),
    ("Seq", Kind.INT64, lambda p: p.seq, "number of its trigger; 0 no such part yet"),
    ("Verdict", Kind.STRING, lambda p: p.verdict, "OK, NG, UNSURE, NO_DECISION"),
    ("Reason", Kind.STRING, lambda p: p.reason, "why it has this verdict"),
    ("Action", Kind.STRING, lambda p: p.action, "NONE, PASS, DIVERT, REJECT, STOP"),
    ("Mode", Kind.STRING, lambda p: p.mode, "mode at its trigger"),
    ("Why", Kind.STRING, lambda p: p.why, "the verdict explained"),
    ("Findings", Kind.STRINGS, lambda p: p.findings, "what was found, one line each"),
    ("LatencyUs", Kind.INT64, lambda p: p.latency_us, "trigger seen to answer written, us; 0 not answered"),
)


def _latency_nodes() -> Iterator[StatusNode]:
    for stage in STAGES:
        for name, read, description in _LATENCY:
            yield StatusNode(
                f"Latency.{stage.capitalize()}.{name}",
                Kind.INT64,
                lambda s, stage=stage, read=read: read(s.latencies.get(stage, _NO_LATENCY)),
                f"{_STAGE_MEANINGS[stage]}: {description}",
            )


def _part(snapshot: StationSnapshot, index: int) -> PartSummary:
    return snapshot.last_parts[index] if index < len(snapshot.last_parts) else _NO_PART


def _part_nodes() -> Iterator[StatusNode]:
    for index in range(PARTS):
        for name, kind, read, description in _PART:
            yield StatusNode(
                f"LastParts[{index}].{name}",
                kind,
                lambda s, index=index, read=read: read(_part(s, index)),
                description,
            )


NODES: tuple[StatusNode, ...] = (*_STATION, *_COUNTERS, *_PACKML, *_SCORES, *_latency_nodes(), *_part_nodes())

_WHO = ("who", Kind.STRING, "on whose behalf; empty: the one who is logged in, who is journalled in any case")

SET_MODE = StatusMethod(
    "SetMode",
    (("mode", Kind.INT32, "1 SHADOW, 2 ALERT, 3 AUTO_REJECT"), _WHO, ("why", Kind.STRING, "why; not empty")),
    "ask for another mode; it applies from the next part on. Raising it needs an engineer on an encrypted session; "
    "lowering it raises the bypass alarm",
)
RESET_FAILSAFE = StatusMethod("ResetFailsafe", (_WHO,), "ask to leave failsafe once its cause is gone")
CHANGE_RECIPE = StatusMethod(
    "ChangeRecipe",
    (("product", Kind.STRING, "folder name under recipes/"), _WHO),
    "ask for another product",
)
START_JOB = StatusMethod(
    "StartJob",
    (("partId", Kind.STRING, "what the part is called, or empty"), _WHO),
    "ask for one part to be inspected now; only while the PLC's Enable is 0, and never answered to the PLC",
)
METHODS = (SET_MODE, RESET_FAILSAFE, CHANGE_RECIPE, START_JOB)


def page() -> str:
    """docs/status-nodes.md."""
    shown = [node for node in NODES if not node.name.startswith("LastParts[") or node.name.startswith("LastParts[0].")]
    lines = [
        "# Nodes of the status server",
        "",
        "Written by `python -m controller.status.address_space > docs/status-nodes.md`; do not edit.",
        "",
        f"Namespace `{NAMESPACE}`, index {NAMESPACE_INDEX}; node ids are `ns={NAMESPACE_INDEX};s=` and the name. "
        "All nodes are read-only for clients.",
        f"After {FEED_LOST_S:g} s without news from the station, `Station.FeedAlive` is false, `Station.State` is "
        "`unknown`, `Station.Ready` and `Station.Online` are",
        "false, and every other value keeps its last one with the quality UncertainLastUsableValue "
        "(BadWaitingForInitialData before the first news).",
        "",
        "Roles, encryption, certificates: [security](security.md). Alarms: [alarms](alarms.md).",
        "",
        "| node | type | meaning |",
        "|---|---|---|",
        *(f"| {node.name} | {node.kind.value} | {node.description} |" for node in shown),
        "",
        f"`LastParts[0]` is the newest part; `LastParts[1]` to `LastParts[{PARTS - 1}]` have the same nodes.",
        "",
        "The same as a PackML unit (OPC 30050, `PackMLBaseObjectType`) stands below `PackMLObjects`, with the node ids "
        "`ns=2;s=PackML.…`: nested state machines, unit mode, speed, counts. The type's own methods are there and "
        "nobody may call them: wishes have the methods below.",
        "",
        "## Methods of the object `Station`",
        "",
        "Each returns `ok` (Boolean) and `why` (String). The station has "
        f"{COMMAND_TIMEOUT_S:g} s to answer; every granted wish is journalled with who and when.",
        "",
        "| method | least role | arguments | meaning |",
        "|---|---|---|---|",
        *(
            f"| Station.{method.name} | {ACCESS[f'Station.{method.name}'].role.value} | {_arguments(method)} "
            f"| {method.description} |"
            for method in METHODS
        ),
        "",
        "## Methods by role",
        "",
        "The companion models' own methods (OPC 40100-1) have the standard's arguments. `Error` is 0, or below 0: "
        "-1 refused by the station, -2 unknown, -3 exists already, -4 in force, -5 unreadable, -6 too late.",
        "",
        "| method | least role | audit |",
        "|---|---|---|",
        *(f"| {name} | {held.role.value} | {held.audit.name.lower()} |" for name, held in ACCESS.items()),
        "",
    ]
    return "\n".join(lines)


def _arguments(method: StatusMethod) -> str:
    return "; ".join(f"{name} {kind.value}: {meaning}" for name, kind, meaning in method.inputs)


if __name__ == "__main__":
    sys.stdout.write(page())
