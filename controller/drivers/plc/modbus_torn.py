"""Whether a head read register by register can be believed, or may hold halves of two values.

Modbus keeps a register whole, not a pair of them. Slots carry a check word; the PLC's single tags do not, so a reading
that moved in a way in which a torn value can move is read once more before anybody acts on it. Pure.
"""

from __future__ import annotations

from statemachines.vocabulary import PlcHead

_COUNTERS = ("trigger_seq", "clock_ms", "gate_seq")
"""They count up. Torn while the lower half overflows, they jump by 65536 or fall back: the upper half changes, or the
lower half gets smaller."""

_SIGNS = ("session_ack", "plc_epoch", "recipe_request", "recipe_request_seq", "trigger")
"""They change seldom and to any value, and what lies beside them counts from the change on (RecipeRequest with
RecipeRequestSeq, the trigger's fields with Trigger)."""

# Not here: EncoderNow, which nothing is decided by, and tags whose values fit 16 bits.


def doubtful(before: PlcHead | None, now: PlcHead) -> str:
    """Name of the field because of which `now` must be read again; empty if it follows whole from `before`."""
    if before is None:
        return _COUNTERS[0]
    for name in _COUNTERS:
        old, new = getattr(before, name), getattr(now, name)
        if new != old and ((new ^ old) & 0xFFFF_0000 or new & 0xFFFF < old & 0xFFFF):
            return name
    return next((name for name in _SIGNS if getattr(before, name) != getattr(now, name)), "")
