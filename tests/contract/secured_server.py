"""The tag server with certificates and users, as a PLC that lets nobody in whom it does not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from controller.certificates import make_certificate
from tests.contract.tag_server import TagServer, TagServerSettings

EVERYTHING = (
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
)
URI = "urn:linegate:test-plc"


@dataclass
class Gate:
    """Whom the PLC lets in. certificate: its own, DER and PEM key; stations: thumbprints it trusts, None: any."""

    policies: tuple[ua.SecurityPolicyType, ...] = EVERYTHING
    certificate: tuple[bytes, bytes] | None = None
    users: dict[str, str] = field(default_factory=dict[str, str])
    user_certificates: list[bytes] = field(default_factory=list[bytes])
    anonymous: bool = True
    stations: list[bytes] | None = None
    attempts: int = 0

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """asyncua's UserManager."""
        self.attempts += 1
        if username is not None:
            right = username in self.users and self.users[username] == password
        elif certificate in self.user_certificates:
            right = True
        else:
            right = self.anonymous
        return User(role=UserRole.User, name=username) if right else None


class SecuredTagServer(TagServer):
    """TagServer behind a gate."""

    def __init__(self, gate: Gate, settings: TagServerSettings | None = None, port: int | None = None) -> None:
        self.gate = gate
        super().__init__(settings, port)

    def _made_server(self) -> Server:
        return Server(user_manager=self.gate)  # pyright: ignore[reportArgumentType]

    async def _secure(self, server: Server) -> None:
        await server.set_application_uri(URI)
        server.set_security_policy(list(self.gate.policies))
        server.set_identity_tokens([ua.AnonymousIdentityToken, ua.UserNameIdentityToken, ua.X509IdentityToken])
        if self.gate.certificate is not None:
            certificate, key = self.gate.certificate
            await server.load_certificate(certificate, "der")
            await server.load_private_key(key, format="pem")

        async def validate(certificate: x509.Certificate, _: ua.ApplicationDescription) -> None:
            known = self.gate.stations
            if known is not None and certificate.public_bytes(Encoding.DER) not in known:
                raise ServiceError(StatusCodes.BadCertificateUntrusted)

        server.set_certificate_validator(validate)


def plc_certificate(**changes: Any) -> tuple[bytes, bytes]:
    """A PLC's own certificate and key."""
    return make_certificate(URI, "test PLC", server=True, **changes)


def trust(pki: Path, certificate: bytes, name: str = "plc") -> Path:
    """Trust a PLC's certificate as a person does."""
    path = pki / "trusted" / f"{name}.der"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(certificate)
    return path
