"""Configuration: station.toml and recipe.toml, checked before anything starts; errors name file, key, value, cure."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from controller.config_cameras import CameraConfig, GenicamCameraConfig, PylonCameraConfig
from controller.config_plc import PlcConfig
from controller.config_status import StatusSection
from controller.config_views import MOST_VIEWS, ViewDuty, check_views, view_rules
from controller.errors import ConfigError, ControllerError
from controller.strict import Count, Located, Name, Strict
from statemachines.vocabulary import MS, Fallback, Ns, Policy, RecipeFacts


class ConfigErrors(ControllerError):
    """Everything that is wrong in the files of a station."""

    def __init__(self, problems: list[ConfigError]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


# --- station.toml ---------------------------------------------------------------------------------------------


class StationSection(Located):
    """[station]: who it is, where its files are, how it starts."""

    name: Name
    data_dir: Path
    recipes_dir: Path
    packages_dir: Path
    initial_recipe: Name
    initial_mode: Literal["SHADOW", "ALERT", "AUTO_REJECT"] = "SHADOW"
    divert_lane: bool = False
    process_priority: Literal["normal", "high", "realtime"] = "normal"


class InferenceSection(Strict):
    """[inference]: how models run."""

    threads: Annotated[int, Field(ge=1, le=64)] = 1
    hard_limit_ms: Annotated[int, Field(ge=10, le=60_000)] = 1000
    grace_ms: Annotated[int, Field(ge=10, le=60_000)] = 500
    cache: bool = True
    require_signature: bool = False
    trusted_keys: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()


class JournalSection(Strict):
    """[journal]."""

    fsync_ms: Annotated[int, Field(ge=10, le=10_000)] = 100
    queue_rows: Annotated[int, Field(ge=100, le=1_000_000)] = 20_000


class ImagesSection(Strict):
    """[images]: what is kept of the pictures."""

    budget_mb: Annotated[int, Field(ge=1)] = 2000
    ok: Literal["jpeg", "png", "none"] = "jpeg"
    every: Count = 1
    jpeg_quality: Annotated[int, Field(ge=50, le=100)] = 90
    queue_frames: Annotated[int, Field(ge=1, le=1000)] = 32


class WatchdogSection(Strict):
    """[watchdog]."""

    loop_hang_s: Annotated[float, Field(ge=0.2, le=60, allow_inf_nan=False)] = 2.0


class LogsSection(Strict):
    """[logs]."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30


class StationConfig(Strict):
    """A whole station.toml."""

    schema_: Literal[1] = Field(alias="schema")
    station: StationSection
    plc: PlcConfig
    cameras: Annotated[tuple[Annotated[CameraConfig, Field(discriminator="kind")], ...], Field(min_length=1)]
    inference: InferenceSection = InferenceSection()
    journal: JournalSection = JournalSection()
    images: ImagesSection = ImagesSection()
    status: StatusSection = StatusSection()
    watchdog: WatchdogSection = WatchdogSection()
    logs: LogsSection = LogsSection()

    @model_validator(mode="after")
    def _unique_cameras(self) -> Self:
        names = [camera.name for camera in self.cameras]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"two cameras are called {double[0]}: give each its own name")
        return self

    @property
    def join_windows_ms(self) -> dict[str, float]:
        """By name, the join window of each camera that exposes without a command."""
        return {
            camera.name: camera.join_window_ms
            for camera in self.cameras
            if isinstance(camera, GenicamCameraConfig | PylonCameraConfig) and camera.acquisition != "software"
        }

    @property
    def journal_path(self) -> Path:
        return self.station.data_dir / "journal.db"

    @property
    def images_path(self) -> Path:
        return self.station.data_dir / "images"

    @property
    def pki_path(self) -> Path:
        return self.status.pki_dir or self.station.data_dir / "pki"

    @property
    def users_path(self) -> Path:
        return self.status.users_file or self.pki_path / "users.json"

    @property
    def latch_path(self) -> Path:
        return self.station.data_dir / "failsafe.json"

    @property
    def cache_path(self) -> Path | None:
        return self.station.data_dir / "model-cache" if self.inference.cache else None


# --- recipe.toml ----------------------------------------------------------------------------------------------


FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.json$", max_length=100)]
"""A file beside the recipe."""


class ImageSection(Strict):
    """[views.image]: what a usable frame looks like; outside of it a part is NO_DECISION, image quality."""

    darkest: Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)] = 0.0
    brightest: Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)] = 255.0
    flattest: Annotated[float, Field(ge=0, le=128, allow_inf_nan=False)] = 0.0
    bands: FileName | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.darkest >= self.brightest:
            raise ValueError(f"darkest must be below brightest = {self.brightest:g}")
        return self


class ViewSection(ViewDuty):
    """[[views]]: one camera angle of the product."""

    name: Name
    camera: Name
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*@[0-9][A-Za-z0-9_.-]*$")]
    mm_per_px: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    calibration: FileName | None = None
    frame_px: tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]] | None = None
    roi: tuple[int, int, int, int] | None = None
    image: ImageSection = ImageSection()

    @field_validator("roi")
    @classmethod
    def _positive(cls, value: tuple[int, int, int, int] | None) -> tuple[int, int, int, int] | None:
        if value is not None and (min(value[:2]) < 0 or min(value[2:]) < 8):
            raise ValueError("is x, y, width, height in pixels; x and y from 0, width and height from 8")
        return value

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        if (self.mm_per_px is None) == (self.calibration is None):
            raise ValueError("needs either mm_per_px or calibration (a file made by linegate camera calibrate)")
        if self.calibration is not None and self.frame_px is not None:
            raise ValueError("frame_px stands in the calibration: remove it here")
        return self


