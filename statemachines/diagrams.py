"""The tables as Mermaid diagrams for the documentation, generated so that they cannot lie.

`python -m statemachines.diagrams > docs/state-machines.md`; a test keeps the file current.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from statemachines import line
from statemachines.cycle.state import Stage
from statemachines.cycle.table import TABLE
from statemachines.handshake import four_phase, phases, results, sequence_profile, triggers
from statemachines.handshake.session import Table as SessionTable
from statemachines.handshake.state import Link

_INTRO = """# State machines

Generated from the tables by `python -m statemachines.diagrams > docs/state-machines.md`; do not edit.
"""


def render() -> str:
    """The whole page."""
    return "\n".join(
        [
            _INTRO,
            "## Part cycle (`statemachines/cycle/table.py`)\n",
            _part_cycle(),
            "\n## Handshake with the PLC, sequence profile (`statemachines/handshake/sequence_profile.py`)\n",
            _session(sequence_profile.TABLE),
            "\n## Session with the PLC, four-phase profile (`statemachines/handshake/four_phase.py`)\n",
            _session(four_phase.TABLE),
            "\nWhile a session is open each part's trigger and the results have a handshake of their own.\n",
            "\n### Trigger (`statemachines/handshake/triggers.py`)\n",
            _trigger(),
            "\n### Result (`statemachines/handshake/results.py`)\n",
            _result(),
            "\n## Line (`statemachines/line.py`)\n",
            _line(),
            "",
        ]
    )


def _mermaid(edges: dict[tuple[str, str], list[str]], start: str) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start}"]
    for (source, target), labels in edges.items():
        lines.append(f"    {source} --> {target}: {', '.join(labels)}")
    return "\n".join([*lines, "```"])


def _part_cycle() -> str:
    edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (stage, event), (targets, _) in TABLE.items():
        for target in targets:
            edges[(stage.name, target.name)].append(event.__name__)
    return _mermaid(edges, Stage.CAPTURING.name)


def _session(table: SessionTable) -> str:
    edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    edges[("OFFLINE", "WAITING")].append("LinkUp")
    for (link, sign), (target, _) in table.items():
        edges[(link.name, target.name)].append(sign.name)
    for link in Link:
        if link is not Link.OFFLINE:
            edges[(link.name, "OFFLINE")].append("LinkLost")
    return _mermaid(edges, Link.OFFLINE.name)


def _trigger() -> str:
    edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (phase, sign), (target, _) in triggers.TRIGGERS.items():
        edges[(phase.name, target.name)].append(sign.name)
    taken, acknowledged = phases.TriggerPhase.TAKEN, phases.TriggerPhase.ACKNOWLEDGED
    edges[(taken.name, acknowledged.name)].append("TriggerCommitted")
    return _mermaid(edges, phases.TriggerPhase.HELD.name)


def _result() -> str:
    edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (phase, sign), (target, _) in results.RESULTS.items():
        edges[(phase.name, target.name)].append(sign.name)
    phase = phases.ResultPhase
    edges[(phase.FREE.name, phase.WRITING.name)].append("Publish")
    edges[(phase.WRITING.name, phase.SHOWN.name)].append("BlockWritten")
    return _mermaid(edges, phase.CLEARING.name)


def _line() -> str:
    edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in line.TRANSITIONS:
        sources = row["source"] if isinstance(row["source"], list) else ["starting", "running", "failsafe"]
        for source in sources:
            edges[(source, row["dest"])].append(row["trigger"])
    return _mermaid(edges, "starting")


if __name__ == "__main__":
    sys.stdout.write(render())
