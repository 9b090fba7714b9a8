"""Rig files and the matrix as data: what is wrong is named, what is right covers what it must."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from hil_tests.__main__ import simulated_rigs
from hil_tests.faults.matrix import load_matrix
from hil_tests.faults.scripts import scripts
from hil_tests.rigfile import MODES, Profile, RigFileError, find_rig, known_rigs, load_rig
from hil_tests.run import WHY_NOT
from hil_tests.schedule import plan

PROFILES: tuple[Profile, ...] = ("sequence", "four-phase")


@pytest.mark.parametrize("name", known_rigs())
def test_every_rig_file_can_be_read(name: str) -> None:
    rig = find_rig(name)
    assert rig.name == name


def test_there_is_a_simulated_rig_for_every_protocol_and_profile() -> None:
    rigs = [find_rig(name) for name in known_rigs()]
    simulated = {(rig.plc.protocol, rig.plc.profile) for rig in rigs if rig.plc.kind == "soft"}
    assert len(simulated) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema = 1\nname = 'x'\n[plc]\nkind = 'soft'\nprotocol = 'profinet'\n", "plc.soft.protocol = 'profinet'"),
        ("schema = 1\nname = 'x'\n[plc]\nkind = 'soft'\nprotocol = 'opcua'\nport = 1\n", "plc.soft.port"),
        ("schema = 1\nname = 'x'\n[plc]\nkind='soft'\nprotocol='opcua'\n[line]\nkind='real'\n", "make both the same"),
        ("schema = ", "is not valid TOML"),
    ],
    ids=["unknown protocol", "unknown key", "real line on a soft PLC", "no TOML"],
)
def test_a_wrong_rig_file_says_what_and_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(text)
    with pytest.raises(RigFileError) as error:
        load_rig(path)
    assert said in str(error.value)
    assert "rig.toml" in str(error.value)


def test_a_rig_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(RigFileError, match="opcua-sequence"):
        find_rig("nowhere")


def test_the_matrix_covers_what_a_line_does_to_a_station() -> None:
    rows = load_matrix()
    assert len(rows) >= 30
    assert {fault.name for fault in rows} == set(scripts()), "every row has its script, every script its row"
    for fault in rows:
        assert fault.needs <= set(WHY_NOT) | {"station process"}, f"{fault.name} needs what no rig can offer"
        for mode, profile in product(MODES, PROFILES):
            expected = fault.expectation(mode, profile)
            assert expected.safe_ms > 0
            assert expected.recover_ms > 0


def test_every_fault_meets_every_protocol_profile_and_mode_or_says_why_not() -> None:
    rigs = [find_rig(name) for name in simulated_rigs()]
    cells = [cell for batch in plan(rigs, MODES, load_matrix()) for cell in batch]
    assert len(cells) == len(load_matrix()) * 6 * 3
    for fault in load_matrix():
        mine = [cell for cell in cells if cell.fault.name == fault.name]
        possible = [c for c in mine if not fault.impossible(c.rig.plc.protocol, c.rig.plc.profile, c.mode)]
        assert possible, f"{fault.name} can exist nowhere"
        assert all(len(why) > 8 for why in fault.skip.values()), f"{fault.name}: a reason is a sentence"


@pytest.mark.parametrize(
    "rows",
    [
        {f"{bit}-ack-{how}" for bit in ("session", "result") for how in ("never", "early")},
        {"session-ack-wrong", "result-ack-stuck"},
        {"trigger-never-released", "trigger-dropped-early", "trigger-pulse-missed", "trigger-before-id"},
        {"result-queue-overrun", "enable-dropped"},
    ],
)
def test_acknowledgements_and_triggers_go_wrong_in_every_way(rows: set[str]) -> None:
    assert rows <= {fault.name for fault in load_matrix()}


def test_a_real_rig_offers_only_what_can_be_done_there() -> None:
    rig = find_rig("real-example")
    assert rig.offers == {"station process", "network shaper"}
