"""What [plc] means in concrete terms: the driver of each kind, and where its tags lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import assert_never

from controller.config import StationConfig
from controller.config_plc import EthernetIpPlcConfig, OpcUaPlcConfig, PlcConfig
from controller.drivers.plc import ethernet_ip, opcua
from controller.drivers.plc.opcua_nodes import STYLES
from controller.drivers.plc.opcua_security import SecuritySettings
from controller.ports import PlcLink
from controller.priority import raise_thread


def plc_link(config: StationConfig, where: str = "station.toml") -> PlcLink:
    """The link that the station asks for, not yet connected. where: the file that errors name. Raises ConfigError."""
    plc = config.plc
    match plc:
        case OpcUaPlcConfig():
            return opcua.OpcUaPlc(_opcua(plc, config.station.data_dir, where))
        case EthernetIpPlcConfig():
            on_start = partial(raise_thread, config.station.process_priority)
            return ethernet_ip.EthernetIpPlc(replace(_ethernet_ip(plc), on_start=on_start))
        case _:
            assert_never(plc)


def plc_addresses(plc: PlcConfig) -> Mapping[str, str]:
    """Every tag of the contract by its full name with its address as text. Raises ConfigError."""
    match plc:
        case OpcUaPlcConfig():
            return opcua.addresses(_opcua(plc, Path(), "station.toml"))
        case EthernetIpPlcConfig():
            return ethernet_ip.addresses(_ethernet_ip(plc))
        case _:
            assert_never(plc)


def _opcua(plc: OpcUaPlcConfig, data_dir: Path, where: str) -> opcua.OpcUaPlcSettings:
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


def _ethernet_ip(plc: EthernetIpPlcConfig) -> ethernet_ip.EthernetIpPlcSettings:
    return ethernet_ip.EthernetIpPlcSettings(
        address=plc.address,
        route=plc.route,
        depth=plc.depth,
        pattern=plc.tags.pattern,
        overrides=plc.tags.overrides,
        poll_ms=plc.poll_ms,
        request_timeout_ms=plc.request_timeout_ms,
        part_id=plc.part_id,
        modulus=plc.sequence_modulus,
        profile=plc.profile,
    )
