"""From a camera's section of station.toml to the driver of its kind."""

from __future__ import annotations

import importlib.util
from typing import assert_never

from controller.config_cameras import (
    CameraConfig,
    FolderCameraConfig,
    GenicamCameraConfig,
    OpenCvCameraConfig,
    PylonCameraConfig,
    SimCameraConfig,
)
from controller.drivers.camera.folder import FolderCamera
from controller.drivers.camera.genicam import GenicamCamera
from controller.drivers.camera.genicam_messages import GenicamSettings
from controller.drivers.camera.opencv import OpenCvCamera, OpenCvSettings
from controller.errors import ConfigError
from controller.ports import Camera
from controller.sim.camera import SimCamera
from statemachines.vocabulary import MS


def camera_of(config: CameraConfig) -> Camera:
    """The camera that a section of station.toml describes, not opened yet."""
    match config:
        case FolderCameraConfig():
            return FolderCamera(
                config.name,
                config.folder,
                config.pattern,
                config.order,
                loop=config.loop,
                seed=config.seed,
                colour=config.colour,
            )
        case GenicamCameraConfig() | PylonCameraConfig():
            return _gentl(config)
        case OpenCvCameraConfig():
            return _opencv(config)
        case SimCameraConfig():
            return SimCamera(config.belt, config.exposure_us, name=config.name)
        case _:
            assert_never(config)


def _opencv(config: OpenCvCameraConfig) -> Camera:
    source = config.device if config.device is not None else config.url or str(config.file)
    return OpenCvCamera(
        OpenCvSettings(
            name=config.name,
            source=source,
            live=config.file is None,
            latency_ns=round(config.latency_ms * MS),
            size=config.size,
            colour=config.colour,
        )
    )


def _gentl(config: GenicamCameraConfig | PylonCameraConfig) -> Camera:
    # The SDKs themselves are loaded by the camera's own process only.
    package, extra = ("pypylon", "pylon") if config.kind == "pylon" else ("harvesters", "genicam")
    if importlib.util.find_spec(package) is None:
        cure = f"needs the extra {extra}: pip install linegate[{extra}]"
        raise ConfigError("station.toml", f"cameras.{config.name}.kind", config.kind, cure)
    return GenicamCamera(
        GenicamSettings(
            name=config.name,
            producer=str(config.producer) if config.kind == "genicam" else "",
            device=config.device,
            acquisition=config.acquisition,
            trigger_source=config.trigger_source,
            features=dict(config.features),
            buffers=config.buffers,
            pool=config.pool_frames,
            largest=round(config.largest_mb * 1_000_000),
            window_ns=round(config.join_window_ms * MS),
            sdk="gentl" if config.kind == "genicam" else "pylon",
        )
    )
