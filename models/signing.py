"""Who vouches for a model package: Ed25519 keys and signatures over manifest.json, which holds every file's hash."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from models.errors import ModelRejected
from models.package import MANIFEST, SIGNATURE, ModelPackage, open_package


def make_key(path: Path) -> str:
    """Write a new private key (PEM, readable by its owner only). Returns the public key in hexadecimal digits, as
    station.toml takes it under inference.trusted_keys. Raises ModelRejected where the file exists."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ModelRejected(str(path), "key", path.name, f"cannot be made: {error.strerror}") from error
    with os.fdopen(file, "wb") as out:
        out.write(pem)
    return public_hex(key)


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file. Raises ModelRejected."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ModelRejected(str(path), "key", path.name, f"cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        cure = "is no private key in PEM without a password: make one with `linegate model key`"
        raise ModelRejected(str(path), "key", path.name, cure) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ModelRejected(str(path), "key", type(key).__name__, "an Ed25519 key is wanted: `linegate model key`")
    return key


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public half, 64 hexadecimal digits."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def sign(folder: Path, key: Ed25519PrivateKey) -> ModelPackage:
    """Check every byte of the package in `<name>/<version>` and sign its manifest. Raises ModelRejected."""
    root, name, version = folder.parent.parent, folder.parent.name, folder.name
    (folder / SIGNATURE).unlink(missing_ok=True)
    open_package(root, name, version)
    (folder / SIGNATURE).write_bytes(key.sign((folder / MANIFEST).read_bytes()))
    return open_package(root, name, version, trusted_keys=[bytes.fromhex(public_hex(key))], require_signature=True)
