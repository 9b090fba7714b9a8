"""In which order the station's single tags may be written. Pure.

The order inside one request is undefined on OPC UA, so whatever the PLC must see first goes in a request before.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from controller.ports import StatusValue

_EDGES = frozenset({"Ready", "TriggerAck", "ResultValid"})
"""Bits whose edges the PLC acts on."""

_SIGNALS = _EDGES | {"TriggerIdAck", "ResultToggle", "MissedTrigger"}
"""What the PLC waits for step by step in the four-phase profile: it waits for nothing but its order."""

_INVITING = _EDGES | {"TriggerIdAck"}
"""What makes the PLC act in the new session, once it is not 0."""

_BEFORE_RECIPE_ACK = frozenset({"RecipeStatus", "RecipeActive", "RecipeHash"})


def next_request(difference: Mapping[str, StatusValue], *, signals_only: bool) -> dict[str, StatusValue]:
    """The tags of the next request out of those whose value the PLC does not have yet; empty when none is due.

    - A PLC that sees a new SessionId must not see the old session's Ready, TriggerAck or ResultValid beside it, nor the
      new session's beside the old SessionId. (A part triggered on a stale Ready would lie below the new session's
      baseline: neither answered nor counted; found by the exhaustive search over the tables.)
    - Bits fall before others rise, and TriggerIdAck stands before TriggerAck rises.
    - Ready rises after Fallback and the recipe are right, since the PLC latches them with its trigger.
    - RecipeAckSeq comes after what it speaks of: a PLC that saw it beside the old RecipeStatus would take one request's
      refusal for the next one's.
    signals_only: the rest must wait, unless a new session does.
    """
    if "SessionId" in difference:
        inviting = {tag for tag in _INVITING if difference.get(tag)}
        return _only(difference, difference.keys() - inviting - {"SessionId"}) or _only(difference, {"SessionId"})
    falling = {tag for tag in _EDGES if difference.get(tag) is False}
    rising = {tag for tag in _EDGES - {"Ready"} if difference.get(tag)}
    signals = _only(difference, falling) or _only(difference, _SIGNALS - _EDGES) or _only(difference, rising)
    if signals or signals_only:
        return signals
    held = {"RecipeAckSeq"} if difference.keys() & _BEFORE_RECIPE_ACK else set[str]()
    return _only(difference, difference.keys() - held - {"Ready"}) or _only(difference, difference.keys())


def _only(difference: Mapping[str, StatusValue], tags: AbstractSet[str]) -> dict[str, StatusValue]:
    return {tag: value for tag, value in difference.items() if tag in tags}
