"""Recipes ready to inspect with: facts for the core, a camera name and an inspector for each view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from models.frame import Frame
from models.lane import Done, Judge
from models.optics.watch import ImageWatch
from statemachines.vocabulary import RecipeFacts


@dataclass(frozen=True, slots=True)
class LoadedView:
    """One camera angle: which camera sees it and who judges it. calibrated_until:
    None where nothing expires. watch: None where no good images were learned."""

    camera: str
    inspector: Judge
    calibrated_until: datetime | None = None
    watch: ImageWatch | None = None


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

    def submit(self, inspector: Judge, frame: Frame, on_done: Done) -> bool: ...
    def busy_since(self) -> int | None: ...
    def cancel(self) -> None: ...
    def close(self, timeout: float) -> bool: ...
