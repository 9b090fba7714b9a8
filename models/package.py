"""A model package: a directory `<name>/<version>/` with graphs and a manifest that names, hashes and explains them.

manifest.json holds the SHA-256 of every other file; manifest.sig, where there is one, an Ed25519 signature over its
exact bytes. Whatever does not fit is refused at load: a model that cannot be trusted must never answer
"nothing found".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ModelRejected

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"

Task = Literal["classify", "detect", "segment", "anomaly"]
Size = Annotated[int, Field(ge=8, le=8192)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSpec(_Strict):
    """What the graph wants: NCHW floats, `(pixel - mean) / std` for pixels of 0 to 255, in this colour order."""

    width: Size
    height: Size
    channels: Literal[1, 3]
    colour: Literal["grey", "rgb", "bgr"]
    mean: tuple[Finite, ...]
    std: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} numbers, one for each channel")
        if (self.colour == "grey") != (self.channels == 1):
            raise ValueError("colour grey has 1 channel, rgb and bgr have 3")
        return self


class OutputSpec(_Strict):
    """How to read the outputs.

    score_orientation: whether a high raw score is bad; only anomaly models may say no. For them score_offset and
    score_scale turn a raw value into 0 to 1 with the threshold at 0.5: `clip((raw - offset) * scale)`. pixel_threshold:
    from which probability (or scaled map value) on a pixel belongs to a finding. min_area_px: of the output map,
    smaller specks are noise. unsure_from: from which confidence on a classifying, detecting or scoring model reports a
    finding at all; what the catalogue is to see as UNSURE must lie above it.
    """

    score_orientation: Literal["high_is_bad", "low_is_bad"] = "high_is_bad"
    pixel_threshold: Share = 0.5
    min_area_px: Annotated[int, Field(ge=1)] = 1
    box_format: Literal["yolov8"] | None = None
    iou_threshold: Share = 0.5
    score_offset: Finite = 0.0
    score_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    unsure_from: Share = 0.5
    max_candidates: Annotated[int, Field(ge=1, le=10_000)] = 300


class Golden(_Strict):
    """A picture in the package and the score that the preferred graph gave it when it was packed: looked at again at
    every load. A package that answers differently on this computer is refused."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]+\.png$")]
    score: Share
    findings: Annotated[int, Field(ge=0)]


class Manifest(_Strict):
    """Everything needed to run and to judge a model."""

    schema_: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,2}([.-][A-Za-z0-9]+)?$")]
    task: Task
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    good_class: str | None = None
    input: InputSpec
    output: OutputSpec
    graphs: Annotated[dict[Literal["int8", "bf16", "fp32"], str], Field(min_length=1)]
    preferred: Literal["int8", "bf16", "fp32"] = "int8"
    precision_hint: Literal["f32", "bf16", "f16"] = "f32"
    training_data_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    metrics: dict[Literal["int8", "bf16", "fp32"], dict[str, float]]
    licence: Annotated[str, Field(min_length=1)]
    created: Annotated[str, Field(min_length=4)]
    notes: str = ""
    golden: tuple[Golden, ...] = ()
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if self.task == "classify" and self.good_class not in self.classes:
            raise ValueError("a classifying model names its good class among its classes: good_class")
        if self.task == "detect" and self.output.box_format is None:
            raise ValueError('a detecting model names its box format: output.box_format = "yolov8"')
        if self.task != "anomaly" and self.output.score_orientation != "high_is_bad":
            raise ValueError(f'the outputs of a {self.task} model have a meaning of their own: leave "high_is_bad"')
        for golden in self.golden:
            if self.files and golden.file not in self.files:
                raise ValueError(f"the golden image {golden.file} is not listed under files: repack it")
        if self.preferred not in self.graphs:
            raise ValueError(f"preferred is {self.preferred}, but graphs has only {', '.join(self.graphs)}")
        return self

    @property
    def defect_classes(self) -> tuple[str, ...]:
        """Classes that the catalogue must know."""
        return tuple(name for name in self.classes if name != self.good_class)


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package whose every byte was checked. hash: SHA-256 of manifest.json, hence of everything."""

    folder: Path
    manifest: Manifest
    hash: str
    signed: bool

    @property
    def content_hash(self) -> str:
        """As hash, but without the time of packing: the same for builds that came to the same."""
        timeless = self.manifest.model_dump(mode="json", by_alias=True, exclude={"created"})
        return hashlib.sha256(json.dumps(timeless, sort_keys=True).encode()).hexdigest()

    def graph(self, precision: str | None = None) -> Path:
        """Path of a graph's .xml, the preferred one by default. Raises ModelRejected."""
        wanted = precision or self.manifest.preferred
        for name, file in self.manifest.graphs.items():
            if name == wanted:
                return self.folder / file
        raise ModelRejected(str(self.folder / MANIFEST), "graphs", wanted, f"has {', '.join(self.manifest.graphs)}")


