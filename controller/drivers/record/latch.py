"""The failsafe latch on disk: it survives a restart, a crash and a power cut."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.drivers.record.disk import fsync_directory
from controller.errors import RecordError
from statemachines.vocabulary import FaultCode

UNREADABLE = FaultCode.OPERATOR
"""What an unreadable latch counts as. Nothing is known of the cause, so a code that names a technical one would be
invented and might wait for a cure that never comes; OPERATOR says what is true: a person must look and reset."""


class FileLatch:
    """The port `Latch` as one small JSON file: {"code": 2, "why": "…", "since": "2026-11-24T10:00:00+00:00"}.

    A missing file means that nothing was ever latched. Both calls block for disk time (an fsync is 1 to 50 ms).
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[FaultCode, str]:
        """The fault that is latched, FaultCode.NONE if none. Never raises: what cannot be read is latched."""
        try:
            content: Any = json.loads(self._path.read_text(encoding="utf-8"))
            code, why = content["code"], content["why"]
            if type(code) is not int or type(why) is not str:
                raise TypeError("code must be a number and why a text")
            return FaultCode(code), why
        except FileNotFoundError:
            return FaultCode.NONE, ""
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            return UNREADABLE, f"{self._path} cannot be read, so it counts as latched: {error}"

    def store(self, code: FaultCode, why: str) -> None:
        """Replace the file in one step and make that durable. Raises RecordError; the old content then still holds."""
        content = {"code": int(code), "why": why, "since": datetime.now(UTC).isoformat()}
        half = self._path.with_name(self._path.name + ".tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with half.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self._path)
            fsync_directory(self._path.parent)
        except OSError as error:
            raise RecordError(f"{self._path}: the failsafe latch cannot be written: {error}: mend the disk") from error
