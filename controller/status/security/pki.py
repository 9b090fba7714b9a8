"""Certificates: the station's own, made at the first start, and the clients' that a person trusts or not.

```
pki/own/cert.der, key.pem     pki/trusted/*.der     pki/rejected/*.der
```
A client whose certificate is neither trusted nor issued by a trusted authority is refused; its certificate then lies in
`rejected`, for `linegate trust add`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa

from controller.certificates import make_certificate, thumbprint, uris, write_pair
from controller.errors import ConfigError

MOST_REJECTED = 100
"""Certificates of strangers that are kept: whoever can reach the port must not fill the disk."""
PLENTY, PERIOD_S = 10, 10.0
"""How many of them are written in each period: the journal's disk has other things to do, and a flood is to leave time
to look at what was there before."""
LARGEST = 16_384
"""Bytes of one certificate."""
SMALLEST_KEY = 2048


class Refused(Enum):
    """Why a certificate is not let in."""

    UNREADABLE = "is no certificate"
    WEAK = f"has no RSA key of {SMALLEST_KEY} to 4096 bits"
    EXPIRED = "is not valid at this time"
    STRANGER = "is not trusted"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client's certificate as a person looks at it."""

    thumbprint: str
    subject: str
    uris: tuple[str, ...]
    until: datetime
    trusted: bool


class Pki:
    """The folder `pki`. Methods read and write files; a trust check reads the folder only when it changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trusted, self.rejected = folder / "trusted", folder / "rejected"
        self._seen = -1
        self._thumbprints: frozenset[str] = frozenset()
        self._authorities: tuple[x509.Certificate, ...] = ()
        self._period, self._kept = -1, 0

    def open(self) -> None:
        """Make the folders. Raises ConfigError."""
        try:
            for folder in (self.folder, self.folder / "own", self.trusted, self.rejected):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._wrong(f"cannot be made: {error.strerror}") from error

    def own(self, uri: str, name: str) -> tuple[Path, Path]:
        """The station's certificate and key; both are made where one is missing. Raises ConfigError."""
        self.open()
        certificate, key = self.folder / "own" / "cert.der", self.folder / "own" / "key.pem"
        if not (certificate.is_file() and key.is_file()):
            try:
                der, pem = make_certificate(uri, name, server=True)
                write_pair(certificate, der, key, pem)
            except OSError as error:
                raise self._wrong(f"the station's own certificate cannot be written: {error.strerror}") from error
        return certificate, key

    def refusal(self, der: bytes, now: datetime) -> Refused | None:
        """Why this certificate is not let in, or None. A stranger's is kept among the rejected."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            key = certificate.public_key()
        except ValueError:
            return Refused.UNREADABLE
        if len(der) > LARGEST:
            return Refused.UNREADABLE
        if not isinstance(key, rsa.RSAPublicKey) or not SMALLEST_KEY <= key.key_size <= 4096:
            return Refused.WEAK
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return Refused.EXPIRED
        self._look()
        if thumbprint(der) in self._thumbprints or any(_issued(certificate, by, now) for by in self._authorities):
            return None
        self._reject(der)
        return Refused.STRANGER

    def certificates(self) -> Iterator[Certificate]:
        """All that are known, trusted ones first."""
        for folder in (self.trusted, self.rejected):
            for path in sorted(folder.glob("*.der")):
                yield _described(path.read_bytes(), folder == self.trusted)

    def trust(self, der: bytes) -> Certificate:
        """Let this certificate in from now on. Raises ValueError when it is none."""
        described = _described(der, True)
        self.open()
        (self.trusted / f"{described.thumbprint}.der").write_bytes(der)
        (self.rejected / f"{described.thumbprint}.der").unlink(missing_ok=True)
        return described

    def distrust(self, prefix: str) -> Certificate | None:
        """Let it in no longer; None when no trusted one begins like this."""
        path = self._find(self.trusted, prefix)
        if path is None:
            return None
        described = _described(path.read_bytes(), False)
        path.replace(self.rejected / path.name)
        return described

    def find_rejected(self, prefix: str) -> bytes | None:
        """A rejected certificate by its thumbprint or the beginning of it. Raises ValueError when several match."""
        path = self._find(self.rejected, prefix)
        return path.read_bytes() if path else None

    def _find(self, folder: Path, prefix: str) -> Path | None:
        wanted = prefix.lower().replace(":", "")
        found = [path for path in folder.glob("*.der") if wanted and path.stem.startswith(wanted)]
        if len(found) > 1:
            raise ValueError(f"{len(found)} certificates begin with {prefix}: give more of the thumbprint")
        return found[0] if found else None

    def _look(self) -> None:
        try:
            changed = self.trusted.stat().st_mtime_ns
        except OSError:
            self._thumbprints, self._authorities = frozenset(), ()
            return
        if changed == self._seen:
            return
        contents = [path.read_bytes() for path in self.trusted.glob("*.der")]
        self._thumbprints = frozenset(map(thumbprint, contents))
        self._authorities = tuple(filter(_is_authority, map(x509.load_der_x509_certificate, contents)))
        self._seen = changed

    def _reject(self, der: bytes) -> None:
        path = self.rejected / f"{thumbprint(der)}.der"
        if path.exists():
            return
        period = int(time.monotonic() / PERIOD_S)
        if period != self._period:
            self._period, self._kept = period, 0
        if self._kept >= PLENTY:
            return
        self._kept += 1
        kept = sorted(self.rejected.glob("*.der"), key=lambda other: other.stat().st_mtime_ns)
        for oldest in kept[: max(0, len(kept) - MOST_REJECTED + 1)]:
            oldest.unlink(missing_ok=True)
        path.write_bytes(der)

    def _wrong(self, cure: str) -> ConfigError:
        return ConfigError("station.toml", "status.pki_dir", str(self.folder), cure)


def _described(der: bytes, trusted: bool) -> Certificate:
    certificate = x509.load_der_x509_certificate(der)
    subject = certificate.subject.rfc4514_string()
    return Certificate(thumbprint(der), subject, uris(certificate), certificate.not_valid_after_utc, trusted)


def _is_authority(certificate: x509.Certificate) -> bool:
    """It may issue others. A client's own certificate is trusted for itself only, whatever it says of itself there."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        extended = certificate.extensions
    except (x509.ExtensionNotFound, ValueError):
        return False
    application = any(isinstance(e.value, x509.ExtendedKeyUsage) for e in extended)
    return basic.ca and usage.key_cert_sign and not application


def _issued(certificate: x509.Certificate, by: x509.Certificate, now: datetime) -> bool:
    if not by.not_valid_before_utc <= now <= by.not_valid_after_utc:
        return False
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
