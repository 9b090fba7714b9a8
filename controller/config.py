"""Configuration: station.toml and recipe.toml, checked before anything starts; errors name file, key, value, cure."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar, get_args
from urllib.parse import urlparse

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from controller.endpoints import POLICIES, is_loopback
from controller.errors import ConfigError, ControllerError
from statemachines.vocabulary import MS, Fallback, Ns, Policy, RecipeFacts

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Milliseconds = Annotated[float, Field(gt=0, le=60_000, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class ConfigErrors(ControllerError):
    """Everything that is wrong in the files of a station."""

    def __init__(self, problems: list[ConfigError]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Located(_Strict):
    """Paths in it are relative to the file that they stand in."""

    @field_validator("*", mode="after")
    @classmethod
    def _resolve(cls, value: object, info: ValidationInfo) -> object:
        folder = (info.context or {}).get("folder")
        if isinstance(value, Path) and isinstance(folder, Path):
            return (folder / value).resolve()
        return value


# --- station.toml ---------------------------------------------------------------------------------------------


class StationSection(_Located):
    """[station]: who it is, where its files are, how it starts."""

    name: Name
    data_dir: Path
    recipes_dir: Path
    packages_dir: Path
    initial_recipe: Name
    initial_mode: Literal["SHADOW", "ALERT", "AUTO_REJECT"] = "SHADOW"
    divert_lane: bool = False
    process_priority: Literal["normal", "high", "realtime"] = "normal"


class TagsSection(_Strict):
    """[plc.tags]: where each tag of the contract lies."""

    pattern: str = "ns=2;s=Linegate.{tag}"
    overrides: dict[str, str] = {}

    @field_validator("pattern")
    @classmethod
    def _has_tag(cls, value: str) -> str:
        if "{tag}" not in value:
            raise ValueError("must contain {tag}, which stands for the tag's name")
        return value


class OpcUaPlcConfig(_Strict):
    """[plc] kind = "opcua"."""

    kind: Literal["opcua"]
    endpoint: Annotated[str, Field(pattern=r"^opc\.tcp://[^\s/]+(/\S*)?$")]
    trigger: Literal["poll", "subscribe"] = "poll"
    poll_ms: Annotated[float, Field(ge=0.5, le=100, allow_inf_nan=False)] = 2.0
    publishing_ms: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 10.0
    request_timeout_ms: Annotated[float, Field(ge=5, le=10_000, allow_inf_nan=False)] = 200.0
    connect_timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 2000
    reconnect_ms: Annotated[int, Field(ge=10, le=60_000)] = 250
    depth: Literal[2, 4, 8, 16, 32, 64] = 8
    max_in_flight: Annotated[int, Field(ge=1, le=63)] = 7
    plc_lost_ms: Annotated[int, Field(ge=50, le=10_000)] = 500
    heartbeat_ms: Annotated[int, Field(ge=10, le=1000)] = 100
    sequence_modulus: Annotated[int, Field(ge=128, le=2**30)] = 2**30
    fault_reset_from_plc: bool = False
    part_id: Literal["int", "string"] = "int"
    tags: TagsSection = TagsSection()

    @model_validator(mode="before")
    @classmethod
    def _default_in_flight(cls, content: Any) -> Any:
        if isinstance(content, dict) and "max_in_flight" not in content and isinstance(content.get("depth"), int):
            return {**content, "max_in_flight": content["depth"] - 1}
        return content

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_in_flight > self.depth - 1:
            raise ValueError(
                f"max_in_flight must be at most depth - 1 = {self.depth - 1}: slot n + 1 may be half written"
            )
        if self.sequence_modulus % self.depth:
            raise ValueError("sequence_modulus must be a multiple of depth, so that slots stay in order when it wraps")
        if self.plc_lost_ms < 2 * self.request_timeout_ms:
            raise ValueError("plc_lost_ms must be at least twice request_timeout_ms: one slow read is not a lost PLC")
        return self


class FolderCameraConfig(_Located):
    """[[cameras]] kind = "folder": images from a folder, one a trigger."""

    kind: Literal["folder"]
    name: Name
    folder: Path
    pattern: str = "*.png"
    order: Literal["name", "shuffle"] = "name"
    loop: bool = True
    seed: int = 0
    colour: Literal["grey", "rgb"] = "grey"


class SimCameraConfig(_Strict):
    """[[cameras]] kind = "sim": the camera above a simulated belt."""

    kind: Literal["sim"]
    name: Name
    belt: Annotated[str, Field(min_length=1, max_length=64)]
    exposure_us: Annotated[float, Field(ge=1, le=100_000, allow_inf_nan=False)] = 200.0


CameraConfig = FolderCameraConfig | SimCameraConfig
PlcConfig = OpcUaPlcConfig


class InferenceSection(_Strict):
    """[inference]: how models run."""

    threads: Annotated[int, Field(ge=1, le=64)] = 1
    hard_limit_ms: Annotated[int, Field(ge=10, le=60_000)] = 1000
    grace_ms: Annotated[int, Field(ge=10, le=60_000)] = 500
    cache: bool = True
    require_signature: bool = False
    trusted_keys: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()


class JournalSection(_Strict):
    """[journal]."""

    fsync_ms: Annotated[int, Field(ge=10, le=10_000)] = 100
    queue_rows: Annotated[int, Field(ge=100, le=1_000_000)] = 20_000


class ImagesSection(_Strict):
    """[images]: what is kept of the pictures."""

    budget_mb: Annotated[int, Field(ge=1)] = 2000
    ok: Literal["jpeg", "png", "none"] = "jpeg"
    every: Count = 1
    jpeg_quality: Annotated[int, Field(ge=50, le=100)] = 90
    queue_frames: Annotated[int, Field(ge=1, le=1000)] = 32


class StatusLimitsSection(_Strict):
    """[status.limits]: what clients can make the status process hold."""

    sessions: Annotated[int, Field(ge=2, le=500)] = 50
    subscriptions_per_session: Annotated[int, Field(ge=1, le=100)] = 10
    items_per_subscription: Annotated[int, Field(ge=1, le=10_000)] = 1000


class StatusSection(_Located):
    """[status]: the OPC UA status server, encrypted unless this computer's own clients are let in without."""

    enabled: bool = True
    endpoint: Annotated[str, Field(pattern=r"^opc\.tcp://[^\s/]+:\d+(/\S*)?$")] = "opc.tcp://127.0.0.1:4850/linegate"
    snapshot_ms: Annotated[int, Field(ge=20, le=5000)] = 100
    policies: tuple[Literal["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"], ...] = POLICIES
    pki_dir: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    users_file: Path | None = None
    anonymous: Literal["off", "read"] = "off"
    allow_unsecured_loopback: bool = False
    limits: StatusLimitsSection = StatusLimitsSection()

    @field_validator("private_key", mode="after")
    @classmethod
    def _pair(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if (value is None) != (info.data.get("certificate") is None):
            raise ValueError("certificate and private_key belong together: give both, or none")
        return value

    @field_validator("allow_unsecured_loopback", mode="after")
    @classmethod
    def _stays_here(cls, value: bool, info: ValidationInfo) -> bool:
        host = urlparse(info.data.get("endpoint", "")).hostname or ""
        if value and not is_loopback(host):
            raise ValueError(
                f"{host} can be reached from elsewhere: remove this key, or bind the endpoint to 127.0.0.1"
            )
        return value

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.policies and not self.allow_unsecured_loopback:
            raise ValueError(f"policies must name at least one of {', '.join(POLICIES)}")
        if self.certificate is not None and self.private_key is None:
            raise ValueError("certificate and private_key belong together: give both, or none")
        return self


class WatchdogSection(_Strict):
    """[watchdog]."""

    loop_hang_s: Annotated[float, Field(ge=0.2, le=60, allow_inf_nan=False)] = 2.0


class LogsSection(_Strict):
    """[logs]."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30


class StationConfig(_Strict):
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


class ImageSection(_Strict):
    """[views.image]: what a usable frame looks like; outside of it a part is NO_DECISION, image quality."""

    darkest: Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)] = 0.0
    brightest: Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)] = 255.0
    flattest: Annotated[float, Field(ge=0, le=128, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.darkest >= self.brightest:
            raise ValueError(f"darkest must be below brightest = {self.brightest:g}")
        return self


class ViewSection(_Strict):
    """[[views]]: one camera angle of the product."""

    name: Name
    camera: Name
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*@[0-9][A-Za-z0-9_.-]*$")]
    mm_per_px: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    roi: tuple[int, int, int, int] | None = None
    image: ImageSection = ImageSection()

    @field_validator("roi")
    @classmethod
    def _positive(cls, value: tuple[int, int, int, int] | None) -> tuple[int, int, int, int] | None:
        if value is not None and (min(value[:2]) < 0 or min(value[2:]) < 8):
            raise ValueError("is x, y, width, height in pixels; x and y from 0, width and height from 8")
        return value


class RecipeConfig(_Strict):
    """A whole recipe.toml."""

    schema_: Literal[1] = Field(alias="schema")
    id: Annotated[int, Field(ge=1, le=2**30)]
    product: Name
    deadline_ms: Annotated[int, Field(ge=5, le=10_000)]
    capture_window_ms: Annotated[int, Field(ge=1, le=10_000)]
    fallback: Literal["reject", "pass", "stop"]
    stop_after_passes: Annotated[int, Field(ge=1, le=1000)] | None = None
    views: Annotated[tuple[ViewSection, ...], Field(min_length=1, max_length=4)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.capture_window_ms > self.deadline_ms:
            raise ValueError(f"capture_window_ms must be at most deadline_ms = {self.deadline_ms}")
        if self.fallback == "pass" and self.stop_after_passes is None:
            raise ValueError('fallback "pass" needs stop_after_passes: after how many undecided parts in a row to stop')
        if self.fallback != "pass" and self.stop_after_passes is not None:
            raise ValueError('stop_after_passes belongs to fallback "pass" only: remove it')
        names = [view.name for view in self.views]
        if len(set(names)) != len(names):
            raise ValueError("two views have the same name: give each its own")
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


def recipe_hash(recipe: RecipeConfig, catalogue_hash: str, package_hashes: list[str], divert_lane: bool) -> str:
    """SHA-256 over everything that can change a verdict or what is done with it."""
    content = {
        "recipe": recipe.model_dump(mode="json", by_alias=True),
        "catalogue": catalogue_hash,
        "packages": package_hashes,
        "divert_lane": divert_lane,
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
    steps = [step for step in detail["loc"] if step not in ("folder", "sim") or isinstance(step, int)]
    key = ".".join(str(step) for step in steps) or "file"
    value: object = detail.get("input")
    if detail["type"] == "extra_forbidden":
        known = _known_keys(model, steps[:-1])
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


def _known_keys(model: type[BaseModel], steps: list[int | str]) -> list[str]:
    """Names of the keys that belong where an unknown one stood."""
    models: list[type[BaseModel]] = [model]
    for step in steps:
        if isinstance(step, int):
            continue
        models = (
            [m for known in models for m in _models_in(known.model_fields[step].annotation)]
            if all(step in known.model_fields for known in models)
            else models
        )
    return sorted({f.alias or name for known in models for name, f in known.model_fields.items()})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]
