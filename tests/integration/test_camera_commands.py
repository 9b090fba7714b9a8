"""`linegate camera` on the simulated GenTL cameras and on a folder, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from controller.cli import main
from controller.sim.workspace import make_workspace
from tests.contract.gentl import GenTLRig, viky


def test_list_shows_the_cameras_of_every_producer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rig = GenTLRig(tmp_path)
    assert main(["camera", "list", "--producer", rig.producer, "--producer", str(viky()), "--json"]) == 0
    out = capfd.readouterr().out
    found = json.loads(out[out.index("[") :])
    assert {camera["serial"] for camera in found} == {"TOP", "SIDE", "0", "1", "2"}


def test_features_show_range_and_choices(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rig = GenTLRig(tmp_path)
    assert main(["camera", "features", "--producer", rig.producer, "--device", "SIDE", "--json"]) == 0
    out = capfd.readouterr().out
    found = {feature["name"]: feature for feature in json.loads(out[out.index("[") :])}
    assert found["ExposureTime"]["allowed"] == "10 to 1e+06 us"
    assert "Mono12p" in found["PixelFormat"]["allowed"]
    assert found["Width"]["value"] == "320"
    assert not found["DeviceSerialNumber"]["writable"]


def test_what_is_not_there_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rig = GenTLRig(tmp_path)
    assert main(["camera", "features", "--producer", rig.producer, "--device", "NONE"]) == 3
    assert "TOP, SIDE" in capfd.readouterr().err
    fake = tmp_path / "fake.cti"
    fake.write_bytes(b"no library")
    assert main(["camera", "list", "--producer", str(fake)]) == 2
    assert "fake.cti" in capfd.readouterr().err


def test_grab_and_focus_on_a_stations_camera(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (64, 96), np.uint8)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), pixels)
    workspace = make_workspace(tmp_path / "s", name="s", belt="b", plc_address="opc.tcp://127.0.0.1:1/x")
    text = workspace.station.read_text()
    camera = f'kind = "folder"\nname = "top"\nfolder = "{tmp_path / "images"}"\n'
    workspace.station.write_text(text.replace('name = "top"\nkind = "sim"\nbelt = "b"\n', camera))
    picture = tmp_path / "grabbed.png"
    assert main(["camera", "grab", str(workspace.station), "--camera", "top", "--out", str(picture)]) == 0
    assert np.array_equal(cv2.imread(str(picture), cv2.IMREAD_UNCHANGED), pixels)
    assert main(["camera", "focus", str(workspace.station), "--camera", "top", "--frames", "3"]) == 0
    assert "sharpness" in capfd.readouterr().out
    assert main(["camera", "grab", str(workspace.station), "--camera", "side", "--out", str(picture)]) == 2
    assert "the station has top" in capfd.readouterr().err
