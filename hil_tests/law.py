"""What a gate must do with a part, from the PLC contract alone: mode and answer in, movements allowed out.

The recipe of every rig falls back to "reject", and no rig has a divert lane.
"""

from __future__ import annotations

from hil_tests.rigfile import Mode

NONE, PASS, DIVERT, REJECT, STOP = range(5)
OUTCOMES = {NONE: "NONE", PASS: "PASS", DIVERT: "DIVERT", REJECT: "REJECT", STOP: "STOP"}

_GATE: dict[tuple[Mode, str], int] = {
    ("SHADOW", "OK"): NONE,
    ("SHADOW", "NG"): NONE,
    ("SHADOW", "NO_DECISION"): NONE,
    ("ALERT", "OK"): PASS,
    ("ALERT", "NG"): PASS,
    ("ALERT", "NO_DECISION"): PASS,
    ("AUTO_REJECT", "OK"): PASS,
    ("AUTO_REJECT", "NG"): REJECT,
    ("AUTO_REJECT", "NO_DECISION"): REJECT,
}


def gate(mode: Mode, verdict: str) -> int:
    """The gate's movement for a verdict; a part without an answer is NO_DECISION by the PLC's own fallback."""
    return _GATE[mode, "NO_DECISION" if verdict in ("NONE", "UNTRIGGERED") else verdict]
