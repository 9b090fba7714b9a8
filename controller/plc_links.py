"""What [plc] means in concrete terms: the driver of each kind, and where its tags lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import assert_never

from controller.config import StationConfig
from controller.config_plc import EthernetIpPlcConfig, ModbusPlcConfig, OpcUaPlcConfig, PlcConfig
from controller.drivers.plc import ethernet_ip, modbus_layout, opcua
from controller.drivers.plc.modbus import ModbusPlc, ModbusPlcSettings
from controller.drivers.plc.modbus_layout import RegisterMap
from controller.drivers.plc.modbus_server import ModbusServerPlc, ModbusServerSettings
from controller.drivers.plc.opcua_nodes import STYLES
from controller.drivers.plc.opcua_security import SecuritySettings
from controller.ports import PlcLink
from controller.priority import raise_thread


def plc_link(config: StationConfig, where: str = "station.toml", *, looking: bool = False) -> PlcLink:
    """The link that the station asks for, not yet connected. where: the file that errors name. Raises ConfigError.

    looking: the link of a person beside a station that may be running: it connects without writing anything. A station
    that is the server has no such link: to it, whoever reads its Heartbeat is the PLC.
    """
    plc = config.plc
    match plc:
        case OpcUaPlcConfig():
            return opcua.OpcUaPlc(_opcua(plc, config.station.data_dir, where))
        case EthernetIpPlcConfig():
            on_start = partial(raise_thread, config.station.process_priority)
            return ethernet_ip.EthernetIpPlc(replace(_ethernet_ip(plc), on_start=on_start))
        case ModbusPlcConfig():
            return _modbus(plc, looking)
        case _:
            assert_never(plc)


def plc_addresses(plc: PlcConfig) -> Mapping[str, str]:
    """Every tag of the contract by its full name with its address as text. Raises ConfigError."""
    match plc:
        case OpcUaPlcConfig():
            return opcua.addresses(_opcua(plc, Path(), "station.toml"))
        case EthernetIpPlcConfig():
            return ethernet_ip.addresses(_ethernet_ip(plc))
        case ModbusPlcConfig():
            return modbus_layout.addresses(modbus_registers(plc))
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


def modbus_registers(plc: ModbusPlcConfig) -> RegisterMap:
    """What decides where each tag of a station lies."""
    area = plc.registers
    return RegisterMap(
        plc_to_station=area.plc_to_station,
        station_to_plc=area.station_to_plc,
        word_order=area.word_order,
        string_order=area.string_order,
        part_id=plc.part_id,
        part_id_chars=area.part_id_chars,
        depth=plc.depth,
        profile=plc.profile,
    )


def _modbus(plc: ModbusPlcConfig, looking: bool) -> PlcLink:
    registers = modbus_registers(plc)
    if plc.role == "client":
        return ModbusPlc(ModbusPlcSettings(plc.host, plc.port, plc.unit_id, registers, plc.poll_ms, looking))
    return ModbusServerPlc(
        ModbusServerSettings(
            host=plc.host,
            port=plc.port,
            unit=plc.unit_id,
            masters=plc.masters,
            registers=registers,
            plc_lost_ms=plc.plc_lost_ms,
            plc_delay_ms=plc.plc_delay_ms,
        )
    )
