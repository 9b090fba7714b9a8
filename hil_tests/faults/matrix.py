"""The fault matrix: matrix.toml read and checked. One row per fault; a cell is a row on one rig in one mode.

Every row meets every protocol, profile and mode: the cell runs, or the row says why there is none.
"""

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
    answered; UNTRIGGERED: the PLC itself did not trigger. first, last: the same for the oldest and the newest part,
    where they differ. safe_ms: from the fault until the PLC knows (an answer, or nothing may be triggered any more; for
    a part without an answer in time, its time at the gate). recover_ms: from the fault's end until Ready. latch:
    failsafe code that must be latched, 0 for none. events: kinds that the journal must hold afterwards ("kind:key":
    with this in its detail). missed: how many triggers it must count as never read. gate: where the movement is not
    the one that mode and verdict ask for.
    """

    answers: frozenset[str] = frozenset()
    first: frozenset[str] | None = None
    last: frozenset[str] | None = None
    safe_ms: float
    recover_ms: float
    latch: int = 0
    events: tuple[str, ...] = ()
    missed: int | None = None
    gate: int | None = None

    @field_validator("answers", "first", "last", mode="before")
    @classmethod
    def _alternatives(cls, value: Any) -> Any:
        return frozenset(word.strip() for word in value.split("|") if word.strip()) if isinstance(value, str) else value

    def allowed(self, index: int, count: int) -> frozenset[str]:
        """What this one of so many parts may get."""
        if index == 0 and self.first is not None:
            return self.first
        if index == count - 1 and self.last is not None:
            return self.last
        return self.answers

    def text(self) -> str:
        """For people."""
        said: list[str] = []
        for which, answers in (("first ", self.first), ("", self.answers), ("newest ", self.last)):
            if answers:
                said.append(which + " or ".join(map(spoken, sorted(answers))))
        if self.missed is not None:
            said.append(f"{self.missed} triggers counted as missed")
        said += [f"safe in {self.safe_ms:g} ms", f"Ready {self.recover_ms:g} ms after the end"]
        said.append(f"failsafe {self.latch} latched" if self.latch else "no latch")
        return "; ".join(said)


class Fault(_Strict):
    """One row.

    needs: what the rig must offer. skip: protocols, profiles and modes in which the fault cannot exist, each with its
    reason. only: what is expected otherwise in a profile or mode. alone: disturbs whatever runs on the same computer.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    group: str
    title: str
    needs: frozenset[str] = frozenset()
    skip: dict[Protocol | Profile | Mode, str] = {}
    quick: bool = True
    alone: bool = False
    expect: Expectation
    only: dict[Profile | Mode, dict[str, Any]] = {}

    def expectation(self, mode: Mode, profile: Profile) -> Expectation:
        """The row's, with what profile and mode change, in this order."""
        changed = {**self.only.get(profile, {}), **self.only.get(mode, {})}
        return Expectation.model_validate({**self.expect.model_dump(), **changed})

    def impossible(self, protocol: Protocol, profile: Profile, mode: Mode) -> str:
        """Why this fault cannot exist there, "" where it can."""
        return next((why for key in (protocol, profile, mode) if (why := self.skip.get(key))), "")


def load_matrix(path: Path = MATRIX) -> list[Fault]:
    """Every row, in the order in which they are run. Raises ValueError (pydantic) naming row and key."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
    faults = [Fault.model_validate(row) for row in rows]
    names = [fault.name for fault in faults]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ValueError(f"{path}: {', '.join(double)}: named twice")
    return faults
