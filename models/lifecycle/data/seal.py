"""The seal of the test split: every look at it is written down before it happens, and can be counted afterwards.

A test split that chose the model is a second validation split. Looks cannot be prevented, so each is a line of
`test-uses.jsonl`, chained by hash to the one before: a report that shows a count can be believed.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from models.lifecycle.data.complaint import Complaint, DatasetError

NAME = "test-uses.jsonl"


@dataclass(frozen=True, slots=True)
class Use:
    """One look at the test split. version: of its rows, so that looks at the same pictures can be told apart."""

    at: str
    by: str
    purpose: str
    version: str


def record_use(root: Path, version: str, purpose: str) -> tuple[Use, ...]:
    """Write one more use down, on the disk before it returns. Returns all uses, this one last. Raises DatasetError."""
    if not purpose.strip():
        raise ValueError("say what the test split is looked at for")
    path = root / NAME
    before = uses(root)
    use = Use(datetime.now(UTC).isoformat(timespec="seconds"), _who(), purpose, version)
    line = _line(use, _chain(path))
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        cure = f"the use cannot be written down ({error.strerror}), so the test split stays sealed: make it writable"
        raise DatasetError(Complaint(str(path), "file", NAME, cure)) from error
    return (*before, use)


def uses(root: Path) -> tuple[Use, ...]:
    """Every use so far, oldest first. Raises DatasetError where lines were changed or taken out."""
    path = root / NAME
    found: list[Use] = []
    chain = ""
    for number, line in enumerate(_lines(path), 1):
        try:
            entry = cast(dict[str, Any], json.loads(line))
            use = Use(*(str(entry[key]) for key in ("at", "by", "purpose", "version")))
            held = entry["after"] == chain
        except (ValueError, KeyError, TypeError):
            use, held = None, False
        if use is None or not held:
            cure = "was changed after it was written: restore the file; without it the uses of the test are unknown"
            raise DatasetError(Complaint(str(path), f"line {number}", line[:60], cure))
        found.append(use)
        chain = _hash(line)
    return tuple(found)


def _line(use: Use, after: str) -> str:
    entry = {"at": use.at, "by": use.by, "purpose": use.purpose, "version": use.version, "after": after}
    return json.dumps(entry, ensure_ascii=False)


def _chain(path: Path) -> str:
    lines = _lines(path)
    return _hash(lines[-1]) if lines else ""


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(Complaint(str(path), "file", path.name, f"cannot be read ({error}): restore it")) from error


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
