"""Rig files and the matrix as data: what is wrong is named, what is right covers what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_tests.faults.matrix import load_matrix
from hil_tests.faults.scripts import scripts
from hil_tests.rigfile import MODES, RigFileError, find_rig, known_rigs, load_rig
from hil_tests.run import WHY_NOT


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
        for mode in MODES:
            expected = fault.expectation(mode)
            assert expected.safe_ms > 0
            assert expected.recover_ms > 0


def test_a_real_rig_offers_only_what_can_be_done_there() -> None:
    rig = find_rig("real-example")
    assert rig.offers == {"station process", "network shaper"}
