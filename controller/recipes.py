"""Recipes ready to inspect with: facts for the core, a camera name and an inspector for each view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from models.frame import Frame
from statemachines.vocabulary import Assessment, RecipeFacts


class Judge(Protocol):
    """Judges one view's frame; blocking, called on the inference lane's thread."""

    def inspect(self, frame: Frame) -> Assessment:
        """Raises models.errors.ModelError when it cannot judge."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedView:
    """One camera angle: which camera sees it and who judges it."""

    camera: str
    inspector: Judge


@dataclass(frozen=True, slots=True)
class LoadedRecipe:
    """A recipe whose models are compiled and warm. model: name, version, hash and precision, for the status."""

    facts: RecipeFacts
    views: Mapping[str, LoadedView]
    model: Mapping[str, str] = field(default_factory=dict[str, str])


class RecipeBook(Protocol):
    """Where recipes come from."""

    def load(self, recipe_id: int, product: str) -> LoadedRecipe:
        """Find by product name, or by PLC number where product is "". Blocking: compiles and warms up.

        Raises ControllerError or models.errors.ModelError.
        """
        ...


class Lane(Protocol):
    """The dedicated inference thread, see models.lane.InferenceLane."""

    def submit(self, inspector: Judge, frame: Frame, on_done: DoneCallback) -> bool: ...
    def busy_since(self) -> int | None: ...
    def cancel(self) -> None: ...
    def close(self, timeout: float) -> bool: ...


class DoneCallback(Protocol):
    """Called on the lane's thread with the result and the inference's duration in ns."""

    def __call__(self, result: Assessment | Exception, duration_ns: int, /) -> None: ...
