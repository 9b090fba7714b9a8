"""`linegate plc tags`: the list that an engineer types from, in every brand's words."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_iec61131_3_st

from controller.cli import main
from controller.drivers.plc.tags import FOUR_PHASE, SEQUENCE, TAG_SETS, Profile
from controller.plc_commands.tag_list import tag_rows
from controller.sim.workspace import make_workspace


def output(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["plc", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("brand", "types"),
    [
        ("siemens", {"DInt", "Bool", "Real"}),
        ("rockwell", {"DINT", "BOOL", "REAL"}),
        ("beckhoff", {"DINT", "BOOL", "REAL"}),
        ("codesys", {"DINT", "BOOL", "REAL"}),
        ("schneider", {"DINT", "BOOL", "REAL"}),
    ],
)
@pytest.mark.parametrize("profile", ["sequence", "four-phase"])
def test_csv_lists_every_tag_once(
    capsys: pytest.CaptureFixture[str], brand: str, types: set[str], profile: Profile
) -> None:
    words = ("tags", "--brand", brand, "--protocol", "opcua", "--profile", profile, "--depth", "4", "--csv")
    rows = list(csv.DictReader(io.StringIO(output(capsys, *words))))
    assert [row["name"] for row in rows] == list(TAG_SETS[profile].names(4))
    assert {row["type"] for row in rows} == types
    assert len({row["address"] for row in rows}) == len(rows)


def test_json_of_siemens_with_names_for_parts(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(output(capsys, "tags", "--brand", "siemens", "--part-id", "string", "--json"))
    (part,) = (row for row in rows if row["name"] == "Trigger[3].PartId")
    assert part["address"] == 'nsu=http://www.siemens.com/simatic-s7-opcua;s="DB_Linegate"."Trigger"[3]."PartId"'
    assert (part["type"], part["direction"], part["needed"]) == ("String[32]", "PLC → station", "yes")


def test_a_station_gives_its_own_addresses(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = make_workspace(tmp_path, name="s", belt="b", plc_address="opc.tcp://127.0.0.1:4840", profile="four-phase")
    rows = json.loads(output(capsys, "tags", str(made.station), "--brand", "beckhoff", "--json"))
    assert [row["name"] for row in rows] == list(FOUR_PHASE.names(8))
    assert rows[0]["address"] == "ns=2;s=Linegate.Trigger"
    # An option says otherwise for this list only; max_in_flight follows depth.
    rows = json.loads(output(capsys, "tags", str(made.station), "--profile", "sequence", "--depth", "2", "--json"))
    assert [row["name"] for row in rows] == list(SEQUENCE.names(2))


def test_the_table_folds_rings_and_keeps_their_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    table = " ".join(output(capsys, "tags", "--brand", "codesys").split())
    assert "every address begins with nsu=CODESYSSPV3/3S/IecVarAccess;s=|var|PLC.Application.GVL.Linegate." in table
    assert "Trigger[i].Seq" in table
    assert "Result[i].ResultSeq" in table
    assert "Trigger[1].Seq" not in table


def test_schneider_counts_registers_from_mw0() -> None:
    addresses = dict.fromkeys(FOUR_PHASE.names(1), "")
    addresses |= {"Trigger": "40001", "PlcClockMs": "41001-41002", "Enable": "465536", "Ready": "Linegate.Ready"}
    rows = {row.name: row.address for row in tag_rows(FOUR_PHASE, 1, addresses, "schneider", "int")}
    assert (rows["Trigger"], rows["PlcClockMs"], rows["Enable"]) == ("%MW0", "%MW1000", "%MW65535")
    assert rows["Ready"] == "Linegate.Ready"
    rows = {row.name: row.address for row in tag_rows(FOUR_PHASE, 1, addresses, "siemens", "int")}
    assert rows["PlcClockMs"] == "41001-41002"


@pytest.mark.parametrize("brand", ["beckhoff", "codesys", "schneider"])
@pytest.mark.parametrize("profile", ["sequence", "four-phase"])
@pytest.mark.parametrize("part_id", ["int", "string"])
def test_structured_text_parses_and_declares_every_tag(
    capsys: pytest.CaptureFixture[str], brand: str, profile: Profile, part_id: str
) -> None:
    words = ("tags", "--brand", brand, "--profile", profile, "--depth", "16", "--part-id", part_id, "--format", "st")
    source = output(capsys, *words, "--protocol", "opcua")
    assert source.isascii()
    # The grammar knows neither the brands' attribute pragmas nor Schneider's way to write a text's length.
    plain = re.sub(r"\{attribute [^}]*\}", "", source).replace("STRING[32]", "STRING(32)")
    tree = tree_sitter.Parser(tree_sitter.Language(tree_sitter_iec61131_3_st.language())).parse(plain.encode())
    assert not tree.root_node.has_error, tree.root_node
    assert _members(source) == _fields(profile)
    assert ("ARRAY [0..15] OF LG_ResultSlot" in source) == (profile == "sequence")
    assert ("STRING" in source) == (part_id == "string")


@pytest.mark.parametrize("profile", ["sequence", "four-phase"])
def test_scl_declares_every_tag(capsys: pytest.CaptureFixture[str], profile: Profile, tmp_path: Path) -> None:
    target = tmp_path / "DB_Linegate.scl"
    assert output(capsys, "tags", "--profile", profile, "--depth", "4", "--format", "scl", "--out", str(target)) == ""
    source = target.read_text(encoding="utf-8")
    assert source.isascii()
    for opening, closing in (("TYPE ", "END_TYPE"), ("STRUCT\n", "END_STRUCT;"), ("DATA_BLOCK ", "END_DATA_BLOCK")):
        assert len(re.findall(rf"(?m)^\s*{opening}", source)) == source.count(closing) > 0
    assert _members(source) == _fields(profile)
    assert ('Trigger : Array[0..3] of "LG_TriggerSlot";' in source) == (profile == "sequence")
    # Every structure is declared before the block that uses it.
    for used in re.findall(r'"(LG_\w+)";', source):
        assert source.index(f'TYPE "{used}"') < source.index('DATA_BLOCK "DB_Linegate"')


def _fields(profile: Profile) -> list[str]:
    return sorted(tag.name.rpartition(".")[2] for tag in TAG_SETS[profile].tags)


def _members(source: str) -> list[str]:
    """Names of the declared values: those of a plain type."""
    found = re.findall(r"(?im)^\s*(\w+) : (?:dint|bool|real|string[\[(]\d+[\])]);", source)
    return sorted(found)


def test_a_protocol_that_the_file_already_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = make_workspace(tmp_path, name="s", belt="b", plc_address="opc.tcp://127.0.0.1:4840")
    assert main(["plc", "tags", str(made.station), "--protocol", "opcua"]) == 2
    assert "leave out one of both" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["watch", "probe", "tags"])
def test_a_broken_file_exits_with_2(capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str) -> None:
    (tmp_path / "station.toml").write_text("schema = 1", encoding="utf-8")
    assert main(["plc", verb, str(tmp_path / "station.toml")]) == 2
    assert "plc" in capsys.readouterr().err
