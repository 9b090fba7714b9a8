"""The recipes folder: listed, added to by a copy with a number of its own, removed from without losing a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from controller.status.vision import recipes
from controller.status.vision.recipes import RecipeFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    washer = tmp_path / "washer"
    washer.mkdir()
    (washer / "recipe.toml").write_text("id = 7\nfallback = 'reject'\n", encoding="utf-8")
    (washer / "catalogue.toml").write_text("x = 1\n", encoding="utf-8")
    return tmp_path


def test_a_recipe_is_listed_with_its_number_and_the_digest_of_both_files(root: Path) -> None:
    (before,) = RecipeFolder(root).entries()
    assert (before.product, before.number) == ("washer", 7)
    (root / "washer" / "catalogue.toml").write_text("x = 2\n", encoding="utf-8")
    (after,) = RecipeFolder(root).entries()
    assert after.digest != before.digest


def test_a_broken_recipe_is_left_out(root: Path) -> None:
    (root / "broken").mkdir()
    (root / "broken" / "recipe.toml").write_text("id = [", encoding="utf-8")
    (root / "broken" / "catalogue.toml").write_text("", encoding="utf-8")
    assert [entry.product for entry in RecipeFolder(root).entries()] == ["washer"]


def test_a_new_recipe_is_a_copy_with_the_next_number(root: Path) -> None:
    entry = RecipeFolder(root).add("ring", "washer")
    assert entry.number == 8
    assert (root / "ring" / "recipe.toml").read_text(encoding="utf-8") == "id = 8\nfallback = 'reject'\n"
    assert not list(root.glob(".*"))


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", ".removed", "x" * 65, "ä"])
def test_a_name_that_could_leave_the_folder_is_refused(root: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a recipe"):
        RecipeFolder(root).add(name, "washer")


def test_only_a_recipe_of_the_folder_is_copied(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    planted = tmp_path_factory.mktemp("elsewhere") / "planted"
    shutil.copytree(root / "washer", planted)
    for like in (str(planted), f"../{planted.parent.name}/planted", "nothing", ""):
        with pytest.raises(FileNotFoundError):
            RecipeFolder(root).add("ring", like)
    assert [entry.product for entry in RecipeFolder(root).entries()] == ["washer"]
    assert not list(root.glob(".*"))


def test_recipes_are_not_added_without_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "MOST_RECIPES", 2)
    RecipeFolder(root).add("ring", "washer")
    with pytest.raises(ValueError, match="2 recipes are enough"):
        RecipeFolder(root).add("disc", "washer")


def test_an_existing_recipe_is_not_written_over(root: Path) -> None:
    with pytest.raises(FileExistsError):
        RecipeFolder(root).add("washer", "washer")


def test_a_removed_recipe_keeps_its_files(root: Path) -> None:
    folder = RecipeFolder(root)
    folder.remove("washer")
    assert folder.entries() == []
    (kept,) = (root / ".removed").iterdir()
    assert (kept / "recipe.toml").is_file()
    with pytest.raises(FileNotFoundError):
        folder.remove("washer")
