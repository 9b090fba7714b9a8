"""`linegate camera` on the simulated GenTL cameras and on a folder, as a person calls it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from controller.camera_bench import as_blocks, usb_cameras
from controller.cli import main
from controller.sim.workspace import make_workspace
from models.frame import Frame
from models.optics import bands, calibration
from models.optics.poses import POSES
from tests.contract.gentl import GenTLRig, viky
from tests.unit.models.optics.scene import Scene, held, printed


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
    station = station_with(tmp_path / "s", tmp_path / "images")
    picture = tmp_path / "grabbed.png"
    assert main(["camera", "grab", str(station), "--camera", "top", "--out", str(picture)]) == 0
    seen = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
    assert seen is not None and np.array_equal(seen, pixels)
    assert main(["camera", "focus", str(station), "--camera", "top", "--frames", "3"]) == 0
    assert "sharpness" in capfd.readouterr().out
    assert main(["camera", "focus", str(station), "--camera", "top", "--frames", "2", "--json"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["frame"] for line in lines] == [1, 2]
    assert lines[0]["sharpness"] == lines[1]["best"] > 0
    wanted = [str(station), "--camera", "top", "--out", str(picture)]
    assert main(["camera", "grab", *wanted, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["width"] == 96
    assert main(["camera", "preview", *wanted, "--frames", "1", "--terminal"]) == 0
    assert "▀" in capfd.readouterr().out
    assert main(["camera", "grab", str(station), "--camera", "side", "--out", str(picture)]) == 2
    assert "the station has top" in capfd.readouterr().err


def station_with(folder: Path, images: Path) -> Path:
    """A station whose camera "top" plays the pictures of a folder."""
    workspace = make_workspace(folder, name="s", belt="b", plc_address="opc.tcp://127.0.0.1:1/x")
    text = workspace.station.read_text()
    camera = f'kind = "folder"\nname = "top"\nfolder = "{images}"\n'
    workspace.station.write_text(text.replace('name = "top"\nkind = "sim"\nbelt = "b"\n', camera))
    return workspace.station


def target_pictures(folder: Path) -> Scene:
    """The target as a person shows it to a camera of known geometry, each pose twice, as it rests."""
    scene = Scene(width=640, height=400, focal=(1500, 1502), centre=(326, 195))
    surface = printed(scene.target)
    folder.mkdir()
    for number, pose in enumerate((scene, *held(scene, POSES - 1))):
        picture = pose.picture(surface)
        for again in range(2):
            cv2.imwrite(str(folder / f"{number:02d}-{again}.png"), picture)
    return scene


def test_calibrate_prints_a_target_and_calibrates_with_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pdf = tmp_path / "target.pdf"
    assert main(["camera", "calibrate", "--print", str(pdf), "--view-mm", "96"]) == 0
    assert pdf.read_bytes().startswith(b"%PDF")
    assert "--target 14x9x6.5" in " ".join(capfd.readouterr().out.split())
    scene = target_pictures(tmp_path / "shown")
    station, out = station_with(tmp_path / "s", tmp_path / "shown"), tmp_path / "top.calibration.json"
    wanted = ["camera", "calibrate", str(station), "--camera", "top", "--target", str(scene.target), "--out", str(out)]
    assert main([*wanted, "--measured-mm", "40.0", "--keep", str(tmp_path / "kept"), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["mm_per_px"] == pytest.approx(scene.mm_per_px(), rel=0.002)
    assert found["camera"] == "top"
    assert calibration.load(out).pictures == POSES == len(list((tmp_path / "kept").glob("*.png")))
    again = tmp_path / "again.json"
    assert main([*wanted[:-1], str(again), "--from", str(tmp_path / "kept"), "--days", "30"]) == 0
    assert "mm per pixel" in capfd.readouterr().out
    assert calibration.load(again).mm_per_px == pytest.approx(calibration.load(out).mm_per_px, rel=1e-4)


def test_calibrate_says_what_is_missing_or_does_not_do(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["camera", "calibrate", "--target", "14x9x6"]) == 2
    assert "station" in capfd.readouterr().err
    (tmp_path / "none").mkdir()
    wanted = ["camera", "calibrate", "s.toml", "--camera", "top", "--out", str(tmp_path / "x.json")]
    assert main([*wanted, "--target", "14 by 9"]) == 2
    assert main([*wanted, "--target", "14x9x6", "--measured-mm", "8"]) == 2
    assert "80 mm long" in capfd.readouterr().err
    assert main([*wanted, "--target", "14x9x6", "--from", str(tmp_path / "none")]) == 1
    assert "no pictures" in capfd.readouterr().err
    cv2.imwrite(str(tmp_path / "none" / "a.png"), np.full((300, 400), 90, np.uint8))
    assert main([*wanted, "--target", "14x9x6", "--from", str(tmp_path / "none")]) == 1
    assert "a.png should show the target" in capfd.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_learn_writes_the_bands_of_a_view(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rng, images = np.random.default_rng(1), tmp_path / "images"
    images.mkdir()
    for number in range(40):
        cv2.imwrite(str(images / f"{number:02d}.png"), rng.normal(90, 20, (96, 128)).astype(np.uint8))
    station, out = station_with(tmp_path / "s", images), tmp_path / "top.bands.json"
    wanted = ["camera", "learn", str(station), "--camera", "top", "--view", "top", "--out", str(out)]
    assert main([*wanted, "--frames", "35", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["brightness"]["low"] < 90 < found["brightness"]["high"]
    assert bands.load(out).frames == 35
    assert main([*wanted, "--from", str(images)]) == 0
    assert 'bands = "top.bands.json"' in capfd.readouterr().out
    assert main([*wanted, "--frames", "5"]) == 1
    assert "at least 30" in capfd.readouterr().err


def test_a_picture_in_blocks_keeps_its_brightness_and_its_size() -> None:
    pixels = np.zeros((40, 80), np.uint8)
    pixels[:, 40:] = 200
    drawn = as_blocks(Frame("v", pixels, 0, 1, "c"), columns=20, lines=30)
    rows = drawn.splitlines()
    assert [row.count("▀") for row in rows if "▀" in row] == [20] * 5
    assert rows[0].index("38;2;0;0;0") < rows[0].index("38;2;200;200;200")
    assert drawn.count("38;2;200;200;200") == 50


def test_usb_cameras_are_listed_by_their_number(tmp_path: Path) -> None:
    assert usb_cameras(tmp_path / "none") == []
    (tmp_path / "video2").mkdir()
    (tmp_path / "video2" / "name").write_text("HD Webcam: HD Webcam\n")
    (camera,) = usb_cameras(tmp_path)
    assert (camera["serial"], camera["model"]) == ("2", "HD Webcam: HD Webcam")


def test_without_the_genicam_extra_the_message_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "controller.drivers.camera.genicam_survey", None)
    assert main(["camera", "features", "--producer", str(tmp_path / "x.cti")]) == 2
    assert main(["camera", "list", "--producer", str(tmp_path / "x.cti")]) == 2
    assert capfd.readouterr().err.count("pip install linegate[genicam]") == 2
