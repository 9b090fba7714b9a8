"""The blocks of the sequence profile against the simulated PLC, which was written from the contract on its own.

Where the two must differ, the traces stay away: the simulated PLC remembers 256 parts past the gate and its shift
register has no end; the blocks hold 64. Its line stop may acknowledge itself, the blocks' never does. Several of its
parts may come in one scan; before one photo eye they cannot.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plc_blocks.blocks import iec, logix, mutated, text_ids
from tests.plc_blocks.duel import Disagreement, Duel
from tests.plc_blocks.random_line import drawn_knobs


def fight(names: dict[str, Any], seed: int, scans: int, text: bool = False) -> Counter[str]:
    """One trace; returns what happened in it. Raises Disagreement."""
    chance = Random(seed)
    duel = Duel(names, chance, drawn_knobs(chance, text))
    for _ in range(scans):
        duel.step()
    return duel.seen


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_block_and_simulated_plc_agree_in_every_scan(seed: int, scans: int) -> None:
    fight(iec(), seed, scans)


def test_they_agree_in_long_traces_in_which_everything_happens() -> None:
    seen = sum((fight(iec(), seed, 700) for seed in range(7)), Counter[str]())
    expected = {
        "latched", "late", "moves", "power cycle", "new session", "heartbeat stops", "answer good",
        "answer torn", "answer part", "answer epoch", "answer session", "answer mode", "answer seq", "answer action",
        "answer", "fallback", "window", "locked", "unverified",
        "not enabled", "no session", "station lost", "not ready", "line stopped", "depth differs",
    }  # fmt: skip
    assert not {what for what in expected if seen[what] < 3}, seen


def test_they_agree_where_part_ids_are_texts() -> None:
    assert fight(text_ids(), 5, 800, text=True)["latched"] > 10


@pytest.mark.parametrize("seed", range(3))
def test_the_rockwell_variant_agrees_as_well(seed: int) -> None:
    assert fight(logix(), seed, 500)["answer good"] > 100


MUTATIONS = {
    "check word ignored": (" AND (Copy.Check = Check) THEN\n    Line", " THEN\n    Line"),
    "epoch ignored": (" AND (Copy.EpochEcho = Epoch)", ""),
    "session ignored": ("(Copy.SessionId = Session) AND ", ""),
    "part ignored": (" AND (Copy.PartIdEcho = Line.Parts[Place].PartId)", ""),
    "mode ignored": ("(Copy.Mode >= RequiredMode)", "(Copy.Mode >= 0)"),
    "acts in shadow": ("IF (Copy.Mode <= 1) OR (ModeCeiling <= 1) THEN", "IF Copy.Mode <= 1 THEN"),
    "latched after the gate": ("IF Line.Parts[Place].Passed THEN", "IF FALSE THEN"),
    "an answer without an action passes": ("ELSIF Copy.Action = 0 THEN", "ELSIF FALSE THEN"),
    "epoch of the last run": ("Number := LG_Next(Number := Last);", "Number := Last;"),
    "unknown action passes": ("    LG_Action := 3;", "    LG_Action := 1;"),
    "fallback not latched in shadow": ("IF ModeCeiling <= 1 THEN\n    LG_Fallback", "IF FALSE THEN\n    LG_Fallback"),
    "wrap of clock and encoder": ("ELSE\n        LG_Since := Half + 2147483647 + 1;\n    END_IF;\nELSE",
                                  "ELSE\n        LG_Since := Half;\n    END_IF;\nELSE"),
    "numbers wrap late": ("(Number < 1073741824)", "(Number < 2147483647)"),
    "check word misses the sign": ("Low / 65536 + 32768", "Low / 65536"),
    "heartbeat limit": ("Alive := Silence < 500;", "Alive := Silence < 600;"),
    "first heartbeat counts": ("    Before := Heartbeat;\nEND_IF;\nIF", "    Before := 0;\nEND_IF;\nIF"),
    "enable too short": ("IF Age >= 150 THEN", "IF Age >= 100 THEN"),
    "enable while ready": ("AND LowLongEnough AND NOT StationReady", "AND LowLongEnough"),
    "recipe announced at once": ("    ScansLeft := 2;", "    ScansLeft := 1;"),
    "answer beyond the window": ("IF Beyond <= Window THEN", "IF Beyond >= 0 THEN"),
    "lock ignored": ("IF Moving AND Locked THEN", "IF Moving AND FALSE THEN"),
    "stop only rejects": ("IF Outcome = 4 THEN", "IF Outcome = 5 THEN"),
    "missed sensor goes unseen": ("        Outcome := 1;\n", ""),
    "missed sensor does not stop": ("Unverified);\n        Line.Stopped := TRUE;", "Unverified);"),
    "old session at start": ("RefusedSession := Tags.SessionId;\n    HadSession := FALSE;\n    ClearRings",
                             "RefusedSession := 0;\n    HadSession := FALSE;\n    ClearRings"),
    "old session after enable": ("IF Switches.EnableFell THEN\n    RefusedSession := Tags.SessionId;\nEND_IF",
                                 "IF Switches.EnableFell THEN\n    RefusedSession := 0;\nEND_IF"),
    "rings not cleared": ("        Tags.Result[Slot].ResultSeq := 0;\n", ""),
    "only one slot read": ("FOR Slot := 0 TO 7 DO\n    Copy", "FOR Slot := 0 TO 6 DO\n    Copy"),
    "depth ignored": ("ELSIF (Tags.Depth <> 0) AND (Tags.Depth <> 8) THEN\n    Hindrance := 4;\n", ""),
    "wrong slot": ("Slot := (Seq - 1) MOD 8;", "Slot := Seq MOD 8;"),
    "triggers during a line stop": ("ELSIF Line.Stopped THEN\n    Hindrance := 6;\nELSIF Line.Count >= 64 THEN\n"
                                    "    Hindrance := 7;\nELSE\n", "ELSE\n"),
    "line stop request by level": ("StopBefore := Tags.LineStopRequest;", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_block_is_found_out(name: str) -> None:
    names = mutated(*MUTATIONS[name], without="6_four_phase")
    with pytest.raises(Disagreement):
        for seed in range(12):
            fight(names, seed, 500)
