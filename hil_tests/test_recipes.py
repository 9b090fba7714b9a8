"""Change of product over the wire: the PLC asks, the station loads or refuses, parts before keep their recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_tests.rig import RECIPE_IDS, Rig, State
from hil_tests.rigfile import find_rig


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["opcua-sequence", "opcua-four-phase"])
def test_the_plc_changes_the_recipe_and_is_refused_one_that_there_is_not(tmp_path: Path, name: str) -> None:
    with Rig(find_rig(name), tmp_path) as rig:
        rig.bring(State.RUNNING)
        rig.request_recipe(RECIPE_IDS["washer-b"])
        assert rig.good_part().reason == 0
        for unknown in (4711, RECIPE_IDS["missing"]):
            rig.request_recipe(unknown)
            assert rig.good_part().reason == 0
        with rig.journal() as journal:
            used = [row.recipe_id or 0 for _, row in journal.newest(0) if row.reason == 0]
            told = [event.detail for event in journal.events("recipe")]
    assert used == sorted(used)
    assert used[0] == RECIPE_IDS["washer"]
    assert set(used[1:]) - {RECIPE_IDS["washer"]} == {RECIPE_IDS["washer-b"]}
    refused = [str(detail["why"]) for detail in told if "refused" in detail]
    assert len(refused) == 2
    assert "4711" in refused[0]
    assert "missing" in refused[1]
    loaded = [detail["loaded"] for detail in told if "loaded" in detail]
    assert loaded == ["washer", "washer-b"]
