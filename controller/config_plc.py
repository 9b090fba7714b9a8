"""The [plc] section of station.toml: one kind for each protocol that a PLC speaks."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from controller.config_opcua import OpcUaSecuritySection, OpcUaTagsSection
from controller.strict import Strict


class PlcSection(Strict):
    """[plc]: what holds for every protocol. Timing, rings, and what the PLC may ask for."""

    profile: Literal["sequence", "four-phase"] = "sequence"
    poll_ms: Annotated[float, Field(ge=0.5, le=100, allow_inf_nan=False)] = 2.0
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


class OpcUaPlcConfig(PlcSection):
    """[plc] kind = "opcua"."""

    kind: Literal["opcua"]
    endpoint: Annotated[str, Field(pattern=r"^opc\.tcp://[^\s/@]+(/\S*)?$")]
    trigger: Literal["poll", "subscribe"] = "poll"
    publishing_ms: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 10.0
    tags: OpcUaTagsSection = OpcUaTagsSection()
    security: OpcUaSecuritySection = OpcUaSecuritySection()


class LogixTagsSection(Strict):
    """[plc.tags] of a Logix controller: what each tag of the contract is called there."""

    pattern: str = "Linegate.{tag}"
    overrides: dict[str, str] = Field(default_factory=dict)

    @field_validator("pattern")
    @classmethod
    def _has_one(cls, value: str) -> str:
        if ("{tag}" in value) == ("{flat}" in value):
            raise ValueError("must contain {tag} for members of one structure, or {flat} for tags of their own")
        return value


class EthernetIpPlcConfig(PlcSection):
    """[plc] kind = "ethernet_ip": a Logix controller."""

    kind: Literal["ethernet_ip"]
    address: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:\d{1,5})?$")]
    route: Annotated[str, Field(pattern=r"^\d{1,3}$|^\w+/[\w.]+(/\w+/[\w.]+)*$")] = "0"
    tags: LogixTagsSection = LogixTagsSection()


PlcConfig = Annotated[OpcUaPlcConfig | EthernetIpPlcConfig, Field(discriminator="kind")]
"""Every kind."""
