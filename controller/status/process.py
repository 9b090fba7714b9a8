"""The status process: its settings, and its entry point. Importing this loads no OPC UA library into the station."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

from controller.endpoints import POLICIES, is_loopback
from controller.errors import ConfigError
from controller.quick_dataclasses import quick_dataclasses


@dataclass(frozen=True, slots=True)
class StatusLimits:
    """What clients can make the process hold."""

    sessions: int = 50
    subscriptions_per_session: int = 10
    items_per_subscription: int = 1000


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """How the status process serves.

    endpoint: "opc.tcp://127.0.0.1:4840".   pki: folder of certificates, made when missing.   users: file of accounts.
    certificate, private_key: the station's own; None: made in `pki` at the first start.
    history: file of the last 24 hours; None: in memory only.
    unsecured: clients of this computer may connect without encryption, too. Raises ConfigError for any other address.
    """

    endpoint: str
    station: str
    pki: Path
    users: Path
    policies: tuple[str, ...] = POLICIES
    certificate: Path | None = None
    private_key: Path | None = None
    anonymous: Literal["off", "read"] = "off"
    unsecured: bool = False
    limits: StatusLimits = StatusLimits()
    history: Path | None = None
    recipes: Path | None = None
    """Folder of the recipes, to list, add and remove."""
    journal: Path | None = None
    """The station's journal, to read results from."""
    cache: Path | None = None
    """Folder for the imported models; None: they are imported at every start."""

    def __post_init__(self) -> None:
        check_endpoint(self.endpoint, self.policies, unsecured=self.unsecured)


def check_endpoint(endpoint: str, policies: tuple[str, ...], *, unsecured: bool) -> None:
    """Raise ConfigError unless this is an OPC UA address, encrypted wherever another computer reaches it."""
    key, cure = "status.endpoint", "write opc.tcp://127.0.0.1:4840"
    try:
        url = urlparse(endpoint)
        port = url.port
    except ValueError as error:
        raise ConfigError("station.toml", key, endpoint, cure) from error
    if url.scheme != "opc.tcp" or not url.hostname or not port:
        raise ConfigError("station.toml", key, endpoint, cure)
    if unsecured and not is_loopback(url.hostname):
        raise ConfigError(
            "station.toml",
            "status.allow_unsecured_loopback",
            unsecured,
            f"{url.hostname} can be reached from elsewhere: remove this key, or bind to 127.0.0.1",
        )
    if not policies and not unsecured:
        raise ConfigError("station.toml", "status.policies", [], f"name at least one of {', '.join(POLICIES)}")


def run_status(settings: StatusSettings, connection: Connection) -> None:
    """Serve the station's status until the pipe to the station closes. Entry point of a spawned process."""
    check_endpoint(settings.endpoint, settings.policies, unsecured=settings.unsecured)
    # As in the station's own start; `serve` looks for garbage again once its nodes are there.
    gc.disable()
    with quick_dataclasses("asyncua"):
        from controller.status.server import serve

    serve(settings, connection)
