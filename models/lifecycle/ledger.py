"""Which stages of a build are done: so that one that was killed goes on where it was, and to the same result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from models.errors import ModelError, ModelRejected

NAME = "build.json"


class Ledger:
    """The file `build.json` of a build's folder: what the build is made from, and the facts of every finished stage."""

    def __init__(self, folder: Path, made_from: Mapping[str, Any]) -> None:
        """Raises ModelRejected where the folder holds another build."""
        self._path = folder / NAME
        folder.mkdir(parents=True, exist_ok=True)
        asked = json.loads(json.dumps(made_from))
        kept = self._read()
        if kept and kept["made_from"] != asked:
            differs = sorted(key for key in asked if kept["made_from"].get(key) != asked[key])
            cure = "the folder holds a build from something else: choose another --out, or remove it"
            raise ModelRejected(str(self._path), "made_from", ", ".join(differs), cure)
        self._content: dict[str, Any] = kept or {"made_from": asked, "stages": {}}
        self._write()

    def stage(self, name: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The facts of a stage; its work is done only if it was not finished before."""
        stages = cast(dict[str, Any], self._content["stages"])
        if name not in stages:
            stages[name] = json.loads(json.dumps(work()))
            self._write()
        return cast(dict[str, Any], stages[name])

    def done(self, name: str) -> bool:
        """Whether a stage was finished."""
        return name in self._content["stages"]

    def _read(self) -> dict[str, Any] | None:
        try:
            return cast(dict[str, Any], json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ModelError(f"{self._path}: cannot be read ({error}): remove the folder to start anew") from error

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._content, indent=2) + "\n", encoding="utf-8")
        new.replace(self._path)
