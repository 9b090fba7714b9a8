"""[plc] kind = "modbus": what is written there reaches the driver, and what cannot work is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.check import check_station
from controller.config import load_station
from controller.config_plc import ModbusPlcConfig
from controller.drivers.plc.modbus_layout import RegisterMap
from controller.plc_links import modbus_registers
from controller.sim.workspace import Workspace, make_workspace
from tests.unit.controller.test_check import replace_in


@pytest.fixture(params=["modbus", "modbus-server"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    return make_workspace(
        tmp_path / "station",
        name="s1",
        belt="b",
        plc_address="127.0.0.1:1502",
        protocol=request.param,
        image_budget_mb=10,
    )


def test_the_workspace_itself_is_fine(workspace: Workspace) -> None:
    assert list(check_station(workspace.station)) == []


def test_every_key_reaches_the_layout(workspace: Workspace) -> None:
    keys = """port = 1502
part_id = "string"
depth = 16

[plc.registers]
plc_to_station = 100
station_to_plc = 2000
word_order = "little"
string_order = "little"
part_id_chars = 20
"""
    replace_in(workspace.station, "port = 1502\n", keys)
    plc = load_station(workspace.station).plc
    assert isinstance(plc, ModbusPlcConfig)
    assert modbus_registers(plc) == RegisterMap(100, 2000, "little", "little", "string", 20, 16, "sequence")


@pytest.mark.parametrize(
    ("new", "key", "cure"),
    [
        ("port = 70000", "plc.port", "65535"),
        ('port = 502\nmasters = ["plc1"]', "plc.masters", "does not appear to be an IPv4 or IPv6 address"),
        ("port = 502\nunit_id = 256", "plc.unit_id", "255"),
        ('port = 502\nendpoint = "x"', "plc.endpoint", "is not a known key"),
        ('port = 502\n[plc.registers]\nword_order = "middle"', "plc.registers.word_order", "'big' or 'little'"),
    ],
)
def test_a_broken_key_is_named(workspace: Workspace, new: str, key: str, cure: str) -> None:
    replace_in(workspace.station, "port = 1502", new)
    problems = list(check_station(workspace.station))
    assert [problem.key for problem in problems] == [key]
    assert cure in problems[0].cure
