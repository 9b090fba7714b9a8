"""A rig that knows its PLC only by an address: here a soft PLC with a running line stands in for the plant."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_tests.cell import Cell
from hil_tests.faults.matrix import load_matrix
from hil_tests.real_rig import redirected
from hil_tests.rig import Rig, RigBroken, RigOptions, State
from hil_tests.rigfile import RigFile, find_rig
from hil_tests.run import run_real_cells


@pytest.mark.timeout(180)
def test_faults_of_the_network_are_provoked_and_others_skipped_with_their_reason(tmp_path: Path) -> None:
    options = RigOptions(rate_ppm=240, parts=100_000, gate_delay_ms=400)
    with Rig(find_rig("opcua-sequence"), tmp_path / "plant", options) as plant:
        plant.bring(State.LINE_UP)
        assert plant.shaper is not None
        rig = RigFile.model_validate(
            {
                "schema": 1,
                "name": "plant",
                "plc": {"kind": "real", "protocol": "opcua", "host": "127.0.0.1", "port": plant.shaper.port},
                "line": {"kind": "real"},
                "station": {"config": plant.workspace.station},
            }
        )
        wanted = ("connection-reset", "station-killed", "camera-black", "disk-slow")
        cells = [Cell(f, rig, "SHADOW") for f in load_matrix() if f.name in wanted]
        done = {cell.fault.name: cell for cell in run_real_cells(cells, tmp_path / "rig", lambda _: None)}
    for name in ("connection-reset", "station-killed"):
        assert done[name].result == "passed", done[name].complaints
        assert done[name].recover_ms is not None
    assert "simulated" in done["camera-black"].skipped
    assert done["disk-slow"].skipped


def test_the_station_is_pointed_at_the_relay() -> None:
    url = 'endpoint = "opc.tcp://192.0.2.10:4840/plc"'
    assert redirected(url, "192.0.2.10", 4840, 5000) == 'endpoint = "opc.tcp://127.0.0.1:5000/plc"'
    apart = 'host = "192.0.2.10"\nport = 502\n'
    assert redirected(apart, "192.0.2.10", 502, 5000) == 'host = "127.0.0.1"\nport = 5000\n'
    with pytest.raises(RigBroken, match="does not name the PLC"):
        redirected(url, "192.0.2.11", 4840, 5000)
