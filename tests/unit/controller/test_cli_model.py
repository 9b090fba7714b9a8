"""`linegate model`: sign, verify, list, show, diff; promote and rollback change one line of the recipe, or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from controller.cli import main
from controller.config import load_recipe
from controller.sim.workspace import PACKAGES, make_workspace
from models.package import MANIFEST, write_package

NAME = "sim-washer"


def other_version(packages: Path, version: str, **changes: Any) -> Path:
    """A copy of the washer's model as another version."""
    folder = packages / NAME / version
    shutil.copytree(packages / NAME / "1.0.0", folder)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    del manifest["files"]
    write_package(folder, {**manifest, "version": version, **changes})
    return folder


@pytest.fixture
def station(tmp_path: Path) -> Path:
    """A washer's station with packages of its own: 1.0.0, 1.1.0, and a 2.0.0 that its catalogue does not know."""
    made = make_workspace(
        tmp_path / "station", name="s1", belt="b", plc_address="opc.tcp://127.0.0.1:4840/plc", image_budget_mb=10
    )
    shutil.copytree(PACKAGES / NAME, tmp_path / "packages" / NAME)
    other_version(tmp_path / "packages", "1.1.0", notes="better")
    classes = json.loads((PACKAGES / NAME / "1.0.0" / MANIFEST).read_text(encoding="utf-8"))["classes"]
    other_version(tmp_path / "packages", "2.0.0", classes=[*classes[:-1], "unheard_of"])
    path = made.station
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(str(PACKAGES), str(tmp_path / "packages")), encoding="utf-8")
    return path


def recipe(station: Path) -> Path:
    return station.parent / "recipes" / "washer" / "recipe.toml"


def run(*words: str | Path) -> int:
    return main(["model", *map(str, words)])


def test_promoted_and_rolled_back_to_the_letter(station: Path) -> None:
    before = recipe(station).read_text(encoding="utf-8")
    assert run("promote", f"{NAME}@1.1.0", "--product", "washer", "--station", station) == 0
    assert load_recipe(recipe(station)).views[0].model == f"{NAME}@1.1.0"
    assert recipe(station).read_text(encoding="utf-8") == before.replace("@1.0.0", "@1.1.0"), "comments stay"
    assert run("rollback", "--product", "washer", "--station", station) == 0
    assert recipe(station).read_text(encoding="utf-8") == before
    assert run("rollback", "--product", "washer", "--station", station) == 2, "there is nothing more to take back"


def test_rollbacks_go_back_one_by_one(station: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other_version(station.parent.parent / "packages", "1.2.0")
    for version in ("1.1.0", "1.2.0"):
        assert run("promote", f"{NAME}@{version}", "--product", "washer", "--station", station) == 0
    for expected in ("1.1.0", "1.0.0"):
        assert run("rollback", "--product", "washer", "--station", station) == 0
        assert load_recipe(recipe(station)).views[0].model == f"{NAME}@{expected}"
    assert "-> sim-washer@1.0.0" in capsys.readouterr().out


def test_a_model_beside_the_first_is_promoted_too(station: Path) -> None:
    shutil.copytree(station.parent.parent / "packages" / NAME, station.parent.parent / "packages" / "second")
    for version in ("1.0.0", "1.1.0"):
        folder = station.parent.parent / "packages" / "second" / version
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        del manifest["files"]
        write_package(folder, {**manifest, "name": "second"})
    text = recipe(station).read_text(encoding="utf-8")
    line = f'model = "{NAME}@1.0.0"'
    recipe(station).write_text(text.replace(line, f'{line}\nalso_models = ["second@1.0.0"]'), encoding="utf-8")
    assert run("promote", "second@1.1.0", "--product", "washer", "--station", station) == 0
    view = load_recipe(recipe(station)).views[0]
    assert (view.model, view.also_models) == (f"{NAME}@1.0.0", ("second@1.1.0",))


@pytest.mark.parametrize(
    ("model", "said"), [(f"{NAME}@2.0.0", "unheard_of"), (f"{NAME}@9.0.0", "cannot be read"), ("bolt@1.0.0", "no view")]
)
def test_what_the_station_would_refuse_changes_nothing(
    station: Path, model: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = recipe(station).read_text(encoding="utf-8")
    assert run("promote", model, "--product", "washer", "--station", station) in (1, 2)
    assert said in capsys.readouterr().err
    assert recipe(station).read_text(encoding="utf-8") == before
    assert not (recipe(station).parent / "model-history.jsonl").exists()


def test_unknown_recipe_is_named(station: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rollback", "--product", "../washer", "--station", station) == 2
    assert "no such recipe" in capsys.readouterr().err


def test_signed_verified_and_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(PACKAGES / NAME, tmp_path / "packages" / NAME)
    folder = tmp_path / "packages" / NAME / "1.0.0"
    assert run("key", tmp_path / "key.pem") == 0
    public = capsys.readouterr().out.strip()
    assert run("sign", folder, "--key", tmp_path / "key.pem") == 0
    assert run("verify", folder, "--trusted", public, "--json") == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["signed"] is True
    assert run("verify", folder, "--trusted", "00" * 32) == 1
    assert "none of the trusted keys" in capsys.readouterr().err
    content = bytearray((folder / "int8.bin").read_bytes())
    content[7] ^= 1
    (folder / "int8.bin").write_bytes(content)
    assert run("verify", folder, "--trusted", public) == 1
    assert "another content" in capsys.readouterr().err


def test_list_and_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(PACKAGES / NAME, tmp_path / NAME)
    other_version(tmp_path, "1.10.0", notes="newer")
    broken = other_version(tmp_path, "1.9.0")
    (broken / "int8.xml").unlink()
    assert run("list", tmp_path, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["version"] for row in rows] == ["1.0.0", "1.9.0", "1.10.0"]
    assert rows[1]["hash"] is None and "is missing" in rows[1]["refused"]
    assert run("diff", tmp_path / NAME / "1.0.0", tmp_path / NAME / "1.10.0", "--json") == 0
    changed = {key: new for key, _, new in json.loads(capsys.readouterr().out)}
    assert changed.keys() == {"notes", "version"} and changed["version"] == "1.10.0"
