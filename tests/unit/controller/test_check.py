"""Broken configuration: each message names file, key, value and cure, and the station refuses to start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from controller.check import check_station
from controller.cli import main
from controller.sim.workspace import PACKAGES, Workspace, make_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(
        tmp_path / "station", name="s1", belt="b", plc_address="opc.tcp://127.0.0.1:4840/plc", image_budget_mb=10
    )


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


STATION, RECIPE, CATALOGUE = "station.toml", "recipes/washer/recipe.toml", "recipes/washer/catalogue.toml"

PATTERN = 'pattern = "ns=2;s=Linegate.{tag}"'
SECURITY = [
    ('policy = "Basic256"', ("plc.security.policy", "Basic256", "Basic256Sha256")),
    ('password = "secret"', ("plc.security", "station.toml", "does not belong in this file")),
    ('user_name = "linegate"', ("plc.security", "station.toml", "needs password_file or password_env")),
    ('password_env = "P"', ("plc.security", "station.toml", "needs a user_name")),
    ('user_name = "u"\npassword_env = "P"\npassword_file = "p"', ("plc.security", "station.toml", "keep one")),
    ('certificate = "c.der"', ("plc.security", "station.toml", "certificate and private_key belong together")),
    ('user_certificate = "c"\nuser_key = "k"', ("plc.security", "station.toml", "needs a policy")),
]

PROFILE = 'profile = "sequence"'
FOUR_PHASE = 'profile = "four-phase"\n'

BROKEN = [
    (STATION, "schema = 1", "schema = 2", "schema", "2", "schema = 1"),
    (STATION, 'name = "s1"', 'name = "s 1/x"', "station.name", "s 1/x", "pattern"),
    (STATION, 'data_dir = "data"', 'data_dri = "data"', "station.data_dri", "data", "did you mean data_dir"),
    (STATION, 'data_dir = "data"', "", "station.data_dir", "None", "add it"),
    (STATION, 'initial_mode = "AUTO_REJECT"', 'initial_mode = "REJECT"', "station.initial_mode", "REJECT", "SHADOW"),
    (STATION, 'initial_recipe = "washer"', 'initial_recipe = "bolt"', "station.initial_recipe", "bolt", "washer"),
    (STATION, "divert_lane = false", 'divert_lane = "maybe"', "station.divert_lane", "maybe", "boolean"),
    (STATION, "poll_ms = 2.0", "poll_ms = 0.01", "plc.poll_ms", "0.01", "greater than or equal to 0.5"),
    (STATION, "poll_ms = 2.0", "poll_ms = nan", "plc.poll_ms", "nan", "finite"),
    (STATION, "poll_ms = 2.0", "depth = 6", "plc.depth", "6", "8"),
    (STATION, "poll_ms = 2.0", "max_in_flight = 8", "plc", "station.toml", "at most depth - 1 = 7"),
    (STATION, PROFILE, FOUR_PHASE + "max_in_flight = 9", "plc", "station.toml", "at most depth = 8"),
    (STATION, "poll_ms = 2.0", "trigger_pulse_ms = 40", "plc", "station.toml", "TriggerSeq is no pulse"),
    (STATION, PROFILE, FOUR_PHASE + "trigger_pulse_ms = -1", "plc.trigger_pulse_ms", "-1", "0"),
    (STATION, "poll_ms = 2.0", "plc_lost_ms = 100", "plc", "station.toml", "twice request_timeout_ms"),
    (STATION, "opc.tcp://127.0.0.1:4840/plc", "http://plc", "plc.endpoint", "http://plc", "pattern"),
    (STATION, "Linegate.{tag}", "Linegate.tag", "plc.tags.pattern", "Linegate.tag", "{tag}"),
    (STATION, PATTERN, f'{PATTERN}\nstyle = "siemens"', "plc.tags", "station.toml", "exclude each other"),
    (STATION, PATTERN, f'{PATTERN}\nroot = "GVL"', "plc.tags", "station.toml", "{root}"),
    (STATION, PATTERN, 'style = "omron"', "plc.tags.style", "omron", "siemens"),
    (STATION, PATTERN, 'pattern = "{tag}"', "plc.tags (TriggerSeq)", "TriggerSeq", "ns=2;s=Name"),
    (STATION, PATTERN, f'{PATTERN}\noverrides = {{ Reddy = "i=1" }}', "plc.tags (Reddy)", "i=1", "check the name"),
    *((STATION, PATTERN, f"{PATTERN}\n[plc.security]\n{lines}", *found) for lines, found in SECURITY),
    (STATION, "opc.tcp://127", "opc.tcp://me:secret@127", "plc.endpoint", "me:secret", "pattern"),
    (STATION, 'kind = "opcua"', 'kind = "profinet"', "plc.kind", "profinet", "opcua"),
    (STATION, 'kind = "sim"', 'kind = "webcam"', "cameras.0.kind", "webcam", "folder"),
    (STATION, 'belt = "b"', 'belt = ""', "cameras.0.belt", "", "at least 1"),
    (STATION, "budget_mb = 10", "budget_mb = 0", "images.budget_mb", "0", "greater than or equal to 1"),
    (STATION, "budget_mb = 10", "budget_mb = 999999999999", "images.budget_mb", "999999999999", "free on that disk"),
    (STATION, 'ok = "jpeg"', 'ok = "gif"', "images.ok", "gif", "jpeg"),
    (STATION, "[logs]", "[lgos]", "lgos", "level", "did you mean logs"),
    (STATION, "[station]", "[station", "syntax", "station.toml", "valid TOML"),
    (RECIPE, 'fallback = "reject"', "", "fallback", "None", "no default"),
    (RECIPE, 'fallback = "reject"', 'fallback = "ignore"', "fallback", "ignore", "no default"),
    (RECIPE, 'fallback = "reject"', 'fallback = "pass"', "file", "recipe.toml", "stop_after_passes"),
    (RECIPE, "capture_window_ms = 40", "capture_window_ms = 90", "file", "recipe.toml", "at most deadline_ms = 80"),
    (RECIPE, "deadline_ms = 80", "deadline_ms = 1", "deadline_ms", "1", "greater than or equal to 5"),
    (RECIPE, 'product = "washer"', 'product = "bolt"', "product", "bolt", "washer"),
    (RECIPE, 'camera = "top"', 'camera = "side"', "views.0.camera", "side", "top"),
    (RECIPE, "sim-washer@1.0.0", "sim-washer@9.9.9", "file", "sim-washer@9.9.9", "cannot be read"),
    (RECIPE, "sim-washer@1.0.0", "sim-washer", "views.0.model", "sim-washer", "pattern"),
    (RECIPE, "mm_per_px = 0.05", "mm_per_px = -1", "views.0.mm_per_px", "-1", "greater than 0"),
    (RECIPE, "mm_per_px = 0.05", "mm_per_px = 0.05\nroi = [0, 0, 1, 1]", "views.0.roi", "1", "from 8"),
    (RECIPE, 'camera = "top"', 'camera = "top"\npolicy = "redundant"', "views.0", "recipe.toml", "belong together"),
    (RECIPE, 'camera = "top"', 'camera = "top"\npolicy = "optional"', "file", "recipe.toml", "no view is required"),
    (RECIPE, 'camera = "top"', 'camera = "top"\npolicy = "spare"', "views.0.policy", "spare", "redundant"),
    (RECIPE, 'camera = "top"', 'camera = "top"\ntrigger_delay_ms = -1', "trigger_delay_ms", "-1", "0 or more"),
    (RECIPE, 'camera = "top"', 'camera = "top"\nalso_models = ["m@1.0.0"]', "file", "m@1.0.0", "cannot be read"),
    (RECIPE, "mm_per_px = 0.05", "", "views.0", "recipe.toml", "either mm_per_px or calibration"),
    (RECIPE, "mm_per_px = 0.05", 'calibration = "top.json"', "views.0", "recipe.toml", "remove it here"),
    (RECIPE, "mm_per_px = 0.05", 'calibration = "../top.json"', "views.0.calibration", "../top.json", "pattern"),
    (CATALOGUE, 'product = "washer"', 'product = "bolt"', "product", "bolt", "washer"),
    (CATALOGUE, 'name = "crack"', 'name = "tear"', "classes", "crack", "add this defect type"),
    (CATALOGUE, 'measure = "area"', 'measure = "volume"', "measure", "volume", "area"),
]


def test_the_workspace_itself_is_fine(workspace: Workspace) -> None:
    assert list(check_station(workspace.station)) == []
    assert main(["check", str(workspace.station)]) == 0


def test_a_views_own_catalogue_is_read(workspace: Workspace) -> None:
    replace_in(workspace.folder / RECIPE, 'camera = "top"', 'camera = "top"\ncatalogue = "own.toml"')
    (problem,) = check_station(workspace.station)
    assert (Path(problem.file).name, "cannot be read" in problem.cure) == ("own.toml", True)
    shutil.copy(workspace.folder / CATALOGUE, workspace.folder / CATALOGUE.replace("catalogue", "own"))
    assert list(check_station(workspace.station)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "value", "cure"), BROKEN, ids=[f"{b[0].split('/')[-1]}:{b[2][:28]}" for b in BROKEN]
)
def test_a_broken_file_is_named_with_key_value_and_cure(
    workspace: Workspace, file: str, old: str, new: str, key: str, value: str, cure: str
) -> None:
    replace_in(workspace.folder / file, old, new)
    problems = list(check_station(workspace.station))
    assert problems
    found = [p for p in problems if key in p.key and value in p.value and cure in p.cure]
    assert found, f"no problem names {key} = {value}: {cure}; there are {problems}"
    # A package's file is named where the package is what cannot be read.
    assert Path(found[0].file).name in (Path(file).name, "manifest.json")


def test_two_recipes_with_one_number(workspace: Workspace) -> None:
    recipes = workspace.folder / "recipes"
    shutil.copytree(recipes / "washer", recipes / "bolt")
    for name in ("recipe.toml", "catalogue.toml"):
        replace_in(recipes / "bolt" / name, 'product = "washer"', 'product = "bolt"')
    (problem,) = check_station(workspace.station)
    assert (problem.key, problem.value) == ("id", "1")


def test_a_tampered_model_package_is_found(workspace: Workspace, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    shutil.copytree(PACKAGES, packages)
    replace_in(workspace.station, str(PACKAGES.resolve()), str(packages))
    assert list(check_station(workspace.station)) == []
    with (packages / "sim-washer" / "1.0.0" / "int8.bin").open("r+b") as graph:
        graph.write(b"boo")
    (problem,) = check_station(workspace.station)
    assert (problem.key, problem.value) == ("files", "int8.bin")


def test_check_speaks_json_and_exits_with_2(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    replace_in(workspace.folder / RECIPE, 'fallback = "reject"', "")
    assert main(["check", str(workspace.station), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)
    assert problem["key"] == "fallback"
    assert problem["file"].endswith("recipe.toml")


def test_run_refuses_a_broken_station(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    replace_in(workspace.station, "schema = 1", "schema = 3")
    assert main(["run", str(workspace.station), "--once"]) == 2
    assert "schema" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (problem,) = check_station(tmp_path / "nowhere.toml")
    assert problem.key == "file"
    assert "nowhere.toml" in problem.file


@pytest.mark.parametrize("command", ["run", "check", "demo", "parts", "plc"])
def test_every_command_helps_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "example" in capsys.readouterr().out.lower()