class RecipeConfig(Strict):
    """A whole recipe.toml."""

    schema_: Literal[1] = Field(alias="schema")
    id: Annotated[int, Field(ge=1, le=2**30)]
    product: Name
    deadline_ms: Annotated[int, Field(ge=5, le=10_000)]
    capture_window_ms: Annotated[int, Field(ge=1, le=10_000)]
    fallback: Literal["reject", "pass", "stop"]
    stop_after_passes: Annotated[int, Field(ge=1, le=1000)] | None = None
    views: Annotated[tuple[ViewSection, ...], Field(min_length=1, max_length=2 * MOST_VIEWS)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.capture_window_ms > self.deadline_ms:
            raise ValueError(f"capture_window_ms must be at most deadline_ms = {self.deadline_ms}")
        if self.fallback == "pass" and self.stop_after_passes is None:
            raise ValueError('fallback "pass" needs stop_after_passes: after how many undecided parts in a row to stop')
        if self.fallback != "pass" and self.stop_after_passes is not None:
            raise ValueError('stop_after_passes belongs to fallback "pass" only: remove it')
        check_views(self.views)
        return self


_CURES = {
    "fallback": 'choose "reject", "pass" or "stop": what the line does with a part that cannot be decided is a safety '
    "decision, so it has no default",
    "schema": "write schema = 1 at the top of the file",
}


def load_station(path: Path) -> StationConfig:
    """Read and check station.toml. Raises ConfigErrors."""
    return _load(StationConfig, path)


def load_recipe(path: Path) -> RecipeConfig:
    """Read and check recipe.toml; its folder must be called as its product. Raises ConfigErrors."""
    recipe = _load(RecipeConfig, path)
    if recipe.product != path.resolve().parent.name:
        cure = f"the folder is called {path.resolve().parent.name}: both must be the same"
        raise ConfigErrors([ConfigError(str(path), "product", recipe.product, cure)])
    return recipe


def recipe_hash(
    recipe: RecipeConfig,
    catalogue_hash: str,
    package_hashes: list[str],
    divert_lane: bool,
    join_windows_ms: dict[str, float],
    file_hashes: list[str],
) -> str:
    """SHA-256 over everything that can change a verdict or what is done with it. file_hashes: of what views name."""
    content = {
        "recipe": recipe.model_dump(mode="json", by_alias=True),
        "catalogue": catalogue_hash,
        "packages": package_hashes,
        "divert_lane": divert_lane,
        "join_windows_ms": {view.camera: join_windows_ms.get(view.camera) for view in recipe.views},
        "files": file_hashes,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def to_facts(recipe: RecipeConfig, digest: str, station: StationConfig) -> RecipeFacts:
    """What the core must know of a recipe."""
    return RecipeFacts(
        id=recipe.id,
        product=recipe.product,
        hash=digest,
        views=tuple(view.name for view in recipe.views),
        deadline_ns=Ns(recipe.deadline_ms * MS),
        capture_window_ns=Ns(recipe.capture_window_ms * MS),
        policy=Policy(Fallback(recipe.fallback), station.station.divert_lane, recipe.stop_after_passes or 0),
        rules=view_rules(recipe.views, station.join_windows_ms, recipe.capture_window_ms),
    )


# --- reading and explaining -----------------------------------------------------------------------------------

M = TypeVar("M", bound=BaseModel)


def _load(model: type[M], path: Path) -> M:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        _refuse(path, "file", path.name, f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError:
        _refuse(path, "file", path.name, "is not UTF-8 text: save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        _refuse(path, "syntax", path.name, f"is not valid TOML: {error}")
    try:
        return model.model_validate(content, context={"folder": path.resolve().parent})
    except ValidationError as error:
        raise ConfigErrors([_explain(path, model, detail) for detail in error.errors()]) from error


def _refuse(path: Path, key: str, value: object, cure: str) -> NoReturn:
    raise ConfigErrors([ConfigError(str(path), key, value, cure)])


def _explain(path: Path, model: type[BaseModel], detail: ErrorDetails) -> ConfigError:
    steps, known = _located(model, detail["loc"])
    key = ".".join(str(step) for step in steps) or "file"
    value: object = detail.get("input")
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        facts = detail.get("ctx", {})
        kinds = facts.get("expected_tags")
        return ConfigError(
            str(path), f"{key}.kind", facts.get("tag"), f"must be one of {kinds}" if kinds else "is missing: add it"
        )
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(steps[-1]), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known here are {', '.join(sorted(known))}"
        return ConfigError(str(path), key, value, f"is not a known key: {hint}")
    last = str(steps[-1]) if steps else ""
    if detail["type"] == "missing":
        return ConfigError(str(path), key, None, _CURES.get(last, "is missing: add it"))
    cure = _CURES.get(last, detail["msg"].removeprefix("Value error, "))
    if isinstance(value, dict):
        value = path.name
    return ConfigError(str(path), key, value, cure)


def _located(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[int | str], list[str]]:
    """The steps to a key, without the names that pydantic adds for members of a union, and the keys known there."""
    steps: list[int | str] = []
    here, models = [model], [model]
    for step in location:
        chosen = [m for m in models if len(models) > 1 and step in get_args(_kind(m))]
        if chosen:
            here = models = chosen
            continue
        steps.append(step)
        if isinstance(step, str):
            here = models
            below = [field.annotation for m in models for name, field in m.model_fields.items() if name == step]
            models = [found for annotation in below for found in _models_in(annotation)] or models
    return steps, sorted({f.alias or name for known in here for name, f in known.model_fields.items()})


def _kind(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("kind")
    return None if field is None else field.annotation


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]
