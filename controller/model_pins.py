"""Which version of a model a recipe runs: `model = "name@version"` in recipe.toml, with the history of its changes.

A running station reads recipe.toml whenever a recipe is selected, and judges on with the old model until the new one
is warm: no part is lost. The history lies beside the recipe, so that a rollback needs nothing but these two files.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from controller.config import StationConfig, load_recipe
from controller.errors import ConfigError
from controller.recipe_book import FolderRecipeBook

HISTORY = "model-history.jsonl"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a view's model. undone: the change that this one took back, by its time."""

    at: str
    view: str
    before: str
    after: str
    undone: str = ""


def promote(config: StationConfig, product: str, model: str, view: str = "") -> tuple[Change, ...]:
    """Pin the views that run another version of this model, alone or beside others, to `name@version`; or the one view
    named, whichever model it runs.

    The recipe is loaded as the station loads it, with signature, golden images and catalogue, before the file stays so:
    what the station would refuse never becomes its recipe. Raises ConfigError or ModelError; then nothing is changed.
    """
    folder = _folder(config, product)
    name = model.partition("@")[0]
    views = load_recipe(folder / "recipe.toml").views
    pins = [(v.name, pin) for v in views for pin in (v.model, *v.also_models) if pin.partition("@")[0] == name]
    wanted = [(v.name, v.model) for v in views if v.name == view] if view else pins
    if not wanted:
        cure = f"no view {view or f'runs {name}'}: views are {', '.join(f'{v.name} ({v.model})' for v in views)}"
        raise ConfigError(str(folder / "recipe.toml"), "views", view or name, cure)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    changes = tuple(Change(at, where, pin, model) for where, pin in wanted if pin != model)
    _apply(config, folder, changes)
    return changes


def rollback(config: StationConfig, product: str) -> tuple[Change, ...]:
    """Take back the last change that was not taken back. Raises ConfigError or ModelError; then nothing is changed."""
    folder = _folder(config, product)
    past = history(folder)
    undone = {change.undone for change in past if change.undone}
    last = next((c.at for c in reversed(past) if not c.undone and c.at not in undone), None)
    if last is None:
        raise ConfigError(str(folder / HISTORY), "history", product, "holds no change to take back")
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    changes = tuple(Change(at, c.view, c.after, c.before, undone=last) for c in past if c.at == last and not c.undone)
    _apply(config, folder, changes)
    return changes


def history(folder: Path) -> tuple[Change, ...]:
    """Every change of a recipe's models, oldest first. Raises ConfigError."""
    path = folder / HISTORY
    if not path.exists():
        return ()
    found: list[Change] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found.append(Change(**cast(dict[str, Any], json.loads(line))))
        except (ValueError, TypeError) as error:
            raise ConfigError(str(path), f"line {number}", line[:60], "is no line of the history: remove it") from error
    return tuple(found)


def _folder(config: StationConfig, product: str) -> Path:
    folder = config.station.recipes_dir / product
    if not product or folder.parent != config.station.recipes_dir or not (folder / "recipe.toml").is_file():
        root = str(config.station.recipes_dir)
        raise ConfigError(root, "product", product, "no such recipe: add the folder or choose another")
    return folder


def _apply(config: StationConfig, folder: Path, changes: tuple[Change, ...]) -> None:
    """Change the file, prove that the station can load it, write the history; or put everything back."""
    path = folder / "recipe.toml"
    before = path.read_text(encoding="utf-8")
    text = before
    for change in changes:
        text = _with_model(text, path, change)
    _replace(path, text)
    try:
        loaded = FolderRecipeBook(config).load(0, folder.name)
        for view in loaded.views.values():
            view.inspector.cancel()
    except BaseException:
        _replace(path, before)
        raise
    with (folder / HISTORY).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(change)) + "\n" for change in changes)
        file.flush()
        os.fsync(file.fileno())


def _with_model(text: str, path: Path, change: Change) -> str:
    """The file with one view's model changed, and every other letter as it was."""
    blocks = re.split(r"(?m)^(?=\[\[views\]\])", text)
    name = re.compile(rf'(?m)^\s*name\s*=\s*"{re.escape(change.view)}"')
    pin = re.compile(rf'(?m)^(\s*(?:model|also_models)\s*=.*")({re.escape(change.before)})(")')
    for place, block in enumerate(blocks[1:], 1):
        if name.search(block) and pin.search(block):
            blocks[place] = pin.sub(lambda found: found[1] + change.after + found[3], block, count=1)
            return "".join(blocks)
    cure = f'view {change.view} has no line with model or also_models = "{change.before}": change it by hand'
    raise ConfigError(str(path), f"views.{change.view}.model", change.before, cure)


def _replace(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