def open_package(
    root: Path,
    name: str,
    version: str,
    *,
    trusted_keys: Sequence[bytes] = (),
    require_signature: bool = False,
) -> ModelPackage:
    """Open `<root>/<name>/<version>` and check every byte of it.

    trusted_keys: raw Ed25519 public keys, 32 bytes each. Raises ModelRejected naming file, key, value and cure.
    """
    folder = root / name / version
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelRejected(str(path), "file", f"{name}@{version}", f"cannot be read: {error}") from error
    manifest = _parse(path, content)
    if (manifest.name, manifest.version) != (name, version):
        found = f"{manifest.name}@{manifest.version}"
        raise ModelRejected(str(path), "name, version", found, f"lies in the folder of {name}@{version}: move it")
    _check_files(folder, manifest)
    signed = _check_signature(folder, content, trusted_keys, require_signature)
    return ModelPackage(folder, manifest, hashlib.sha256(content).hexdigest(), signed)


def write_package(
    folder: Path, manifest: Mapping[str, Any], signing_key: Ed25519PrivateKey | None = None
) -> ModelPackage:
    """Hash every file in the folder into the manifest, write it, sign it where a key is given.

    manifest: all fields but `files`. Raises ModelRejected where it is not a valid one.
    """
    files = {
        file.relative_to(folder).as_posix(): _sha256(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in (MANIFEST, SIGNATURE)
    }
    whole = json.dumps({**manifest, "files": files}, indent=2, ensure_ascii=False).encode()
    path = folder / MANIFEST
    checked = _parse(path, whole)
    _check_files(folder, checked)
    path.write_bytes(whole)
    # The signature of an earlier manifest would say of a good package that nobody trusts it.
    (folder / SIGNATURE).unlink(missing_ok=True)
    if signing_key is not None:
        (folder / SIGNATURE).write_bytes(signing_key.sign(whole))
    return ModelPackage(folder, checked, hashlib.sha256(whole).hexdigest(), signing_key is not None)


def _parse(path: Path, content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"]) or "file"
        value = first.get("input") if first["loc"] else path.name
        raise ModelRejected(str(path), key, value, first["msg"]) from error


def _check_files(folder: Path, manifest: Manifest) -> None:
    path = str(folder / MANIFEST)
    for name in manifest.files:
        if not name or Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
            raise ModelRejected(path, "files", name, "leads out of the package: repack it")
    for precision, graph in manifest.graphs.items():
        for needed in (graph, graph.removesuffix(".xml") + ".bin"):
            if needed not in manifest.files:
                raise ModelRejected(path, f"graphs.{precision}", needed, "is not listed under files: repack it")
    present = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()} - {MANIFEST, SIGNATURE}
    for name in sorted(present - set(manifest.files)):
        raise ModelRejected(path, "files", name, "lies in the folder but is not listed: remove it or repack")
    for name, expected in manifest.files.items():
        if name not in present:
            raise ModelRejected(path, "files", name, "is missing: copy the package again")
        if _sha256(folder / name) != expected:
            raise ModelRejected(path, "files", name, "has another content than when it was packed: copy it again")


def _check_signature(folder: Path, content: bytes, trusted: Sequence[bytes], required: bool) -> bool:
    path = folder / SIGNATURE
    if not path.is_file():
        if required:
            raise ModelRejected(str(path), "signature", "", "is required and missing: sign the package")
        return False
    signature = path.read_bytes()
    for key in trusted:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
        except (InvalidSignature, ValueError):
            continue
        return True
    if required or trusted:
        raise ModelRejected(str(path), "signature", signature[:8].hex(), "was made by none of the trusted keys")
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
