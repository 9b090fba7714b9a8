"""A simulated line: what it takes from the product's own files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.sim import real_demo
from controller.sim.image_check import ImageCheck
from controller.sim.line_run import LineReport, LineSettings, recipe_id
from controller.sim.plc_commands import TallyReady
from controller.sim.tally import Tally, Truth


@pytest.mark.parametrize(
    ("settings", "number"), [(LineSettings(), 1), (LineSettings(product="tile", recipes=real_demo.RECIPES), 2)]
)
def test_the_plc_names_the_recipe_of_the_product(settings: LineSettings, number: int) -> None:
    """With another number every part of the line is NO_DECISION: the trigger names a recipe that is not loaded."""
    assert recipe_id(settings) == number


@pytest.mark.parametrize(("verdicts", "faultless"), [({"NO_DECISION": 3}, False), ({"NO_DECISION": 2, "NG": 1}, True)])
def test_a_line_on_which_nothing_was_decided_is_at_fault(verdicts: dict[str, int], faultless: bool) -> None:
    figures = replace(Tally(1).summary(), triggers=3, answered=3, verdicts=verdicts)
    report = LineReport(TallyReady(figures, []), Truth(0, 0, 0, 0), ImageCheck(3, 0, 0), {})
    assert report.faultless is faultless
