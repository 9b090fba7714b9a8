"""[[cameras]] of station.toml: one section for each kind of camera."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from controller.strict import Located, Name, Strict


class FolderCameraConfig(Located):
    """[[cameras]] kind = "folder": images from a folder, one a trigger."""

    kind: Literal["folder"]
    name: Name
    folder: Path
    pattern: str = "*.png"
    order: Literal["name", "shuffle"] = "name"
    loop: bool = True
    seed: int = 0
    colour: Literal["grey", "rgb"] = "grey"


class SimCameraConfig(Strict):
    """[[cameras]] kind = "sim": the camera above a simulated belt."""

    kind: Literal["sim"]
    name: Name
    belt: Annotated[str, Field(min_length=1, max_length=64)]
    exposure_us: Annotated[float, Field(ge=1, le=100_000, allow_inf_nan=False)] = 200.0


class _OwnProcess(Located):
    """What every camera has that lives in a process of its own.

    device: serial number or user-defined name. features: SFNC names, set in this order and read back. acquisition:
    what lets it expose: Linegate, an edge on trigger_source, its own clock. join_window_ms: how far from its part's
    time a frame may be exposed that Linegate did not command; less than half of the shortest time between two parts.
    """

    name: Name
    device: str = ""
    acquisition: Literal["software", "hardware", "free_running"] = "software"
    trigger_source: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")] = "Line0"
    join_window_ms: Annotated[float, Field(ge=0.5, le=5_000, allow_inf_nan=False)] = 10.0
    features: dict[str, bool | int | float | str] = Field(default_factory=dict)
    buffers: Annotated[int, Field(ge=2, le=64)] = 8
    pool_frames: Annotated[int, Field(ge=4, le=500)] = 48
    largest_mb: Annotated[float, Field(gt=0, le=200, allow_inf_nan=False)] = 8.0


class GenicamCameraConfig(_OwnProcess):
    """[[cameras]] kind = "genicam": a camera behind a GenTL producer (GigE Vision, USB3 Vision, CoaXPress, …)."""

    kind: Literal["genicam"]
    producer: Path

    @field_validator("producer")
    @classmethod
    def _is_a_producer(cls, value: Path) -> Path:
        if value.suffix != ".cti":
            raise ValueError("is no GenTL producer: name the vendor's .cti file, see GENICAM_GENTL64_PATH")
        return value


class PylonCameraConfig(_OwnProcess):
    """[[cameras]] kind = "pylon": a Basler camera by its maker's own SDK."""

    kind: Literal["pylon"]


class OpenCvCameraConfig(Located):
    """[[cameras]] kind = "opencv": a USB camera by number, a network camera by address, or a video file.

    latency_ms: from the start of an exposure until its frame is here, at most; only frames that came so long after the
    trigger are taken.
    """

    kind: Literal["opencv"]
    name: Name
    device: Annotated[int, Field(ge=0, le=63)] | None = None
    url: Annotated[str, Field(pattern=r"^(rtsp|rtsps|http|https)://")] | None = None
    file: Path | None = None
    latency_ms: Annotated[float, Field(ge=0, le=5000, allow_inf_nan=False)] = 100.0
    size: tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]] | None = None
    colour: Literal["grey", "rgb"] = "grey"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.device, self.url, self.file)) != 1:
            raise ValueError("needs one of device (USB camera), url (network camera), file (video)")
        if self.size is not None and self.device is None:
            raise ValueError("size is asked of a USB camera only: remove it")
        return self


CameraConfig = FolderCameraConfig | SimCameraConfig | GenicamCameraConfig | OpenCvCameraConfig | PylonCameraConfig
