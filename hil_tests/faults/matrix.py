"""The fault matrix: matrix.toml read and checked. One row per fault; a cell is a row on one rig in one mode."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hil_tests.rigfile import Mode, Profile, Protocol

MATRIX = Path(__file__).parent / "matrix.toml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def spoken(answer: str) -> str:
    """An answer for people."""
    return {"NONE": "no answer", "UNTRIGGERED": "not triggered"}.get(
        answer, answer.replace("/", ", ").replace("_", " ")
    )


class Expectation(_Strict):
    """What must come of a fault.

    answers: what the PLC may get for each part brought under the fault, "VERDICT/REASON"; NONE: triggered and not
    answered; UNTRIGGERED: the PLC itself did not trigger. last: the same for the newest part, where it differs.
    safe_ms: from the fault until the PLC knows (an answer, or nothing may be triggered any more; for a part without
    an answer, its time at the gate). recover_ms: from the fault's end until Ready. latch: failsafe code that must be
    latched, 0 for none. events: kinds that the journal must hold afterwards. gate: where the movement is not the one
    that mode and verdict ask for.
    """

    answers: frozenset[str] = frozenset()
    last: frozenset[str] | None = None
    safe_ms: float
    recover_ms: float
    latch: int = 0
    events: tuple[str, ...] = ()
    gate: int | None = None

    @field_validator("answers", "last", mode="before")
    @classmethod
    def _alternatives(cls, value: Any) -> Any:
        return frozenset(word.strip() for word in value.split("|") if word.strip()) if isinstance(value, str) else value

    def text(self) -> str:
        """For people."""
        said = [" or ".join(map(spoken, sorted(self.answers)))] if self.answers else []
        if self.last is not None:
            said.append(f"newest {' or '.join(map(spoken, sorted(self.last)))}")
        said += [f"safe in {self.safe_ms:g} ms", f"Ready {self.recover_ms:g} ms after the end"]
        said.append(f"failsafe {self.latch} latched" if self.latch else "no latch")
        return "; ".join(said)


class Fault(_Strict):
    """One row. needs: what the rig must offer. skip: protocols on which it cannot exist, each with its reason."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    group: str
    title: str
    needs: frozenset[str] = frozenset()
    profiles: tuple[Profile, ...] = ("sequence",)
    skip: dict[Protocol, str] = {}
    quick: bool = True
    expect: Expectation
    only: dict[Mode, dict[str, Any]] = {}

    def expectation(self, mode: Mode) -> Expectation:
        """What is expected in a mode: the row's, with what the mode changes."""
        changed = self.only.get(mode, {})
        return Expectation.model_validate({**self.expect.model_dump(), **changed})


def load_matrix(path: Path = MATRIX) -> list[Fault]:
    """Every row, in the order in which they are run. Raises ValueError (pydantic) naming row and key."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
    faults = [Fault.model_validate(row) for row in rows]
    names = [fault.name for fault in faults]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ValueError(f"{path}: {', '.join(double)}: named twice")
    return faults
