"""Who the station is towards an OPC UA server, and which server it believes.

```
pki_dir/own/cert.der, key.pem   made at the first use; the PLC must trust cert.der
pki_dir/trusted/*.der, *.pem    certificates of PLCs that a person trusted; no other server is talked to
pki_dir/rejected/*.der          what servers showed that nobody trusts, to be compared and moved
```
Nothing is trusted on first sight: whoever answers at the PLC's address could then order rejects. Files are read anew at
each connect, so that a new password or a newly trusted certificate needs no restart.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from asyncua import ua
from asyncua.crypto import security_policies
from asyncua.ua.status_codes import StatusCodes
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, load_pem_private_key
from loguru import logger

from controller.certificates import (
    leaf,
    make_certificate,
    read_certificate,
    thumbprint,
    uris,
    validity_problem,
    write_pair,
)
from controller.errors import ConfigError

PolicyName = Literal["none", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
ModeName = Literal["sign", "sign_and_encrypt"]

PRODUCT_URI = "urn:linegate"
PLAIN_URI = "urn:linegate:station"
"""Application URI without a certificate; with one it is the certificate's."""

_POLICIES: dict[PolicyName, Any] = {
    "none": security_policies.SecurityPolicyNone,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_MODES = {
    "sign": ua.MessageSecurityMode.Sign,
    "sign_and_encrypt": ua.MessageSecurityMode.SignAndEncrypt,
}
_IDENTITY = frozenset(
    {
        StatusCodes.BadUserAccessDenied,
        StatusCodes.BadIdentityTokenInvalid,
        StatusCodes.BadIdentityTokenRejected,
        StatusCodes.BadUserSignatureInvalid,
    }
)
_CERTIFICATE = frozenset(
    {
        StatusCodes.BadCertificateUntrusted,
        StatusCodes.BadCertificateInvalid,
        StatusCodes.BadCertificateTimeInvalid,
        StatusCodes.BadCertificateUriInvalid,
        StatusCodes.BadCertificateUseNotAllowed,
        StatusCodes.BadCertificateRevoked,
        StatusCodes.BadCertificateChainIncomplete,
        StatusCodes.BadSecurityChecksFailed,
        StatusCodes.BadApplicationSignatureInvalid,
    }
)
_POLICY = frozenset({StatusCodes.BadSecurityPolicyRejected, StatusCodes.BadSecurityModeRejected})
_SOON_DAYS = 30
_MOST_REJECTED = 20


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """[plc.security] as the driver needs it. where: the file that errors name."""

    policy: PolicyName = "none"
    mode: ModeName = "sign_and_encrypt"
    pki_dir: Path = Path("pki/plc")
    certificate: Path | None = None
    private_key: Path | None = None
    trusted_dir: Path | None = None
    user_name: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    user_certificate: Path | None = None
    user_key: Path | None = None
    where: str = "station.toml"

    @property
    def secured(self) -> bool:
        return self.policy != "none"

    @property
    def trusted(self) -> Path:
        return self.trusted_dir or self.pki_dir / "trusted"

    @property
    def message_mode(self) -> ua.MessageSecurityMode:
        return _MODES[self.mode] if self.secured else ua.MessageSecurityMode.None_

    @property
    def policy_uri(self) -> str:
        return str(_POLICIES[self.policy].URI)

    def wrong(self, key: str, value: object, cure: str) -> ConfigError:
        """Something in [plc.security] that a person must mend."""
        return ConfigError(self.where, f"plc.security.{key}", str(value), cure)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection is made with, read from the files."""

    settings: SecuritySettings
    application_uri: str = PLAIN_URI
    certificate: x509.Certificate | None = None
    certificate_path: Path = Path()
    key: Any = None
    password: str | None = field(default=None, repr=False)
    user_certificate: x509.Certificate | None = None
    user_key: Any = None

    def policy_for(self, server: x509.Certificate) -> Any:
        """asyncua's policy for a channel to this server."""
        made = _POLICIES[self.settings.policy]
        return made(server, self.certificate, self.key, self.settings.message_mode, host_cert_chain=[])

    def choose(self, endpoints: Sequence[ua.EndpointDescription], endpoint: str) -> x509.Certificate:
        """The certificate of a server that offers what is wanted and is trusted. Raises ConfigError."""
        settings = self.settings
        for offered in endpoints:
            if (offered.SecurityPolicyUri, offered.SecurityMode) == (settings.policy_uri, settings.message_mode):
                return self.believe(leaf(offered.ServerCertificate or b""), endpoint)
        names = sorted({f"{_short(e.SecurityPolicyUri)} {e.SecurityMode.name.rstrip('_')}" for e in endpoints})
        wanted = f"{settings.policy} {settings.message_mode.name}"
        raise settings.wrong(
            "policy", wanted, f"{endpoint} offers {', '.join(names) or 'nothing'}: choose one of these"
        )

    def believe(self, der: bytes, endpoint: str) -> x509.Certificate:
        """The server's certificate, if a person trusted it and it is valid now. Raises ConfigError."""
        settings = self.settings
        try:
            shown = x509.load_der_x509_certificate(der)
        except ValueError as error:
            raise settings.wrong("policy", settings.policy, f"{endpoint} shows no readable certificate") from error
        known = _trusted(settings)
        name = thumbprint(der)
        if name not in known:
            raise _stranger(settings, der, endpoint, sorted(str(path) for path in known.values()))
        problem = validity_problem(shown, datetime.now(UTC))
        if problem:
            cure = (
                f"the certificate of {endpoint} {problem}: renew it in the PLC (or set this computer's clock), trust it"
            )
            raise ConfigError(str(known[name]), "plc.security.trusted_dir", name, cure)
        left = shown.not_valid_after_utc - datetime.now(UTC)
        if left.days < _SOON_DAYS:
            logger.warning("the PLC's certificate expires soon", endpoint=endpoint, days=left.days)
        return shown

    def explain(self, code: int, endpoint: str) -> ConfigError | None:
        """What to do where a server refuses with this status; None when it has nothing to do with security."""
        settings, status = self.settings, ua.StatusCode(ua.UInt32(code)).name
        if code in _IDENTITY:
            if settings.user_name is not None:
                key, value, what = "user_name", settings.user_name, "check name and password"
            elif settings.user_certificate is not None:
                key, value, what = "user_certificate", str(settings.user_certificate), "trust it there for users"
            else:
                key, value, what = "user_name", "anonymous", "give a user_name or a user_certificate"
            return settings.wrong(key, value, f"{endpoint} answered {status}: {what}")
        if code in _CERTIFICATE and self.certificate is not None:
            name = thumbprint(self.certificate.public_bytes(Encoding.DER))
            cure = f"{endpoint} answered {status}: trust this certificate in the PLC (thumbprint {name})"
            return settings.wrong("certificate", self.certificate_path, cure)
        if code in _POLICY or (code in _CERTIFICATE and self.certificate is None):
            return settings.wrong("policy", settings.policy, f"{endpoint} answered {status}: choose what it offers")
        return None


def load_credentials(settings: SecuritySettings, name: str = "Linegate") -> Credentials:
    """Read the files, and make the station's own certificate where it has none. Blocks; raises ConfigError."""
    made: dict[str, Any] = {}
    if settings.secured:
        certificate_path, key_path = _own_pair(settings, name)
        certificate = _certificate(settings, "certificate", certificate_path)
        named = uris(certificate)
        if not named:
            raise settings.wrong("certificate", certificate_path, "names no application URI: OPC UA needs one in it")
        made = {
            "application_uri": named[0],
            "certificate": certificate,
            "certificate_path": certificate_path,
            "key": _key(settings, "private_key", key_path),
        }
    if settings.user_certificate is not None and settings.user_key is not None:
        made["user_certificate"] = _certificate(settings, "user_certificate", settings.user_certificate)
        made["user_key"] = _key(settings, "user_key", settings.user_key)
    return Credentials(settings, password=_password(settings), **made)


def _own_pair(settings: SecuritySettings, name: str) -> tuple[Path, Path]:
    if settings.certificate is not None and settings.private_key is not None:
        return settings.certificate, settings.private_key
    certificate, key = settings.pki_dir / "own" / "cert.der", settings.pki_dir / "own" / "key.pem"
    if not (certificate.is_file() and key.is_file()):
        der, pem = make_certificate(f"urn:{socket.gethostname()}:linegate:plc-link", name, server=False)
        try:
            write_pair(certificate, der, key, pem)
        except OSError as error:
            raise settings.wrong("certificate", certificate, f"cannot be written: {error.strerror}") from error
        logger.warning(
            "a certificate for this station was made: trust it in the PLC",
            file=str(certificate),
            sha256=thumbprint(der),
        )
    return certificate, key


def _certificate(settings: SecuritySettings, key: str, path: Path) -> x509.Certificate:
    try:
        found = read_certificate(path)
    except OSError as error:
        raise settings.wrong(key, path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise settings.wrong(key, path, "is no certificate: DER or PEM is wanted") from error
    problem = validity_problem(found, datetime.now(UTC))
    if problem:
        raise settings.wrong(key, path, f"{problem}: remove or renew it, and trust the new one in the PLC")
    return found


def _key(settings: SecuritySettings, key: str, path: Path) -> Any:
    try:
        content = path.read_bytes()
        load = load_pem_private_key if content.lstrip().startswith(b"-----BEGIN") else load_der_private_key
        return load(content, None)
    except OSError as error:
        raise settings.wrong(key, path, f"cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise settings.wrong(key, path, "is no private key without a password: DER or PEM is wanted") from error


def _password(settings: SecuritySettings) -> str | None:
    if settings.password_env is not None:
        found = os.environ.get(settings.password_env)
        if not found:
            raise settings.wrong("password_env", settings.password_env, "is not set where the station runs")
        return found
    if settings.password_file is None:
        return None
    try:
        found = settings.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise settings.wrong("password_file", settings.password_file, f"cannot be read: {error}") from error
    if not found:
        raise settings.wrong("password_file", settings.password_file, "is empty: write the password into it")
    return found


def _trusted(settings: SecuritySettings) -> dict[str, Path]:
    """Thumbprints of the trusted certificates with their files."""
    known: dict[str, Path] = {}
    for path in sorted(settings.trusted.glob("*")):
        try:
            known[thumbprint(read_certificate(path).public_bytes(Encoding.DER))] = path
        except (OSError, ValueError) as error:
            raise ConfigError(
                str(path),
                "plc.security.trusted_dir",
                path.name,
                "is no certificate: remove it, or save it as DER or PEM",
            ) from error
    return known


def _stranger(settings: SecuritySettings, der: bytes, endpoint: str, known: list[str]) -> ConfigError:
    """The refusal of a server that nobody trusted, its certificate kept for comparing."""
    name = thumbprint(der)
    kept = settings.pki_dir / "rejected" / f"{name}.der"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.trusted.mkdir(parents=True, exist_ok=True, mode=0o700)
        others = sorted(kept.parent.glob("*.der"), key=lambda path: path.stat().st_mtime_ns)
        for oldest in others[: max(0, len(others) - _MOST_REJECTED + 1)]:
            oldest.unlink(missing_ok=True)
        kept.write_bytes(der)
    except OSError as error:
        return settings.wrong("trusted_dir", settings.trusted, f"{kept} cannot be written: {error.strerror}")
    cure = f"compare this thumbprint with the PLC's own display; if it is the same, copy {kept} to {settings.trusted}"
    if known:
        what = f"{endpoint} no longer shows the certificate that was trusted ({', '.join(known)})"
        return ConfigError(known[0], "plc.security.trusted_dir", name, f"{what}: {cure}")
    return ConfigError(
        str(settings.trusted), "plc.security.trusted_dir", name, f"nobody trusted {endpoint} yet: {cure}"
    )


def _short(uri: str | None) -> str:
    return (uri or "").rpartition("#")[2]
