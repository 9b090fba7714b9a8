"""Every method that is served is declared with its least role, and nothing else is."""

from __future__ import annotations

from typing import Any, cast

import pytest

from controller.status import address_space
from controller.status.access import METHODS, WRITABLE, Audit, Role, method_access
from controller.status.vision.methods import VisionMethods


def served() -> set[str]:
    nothing = cast(Any, None)
    vision = VisionMethods(nothing, nothing, nothing, None).table()
    return set(vision) | {f"Station.{method.name}" for method in address_space.METHODS}


def test_what_is_served_is_what_is_declared() -> None:
    assert served() == set(METHODS)


def test_an_undeclared_method_is_an_error() -> None:
    with pytest.raises(KeyError):
        method_access("VisionSystem.SelfDestruct")


def test_nobody_changes_anything_as_an_observer_and_nothing_is_writable() -> None:
    assert not WRITABLE
    for name, access in METHODS.items():
        assert (access.role is Role.OBSERVER) == (access.audit is Audit.NONE), name
