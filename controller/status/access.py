"""Who may do what at the status server: the least role for each method, declared in one place.

Everything that is not named here can be read by every role and written by none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """Rights of a client, each role having those of the ones before it."""

    OBSERVER = 1
    OPERATOR = 2
    ENGINEER = 3
    MAINTENANCE = 4


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

METHODS: dict[str, MethodAccess] = {
    "Station.SetMode": _CHANGES,
    "Station.ResetFailsafe": _OPERATES,
    "Station.ChangeRecipe": _OPERATES,
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
    f"{_RECIPES}.PrepareRecipe": _OPERATES,
    f"{_RECIPES}.UnprepareRecipe": _OPERATES,
    f"{_RECIPES}.PrepareProduct": _OPERATES,
    f"{_RECIPES}.UnprepareProduct": _OPERATES,
    f"{_RECIPES}.AddRecipe": _CHANGES,
    f"{_RECIPES}.RemoveRecipe": _CHANGES,
    f"{_RESULTS}.GetResultById": _READS,
    f"{_RESULTS}.GetResultComponentsById": _READS,
    f"{_RESULTS}.GetResultListFiltered": _READS,
    f"{_RESULTS}.ReleaseResultHandle": _READS,
}
"""Every method that a client can call, by the string of its node id."""

WRITABLE: dict[str, Role] = {}
"""Every variable that a client can write, with its least role: none. Wishes are methods."""


def method_access(name: str) -> MethodAccess:
    """Access of the method with this node id string. Raises KeyError for a method that was never declared."""
    return METHODS[name]
