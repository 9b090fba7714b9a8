"""Who may do what: the roles of people, and the least role for each method and each node that a client may write.

What is not named here cannot be called or written by anybody. Reading is for observers and all above.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum


class Role(Enum):
    """What a person is trusted with. The values stand in the users file."""

    OBSERVER = "observer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    MAINTENANCE = "maintenance"


_INCLUDED: Mapping[Role, frozenset[Role]] = {
    Role.OBSERVER: frozenset({Role.OBSERVER}),
    Role.OPERATOR: frozenset({Role.OBSERVER, Role.OPERATOR}),
    Role.ENGINEER: frozenset({Role.OBSERVER, Role.OPERATOR, Role.ENGINEER}),
    Role.MAINTENANCE: frozenset({Role.OBSERVER, Role.OPERATOR, Role.MAINTENANCE}),
}
"""Engineer and maintenance stand side by side: who mends the station does not decide what it may do to parts."""


def permits(roles: Iterable[Role], least: Role) -> bool:
    """One of the roles is, or includes, the least one."""
    return any(least in _INCLUDED[role] for role in roles)


METHODS: Mapping[str, Role] = {
    "Station.SetMode": Role.OPERATOR,
    "Station.ResetFailsafe": Role.OPERATOR,
    "Station.ChangeRecipe": Role.ENGINEER,
}
"""Least role by the method's name, which is also its node id in the namespace of the status server.

SetMode: an operator may lower the mode; only an engineer on an encrypted session may raise it (`mode_rule`)."""

STANDARD_METHODS: Mapping[int, Role] = {
    3875: Role.OBSERVER,  # ConditionType.ConditionRefresh
    12912: Role.OBSERVER,  # ConditionType.ConditionRefresh2
    9111: Role.OPERATOR,  # AcknowledgeableConditionType.Acknowledge
    9113: Role.OPERATOR,  # AcknowledgeableConditionType.Confirm
    9029: Role.OPERATOR,  # ConditionType.AddComment
    9027: Role.MAINTENANCE,  # ConditionType.Enable
    9028: Role.MAINTENANCE,  # ConditionType.Disable
    2948: Role.OPERATOR,  # ShelvedStateMachineType.OneShotShelve
    2949: Role.OPERATOR,  # ShelvedStateMachineType.TimedShelve
    2947: Role.OPERATOR,  # ShelvedStateMachineType.Unshelve
}
"""Least role for methods of the standard's own types, by their node id in namespace 0."""

WRITABLE: Mapping[str, Role] = {}
"""Least role by the node's name; the status server has no node that a client writes."""

AUDITORS = frozenset({Role.ENGINEER, Role.MAINTENANCE})
"""Who receives audit events: they name people."""
