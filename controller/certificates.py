"""Application certificates of OPC UA: made here, read, and told apart by their thumbprints."""

from __future__ import annotations

import hashlib
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEARS = 10
"""A line runs for many years; a certificate that ends unnoticed stops it."""

_KEY_BITS = 2048


def make_certificate(
    uri: str, name: str, *, server: bool, valid: tuple[datetime, datetime] | None = None
) -> tuple[bytes, bytes]:
    """A self-signed application certificate (DER) and its key (PEM), as OPC 10000-6 chapter 6.2.2 wants them.

    valid: from and until when; the next ten years unless given.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    # From yesterday: a PLC whose clock is a little behind must not refuse it.
    begin, end = valid or (now - timedelta(days=1), now + timedelta(days=365 * YEARS))
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(socket.gethostname())])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.DER), pem


def write_pair(certificate: Path, der: bytes, key: Path, pem: bytes) -> None:
    """Write certificate and key; the key readable by this user alone from its first byte on. Raises OSError."""
    for path in (certificate, key):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key.unlink(missing_ok=True)
    handle = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
    certificate.write_bytes(der)


def read_certificate(path: Path) -> x509.Certificate:
    """A certificate from a DER or PEM file. Raises OSError, or ValueError when it is none."""
    content = path.read_bytes()
    if content.lstrip().startswith(b"-----BEGIN"):
        return x509.load_pem_x509_certificate(content)
    return x509.load_der_x509_certificate(content)


def thumbprint(der: bytes) -> str:
    """SHA-256 of a certificate, 64 hex digits."""
    return hashlib.sha256(der).hexdigest()


def leaf(chain: bytes) -> bytes:
    """The first certificate of a chain of DER certificates; what is no chain is returned as it is."""
    # A DER sequence of 256 to 65,535 bytes begins with 30 82 and its length.
    if chain[:2] == b"\x30\x82" and len(chain) > 4:
        return chain[: 4 + int.from_bytes(chain[2:4], "big")]
    return chain


def uris(certificate: x509.Certificate) -> tuple[str, ...]:
    """Application URIs that a certificate names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))


def validity_problem(certificate: x509.Certificate, now: datetime) -> str:
    """Why a certificate is not valid at this time, or nothing."""
    if now > certificate.not_valid_after_utc:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if now < certificate.not_valid_before_utc:
        return f"is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on only"
    return ""
