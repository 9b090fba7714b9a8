"""[status] of station.toml: who may reach the status server, and what clients can make it hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlparse

from pydantic import Field, ValidationInfo, field_validator, model_validator

from controller.endpoints import POLICIES, is_loopback
from controller.strict import Located, Strict


class StatusLimitsSection(Strict):
    """[status.limits]: what clients can make the status process hold."""

    sessions: Annotated[int, Field(ge=2, le=500)] = 50
    subscriptions_per_session: Annotated[int, Field(ge=1, le=100)] = 10
    items_per_subscription: Annotated[int, Field(ge=1, le=10_000)] = 1000


class StatusSection(Located):
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
