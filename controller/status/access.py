"""Who may do what: the roles of people, and the least role for each method and each node that a client may write.

What is not named here cannot be called or written by anybody. Reading is for observers and all above.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum


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


class Audit(IntEnum):
    """What a call leaves in the audit trail: nothing (it only reads), an act of operation, a change of settings."""

    NONE = 0
    OPERATION = 1
    CHANGE = 2


@dataclass(frozen=True, slots=True)
class MethodAccess:
    """Least role and audit kind of one method."""

    role: Role
    audit: Audit


_READS = MethodAccess(Role.OBSERVER, Audit.NONE)
_OPERATES = MethodAccess(Role.OPERATOR, Audit.OPERATION)
_CHANGES = MethodAccess(Role.ENGINEER, Audit.CHANGE)
_STATE_MACHINE = "VisionSystem.VisionStateMachine"
_AUTOMATIC = f"{_STATE_MACHINE}.AutomaticModeStateMachine"
_RECIPES = "VisionSystem.RecipeManagement"
_RESULTS = "VisionSystem.ResultManagement"

METHODS: Mapping[str, MethodAccess] = {
    "Station.SetMode": MethodAccess(Role.OPERATOR, Audit.CHANGE),
    "Station.ResetFailsafe": _OPERATES,
    "Station.ChangeRecipe": _CHANGES,
    "Station.StartJob": _OPERATES,
    f"{_STATE_MACHINE}.Halt": _OPERATES,
    f"{_STATE_MACHINE}.Reset": _OPERATES,
    f"{_STATE_MACHINE}.SelectModeAutomatic": _OPERATES,
    f"{_AUTOMATIC}.StartSingleJob": _OPERATES,
    f"{_AUTOMATIC}.StartContinuous": _OPERATES,
    f"{_AUTOMATIC}.Stop": _OPERATES,
    f"{_AUTOMATIC}.Abort": _OPERATES,
    f"{_AUTOMATIC}.SimulationMode": _CHANGES,
    f"{_RECIPES}.GetRecipeListFiltered": _READS,
    f"{_RECIPES}.ReleaseRecipeHandle": _READS,
    f"{_RECIPES}.PrepareRecipe": _CHANGES,
    f"{_RECIPES}.UnprepareRecipe": _CHANGES,
    f"{_RECIPES}.PrepareProduct": _CHANGES,
    f"{_RECIPES}.UnprepareProduct": _CHANGES,
    f"{_RECIPES}.AddRecipe": _CHANGES,
    f"{_RECIPES}.RemoveRecipe": _CHANGES,
    f"{_RESULTS}.GetResultById": _READS,
    f"{_RESULTS}.GetResultComponentsById": _READS,
    f"{_RESULTS}.GetResultListFiltered": _READS,
    f"{_RESULTS}.ReleaseResultHandle": _READS,
}
"""Every method of the station that a client can call, by the string of its node id.

SetMode: an operator may lower the mode; only an engineer on an encrypted session may raise it. Recipes: by whatever
method another one comes into force, it can change a verdict; the PLC's own change-over asks nobody."""

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


def method_access(name: str) -> MethodAccess:
    """Access of the method with this node id string. Raises KeyError for a method that was never declared."""
    return METHODS[name]
