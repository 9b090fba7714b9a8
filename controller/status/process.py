"""The status process: its settings, and its entry point. Importing this loads no OPC UA library into the station."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlparse

from controller.errors import ConfigError


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """How the status process serves.

    endpoint: "opc.tcp://127.0.0.1:4840". There are no roles and there is no encryption yet, so anyone who can reach the
    server can change the mode: any address but this computer's own is refused unless `allow_remote` says that the
    network keeps strangers out. Raises ConfigError.
    """

    endpoint: str
    station: str
    allow_remote: bool = False
    recipes: Path | None = None
    """Folder of the recipes, to list, add and remove."""
    journal: Path | None = None
    """The station's journal, to read results from."""
    cache: Path | None = None
    """Folder for the imported models; None: they are imported at every start."""

    def __post_init__(self) -> None:
        check_endpoint(self.endpoint, self.allow_remote)


def check_endpoint(endpoint: str, allow_remote: bool) -> None:
    """Raise ConfigError unless the endpoint is an OPC UA address that only this computer reaches, or may be another."""
    key = "status.endpoint"
    try:
        url = urlparse(endpoint)
        port = url.port
    except ValueError as error:
        raise ConfigError("station.toml", key, endpoint, "write opc.tcp://127.0.0.1:4840") from error
    if url.scheme != "opc.tcp" or not url.hostname or not port:
        raise ConfigError("station.toml", key, endpoint, "write opc.tcp://127.0.0.1:4840")
    if not allow_remote and not _is_loopback(url.hostname):
        raise ConfigError(
            "station.toml",
            key,
            endpoint,
            "the status server has no roles and no encryption yet: bind it to 127.0.0.1, or set status.allow_remote "
            "where the network itself keeps strangers out",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run_status(settings: StatusSettings, connection: Connection) -> None:
    """Serve the station's status until the pipe to the station closes. Entry point of a spawned process.

    Security policy None, anonymous clients, this computer only: roles and encryption are an issue of their own.
    """
    check_endpoint(settings.endpoint, settings.allow_remote)
    from controller.status.server import serve

    serve(settings, connection)
