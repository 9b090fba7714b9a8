"""`linegate check`: everything that a station will read, read beforehand. There is no start-anyway mode."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from controller.config import ConfigErrors, RecipeConfig, StationConfig, ViewSection, load_recipe, load_station
from controller.config_views import camera_problems
from controller.errors import ConfigError
from controller.exit_codes import CONFIG_ERROR
from controller.plc_links import plc_addresses
from controller.status.security.users import UsersFile
from models.catalogue import Catalogue, load_catalogue
from models.errors import ModelRejected
from models.optics import bands, calibration
from models.package import open_package


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a person must mend."""

    file: str
    key: str
    value: str
    cure: str


def run_check(station: Path, *, as_json: bool) -> int:
    """Print what is wrong. Returns 0 when nothing is, else 2."""
    problems = list(check_station(station))
    if as_json:
        sys.stdout.write(json.dumps([asdict(problem) for problem in problems], indent=2) + "\n")
    elif problems:
        table = Table("file", "key", "value", "cure", title=f"{len(problems)} to mend")
        for problem in problems:
            table.add_row(problem.file, problem.key, problem.value, problem.cure)
        Console().print(table)
    else:
        Console().print(f"{station}: fine")
    return CONFIG_ERROR if problems else 0


def check_station(path: Path) -> Iterator[Problem]:
    """Everything that is wrong with a station and what it names."""
    try:
        config = load_station(path)
    except ConfigErrors as errors:
        yield from _listed(errors)
        return
    yield from _check_tags(config, path)
    yield from _check_folders(config, path)
    yield from _check_people(config)
    seen: dict[int, Path] = {}
    files = sorted(config.station.recipes_dir.glob("*/recipe.toml"))
    if not (config.station.recipes_dir / config.station.initial_recipe / "recipe.toml").is_file():
        known = ", ".join(file.parent.name for file in files) or "none"
        cure = f"no such recipe in {config.station.recipes_dir}; there are: {known}"
        yield Problem(str(path), "station.initial_recipe", config.station.initial_recipe, cure)
    for file in files:
        try:
            recipe = load_recipe(file)
        except ConfigErrors as errors:
            yield from _listed(errors)
            continue
        if recipe.id in seen:
            yield Problem(str(file), "id", str(recipe.id), f"{seen[recipe.id]} has it already: choose another number")
        seen[recipe.id] = file
        yield from _check_recipe(config, recipe, file)


def _listed(errors: ConfigErrors) -> Iterator[Problem]:
    for error in errors.problems:
        yield Problem(error.file, error.key, str(error.value), error.cure)


def _check_tags(config: StationConfig, path: Path) -> Iterator[Problem]:
    """Addresses that no PLC can have; whether this PLC has them is for `linegate plc probe`."""
    try:
        plc_addresses(config.plc)
    except ConfigError as error:
        yield Problem(str(path), f"plc.tags ({error.key})", str(error.value), error.cure)


def _check_folders(config: StationConfig, path: Path) -> Iterator[Problem]:
    data, budget = config.station.data_dir, config.images.budget_mb
    for key, folder in (("recipes_dir", config.station.recipes_dir), ("packages_dir", config.station.packages_dir)):
        if not folder.is_dir():
            yield Problem(str(path), f"station.{key}", str(folder), "is not a folder: create it or correct the path")
    try:
        data.mkdir(parents=True, exist_ok=True)
        probe = data / ".write-probe"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        yield Problem(str(path), "station.data_dir", str(data), f"cannot be written to: {error.strerror}")
        return
    free_mb = shutil.disk_usage(data).free // 1_000_000
    kept_mb = sum(file.stat().st_size for file in config.images_path.rglob("*.*")) // 1_000_000
    if free_mb + kept_mb < budget:
        cure = f"only {free_mb} MB are free on that disk: lower the budget or make room"
        yield Problem(str(path), "images.budget_mb", str(budget), cure)


def _check_people(config: StationConfig) -> Iterator[Problem]:
    """The users file, and the certificate where it is not the station's own make."""
    if not config.status.enabled:
        return
    try:
        UsersFile(config.users_path).accounts()
    except ConfigError as error:
        yield Problem(error.file, error.key, str(error.value), error.cure)
    for key in ("certificate", "private_key"):
        path = getattr(config.status, key)
        if path is not None and not path.is_file():
            yield Problem(str(path), f"status.{key}", path.name, "no such file: correct the path, or remove both keys")


def _check_recipe(config: StationConfig, recipe: RecipeConfig, file: Path) -> Iterator[Problem]:
    catalogues: dict[str, Catalogue] = {}
    for name in sorted({view.catalogue for view in recipe.views}):
        try:
            catalogues[name] = load_catalogue(file.parent / name)
        except ModelRejected as error:
            yield _rejected(error)
            continue
        if catalogues[name].product != recipe.product:
            cure = f"the recipe beside it is for {recipe.product}: both must be the same"
            yield Problem(str(file.parent / name), "product", catalogues[name].product, cure)
    cameras = [camera.name for camera in config.cameras]
    for index, key, value, cure in camera_problems(recipe.views, cameras, config.join_windows_ms):
        yield Problem(str(file), f"views.{index}.{key}", str(value), cure)
    for view in recipe.views:
        yield from _check_view_files(view, file.parent)
        for reference in (view.model, *view.also_models):
            yield from _check_model(config, reference, catalogues.get(view.catalogue))


def _check_model(config: StationConfig, reference: str, catalogue: Catalogue | None) -> Iterator[Problem]:
    name, _, version = reference.partition("@")
    try:
        package = open_package(
            config.station.packages_dir,
            name,
            version,
            trusted_keys=[bytes.fromhex(key) for key in config.inference.trusted_keys],
            require_signature=config.inference.require_signature,
        )
        if catalogue is not None:
            catalogue.check_classes(package.manifest.defect_classes, str(package.folder / "manifest.json"))
    except ModelRejected as error:
        yield _rejected(error)


def _check_view_files(view: ViewSection, folder: Path) -> Iterator[Problem]:
    """Calibration and image bands, where the view names them."""
    for name, load in ((view.calibration, calibration.load), (view.image.bands, bands.load)):
        try:
            if name is not None:
                load(folder / name)
        except ModelRejected as error:
            yield _rejected(error)


def _rejected(error: ModelRejected) -> Problem:
    return Problem(error.file, error.key, str(error.value), error.cure)
