"""What every section of a configuration file has in common: nothing unknown, nothing changeable, absolute paths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Count = Annotated[int, Field(ge=1)]


class Strict(BaseModel):
    """Keys that nobody knows are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Located(Strict):
    """Paths in it are relative to the file that they stand in."""

    @field_validator("*", mode="after")
    @classmethod
    def _resolve(cls, value: object, info: ValidationInfo) -> object:
        folder = (info.context or {}).get("folder")
        if isinstance(value, Path) and isinstance(folder, Path):
            return (folder / value).resolve()
        return value
