"""A simulated line: what it takes from the product's own files."""

from __future__ import annotations

import pytest

from controller.sim import real_demo
from controller.sim.line_run import LineSettings, recipe_id


@pytest.mark.parametrize(
    ("settings", "number"), [(LineSettings(), 1), (LineSettings(product="tile", recipes=real_demo.RECIPES), 2)]
)
def test_the_plc_names_the_recipe_of_the_product(settings: LineSettings, number: int) -> None:
    """With another number every part of the line is NO_DECISION: the trigger names a recipe that is not loaded."""
    assert recipe_id(settings) == number
