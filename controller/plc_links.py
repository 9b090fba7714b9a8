"""What [plc] means in concrete terms: the driver of each kind, and where its tags lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from controller.config import StationConfig
from controller.config_plc import PlcConfig
from controller.drivers.plc import opcua
from controller.drivers.plc.opcua_nodes import STYLES
from controller.drivers.plc.opcua_security import SecuritySettings
from controller.ports import PlcLink


def plc_link(config: StationConfig, where: str = "station.toml") -> PlcLink:
    """The link that the station asks for, not yet connected. where: the file that errors name. Raises ConfigError."""
    return opcua.OpcUaPlc(_opcua(config.plc, config.station.data_dir, where))


def plc_addresses(plc: PlcConfig) -> Mapping[str, str]:
    """Every tag of the contract by its full name with its address as text. Raises ConfigError."""
    return opcua.addresses(_opcua(plc, Path(), "station.toml"))


def _opcua(plc: PlcConfig, data_dir: Path, where: str) -> opcua.OpcUaPlcSettings:
    tags, security = plc.tags, plc.security
    preset = STYLES[tags.style or "linegate"]
    return opcua.OpcUaPlcSettings(
        endpoint=plc.endpoint,
        depth=plc.depth,
        pattern=tags.pattern or preset.pattern,
        root=tags.root or preset.root,
        overrides=tags.overrides,
        trigger=plc.trigger,
        poll_ms=plc.poll_ms,
        publishing_ms=plc.publishing_ms,
        request_timeout_ms=plc.request_timeout_ms,
        part_id=plc.part_id,
        modulus=plc.sequence_modulus,
        profile=plc.profile,
        security=SecuritySettings(**security.model_dump(), pki_dir=data_dir / "pki" / "plc", where=where),
    )
