"""Settings, people and clients for tests of the status process."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asyncua.client.client import Client
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)

from controller.certificates import make_certificate
from controller.status.access import Role
from controller.status.process import StatusSettings
from controller.status.security import users
from controller.status.security.pki import Pki
from controller.status.security.users import Account, UsersFile
from tests.integration.status_cache import model_cache

OWN_URI, CLIENT_URI = "urn:linegate:press-3", "urn:linegate:test:client"
PASSWORD = "correct horse 42"
POLICIES: dict[str, Any] = {
    "Basic256Sha256": SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": SecurityPolicyAes256Sha256RsaPss,
}
PEOPLE: dict[str, Role] = {
    "oskar": Role.OBSERVER,
    "olga": Role.OPERATOR,
    "emil": Role.ENGINEER,
    "maria": Role.MAINTENANCE,
}
_SALT = b"a salt for tests"
_ACCOUNTS: dict[str, Account] = {}


def free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"opc.tcp://127.0.0.1:{probe.getsockname()[1]}"


def accounts() -> dict[str, Account]:
    """Everyone of PEOPLE, with PASSWORD; hashed once, since a hash is meant to be slow."""
    if not _ACCOUNTS:
        known = users.make_account("oskar", PASSWORD, frozenset({Role.OBSERVER}))
        for name, role in PEOPLE.items():
            _ACCOUNTS[name] = Account(name, frozenset({role}), known.salt, known.digest)
    return _ACCOUNTS


_CERTIFICATES: dict[str, tuple[bytes, bytes]] = {}


def certificate(uri: str = CLIENT_URI) -> tuple[bytes, bytes]:
    """A client's certificate and key; one for each application, since making a key takes a while."""
    if uri not in _CERTIFICATES:
        _CERTIFICATES[uri] = make_certificate(uri, "test client", server=False)
    return _CERTIFICATES[uri]


def settings(endpoint: str, folder: Path | None = None, **changes: Any) -> StatusSettings:
    """Of a server in a folder of its own, with PEOPLE and the test's certificate trusted.

    Unsecured on loopback with anonymous readers, unless changed.
    """
    folder = folder or Path(tempfile.mkdtemp(prefix="linegate-status-"))
    path = folder / "users.json"
    file = UsersFile(path)
    for account in accounts().values():
        file.put(account)
    pki = Pki(folder / "pki")
    pki.open()
    pki.trust(certificate()[0])
    own = certificate(OWN_URI)
    (pki.folder / "own" / "cert.der").write_bytes(own[0])
    (pki.folder / "own" / "key.pem").write_bytes(own[1])
    values: dict[str, Any] = {"anonymous": "read", "unsecured": True, "cache": model_cache()}
    return StatusSettings(endpoint, "press 3", folder / "pki", path, **(values | changes))


@asynccontextmanager
async def client_of(
    endpoint: str,
    name: str | None = None,
    *,
    policy: str | None = "Basic256Sha256",
    password: str = PASSWORD,
    uri: str = CLIENT_URI,
    says: str | None = None,
    **options: Any,
) -> AsyncGenerator[Client]:
    """A connected client: encrypted with the test's certificate unless policy is None; anonymous without a name.

    uri: of the certificate; says: what the client calls itself, where that differs.
    """
    # The library waits 4 s for an answer: too short on a computer that others use, too.
    settings: dict[str, Any] = {"timeout": 30, **options}
    client = Client(endpoint, **settings)
    client.application_uri = says or uri
    if policy is not None:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("cert.der", "key.pem")]
            for file, content in zip(files, certificate(uri), strict=True):
                file.write_bytes(content)
            await client.set_security(POLICIES[policy], str(files[0]), str(files[1]))
    if name is not None:
        client.set_user(name)
        client.set_password(password)
    async with client:
        yield client
