"""Recipes from the recipes folder: read, checked, compiled and warmed up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from controller.config import RecipeConfig, StationConfig, ViewSection, load_recipe, recipe_hash, to_facts
from controller.config_views import camera_problems
from controller.errors import ConfigError
from controller.recipes import LoadedRecipe, LoadedView
from models.catalogue import Catalogue, load_catalogue
from models.frame import ImageBand
from models.inspector import Inspector
from models.optics import bands, calibration
from models.optics.scale import Scale
from models.optics.watch import ImageWatch
from models.package import ModelPackage, open_package
from models.panel import Panel
from models.runner import Runner


class FolderRecipeBook:
    """The port `RecipeBook` on `<recipes_dir>/<product>/{recipe,catalogue}.toml` and the model packages they name."""

    def __init__(self, config: StationConfig) -> None:
        self._config = config

    def load(self, recipe_id: int, product: str) -> LoadedRecipe:
        """Find by product name, or by PLC number where product is "". Blocks for 0.2 to 3 s.

        Every load makes runners of its own: one that is warmed up here is never one that the lane is using.
        Raises ControllerError or ModelError; what is in force stays in force.
        """
        folder = self._folder(recipe_id, product)
        recipe = load_recipe(folder / "recipe.toml")
        catalogues = {view.catalogue: load_catalogue(folder / view.catalogue) for view in recipe.views}
        views: dict[str, LoadedView] = {}
        packages: list[ModelPackage] = []
        files: list[str] = []
        model: dict[str, str] = {}
        for view in recipe.views:
            optics = _optics(view, folder)
            judges: list[Inspector] = []
            for reference in (view.model, *view.also_models):
                package = self._package(reference)
                judges.append(self._inspector(package, catalogues[view.catalogue], view, optics, watch=not judges))
                packages.append(package)
                model = _facts(package, judges[-1].runner)
            judge = judges[0] if len(judges) == 1 else Panel(judges)
            views[view.name] = LoadedView(view.camera, judge, optics.calibrated_until, optics.watch)
            files += optics.hashes
        self._check_cameras(recipe, folder)
        catalogue_hash = "".join(catalogue.hash for catalogue in catalogues.values())
        digest = recipe_hash(
            recipe,
            catalogue_hash,
            [p.hash for p in packages],
            self._config.station.divert_lane,
            self._config.join_windows_ms,
            files,
        )
        return LoadedRecipe(to_facts(recipe, digest, self._config), views, model)

    def _inspector(
        self, package: ModelPackage, catalogue: Catalogue, view: ViewSection, optics: _Optics, *, watch: bool
    ) -> Inspector:
        """watch: it looks at the image itself; one of a view's models does, for all of them."""
        runner = Runner(package, threads=self._config.inference.threads, cache_dir=self._config.cache_path)
        band = ImageBand(view.image.darkest, view.image.brightest, view.image.flattest)
        inspector = Inspector(
            runner, catalogue, optics.mm_per_px, view.roi, band, optics.frame_px, optics.watch if watch else None
        )
        inspector.warm_up()
        return inspector

    def _folder(self, recipe_id: int, product: str) -> Path:
        root = self._config.station.recipes_dir
        if product:
            folder = root / product
            if folder.parent != root or not (folder / "recipe.toml").is_file():
                raise ConfigError(str(root), "product", product, "no such recipe: add the folder or choose another")
            return folder
        for path in sorted(root.glob("*/recipe.toml")):
            if load_recipe(path).id == recipe_id:
                return path.parent
        raise ConfigError(str(root), "id", recipe_id, "no recipe has this number: add one or correct the PLC's request")

    def _package(self, reference: str) -> ModelPackage:
        name, _, version = reference.partition("@")
        inference = self._config.inference
        return open_package(
            self._config.station.packages_dir,
            name,
            version,
            trusted_keys=[bytes.fromhex(key) for key in inference.trusted_keys],
            require_signature=inference.require_signature,
        )

    def _check_cameras(self, recipe: RecipeConfig, folder: Path) -> None:
        known = [camera.name for camera in self._config.cameras]
        for index, key, value, cure in camera_problems(recipe.views, known, self._config.join_windows_ms):
            raise ConfigError(str(folder / "recipe.toml"), f"views.{recipe.views[index].name}.{key}", value, cure)


@dataclass(frozen=True, slots=True)
class _Optics:
    """What a view's files say. hashes: of these files."""

    mm_per_px: float | Scale
    frame_px: tuple[int, int] | None
    calibrated_until: datetime | None
    watch: ImageWatch | None
    hashes: list[str]


def _optics(view: ViewSection, folder: Path) -> _Optics:
    """Raises ModelRejected for a file that cannot be used."""
    watch, hashes = None, list[str]()
    if view.image.bands is not None:
        watch = ImageWatch(bands.load(folder / view.image.bands), partial(datetime.now, UTC))
        hashes.append(calibration.content_hash(folder / view.image.bands))
    if view.calibration is None:
        assert view.mm_per_px is not None, "the recipe was checked"
        return _Optics(view.mm_per_px, view.frame_px, None, watch, hashes)
    found = calibration.load(folder / view.calibration)
    hashes.append(calibration.content_hash(folder / view.calibration))
    return _Optics(found.scale(), found.frame_px, found.expires, watch, hashes)


def _facts(package: ModelPackage, runner: Runner) -> dict[str, str]:
    manifest = package.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "hash": package.hash,
        "precision": runner.precision,
    }
