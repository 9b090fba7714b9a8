"""`linegate trust`: which clients' certificates the status server lets in."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console
from rich.table import Table

from controller.config import ConfigErrors, StationConfig, load_station
from controller.errors import ConfigError
from controller.status.security.pki import Certificate, Pki

DONE, NOT_FOUND, BAD_INPUT = 0, 1, 2

_EXAMPLES = """examples:
  linegate trust list --station station.toml
  linegate trust add 3f9a --station station.toml         (the thumbprint of a rejected one, or its beginning)
  linegate trust add scada.der --station station.toml    (a file, DER or PEM; an authority lets in what it issued)
  linegate trust reject 3f9a --station station.toml
exit codes: 0 done, 1 no such certificate, 2 it makes no sense or a file is wrong
"""


# The type of what add_subparsers() returns has no public name.
def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `trust` with its verbs to the program's sub-commands."""
    style = argparse.RawDescriptionHelpFormatter
    trust = subparsers.add_parser(
        "trust", help="which clients' certificates are let in", epilog=_EXAMPLES, formatter_class=style
    )
    verbs = trust.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="trusted and rejected", epilog=_EXAMPLES, formatter_class=style)
    add = verbs.add_parser("add", help="let one in", epilog=_EXAMPLES, formatter_class=style)
    reject = verbs.add_parser("reject", help="let one in no longer", epilog=_EXAMPLES, formatter_class=style)
    for parser in (listing, add, reject):
        add_station(parser)
    add.add_argument("certificate", metavar="THUMBPRINT|FILE")
    reject.add_argument("certificate", metavar="THUMBPRINT")
    trust.set_defaults(run=guarded("trust", _run))


def add_station(parser: argparse.ArgumentParser) -> None:
    """The options that every verb has."""
    parser.add_argument("--station", type=Path, required=True, metavar="STATION.toml")
    parser.add_argument("--json", action="store_true", help="JSON for programs instead of text for people")


def guarded(name: str, work: Callable[[argparse.Namespace, StationConfig], int]) -> Callable[[argparse.Namespace], int]:
    """The command with its station loaded; what is wrong is said on standard error, with BAD_INPUT."""

    def run(args: argparse.Namespace) -> int:
        try:
            return work(args, load_station(args.station))
        except (ConfigErrors, ConfigError, ValueError, OSError) as error:
            sys.stderr.write(f"linegate {name}: {error}\n")
            return BAD_INPUT

    return run


def _run(args: argparse.Namespace, config: StationConfig) -> int:
    pki = Pki(config.pki_path)
    if args.verb == "list":
        return _list(args, pki)
    if args.verb == "add":
        der = _given(pki, args.certificate)
        found = pki.trust(der) if der is not None else None
    else:
        found = pki.distrust(args.certificate)
    if found is None:
        sys.stderr.write(f"linegate trust: no certificate {args.certificate}\n")
        return NOT_FOUND
    text = json.dumps(_row(found)) if args.json else f"{args.verb}: {found.subject} {found.thumbprint}"
    sys.stdout.write(text + "\n")
    return DONE


def _given(pki: Pki, what: str) -> bytes | None:
    path = Path(what)
    if not path.is_file():
        return pki.find_rejected(what)
    content = path.read_bytes()
    if content.startswith(b"-----BEGIN"):
        return x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
    return content


def _list(args: argparse.Namespace, pki: Pki) -> int:
    found = list(pki.certificates())
    if args.json:
        sys.stdout.write(json.dumps([_row(certificate) for certificate in found], indent=2) + "\n")
        return DONE
    table = Table("", "thumbprint", "subject", "application", "valid until", title=str(pki.folder))
    for c in found:
        state = "trusted" if c.trusted else "rejected"
        table.add_row(
            state, c.thumbprint[:16], ascii(c.subject)[1:-1], ascii(" ".join(c.uris))[1:-1], f"{c.until:%Y-%m-%d}"
        )
    Console().print(table)
    return DONE


def _row(certificate: Certificate) -> dict[str, object]:
    return {
        "thumbprint": certificate.thumbprint,
        "subject": certificate.subject,
        "uris": list(certificate.uris),
        "until": certificate.until.isoformat(),
        "trusted": certificate.trusted,
    }
