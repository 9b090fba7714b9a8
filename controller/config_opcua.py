"""[plc.tags] and [plc.security] of a PLC that is reached over OPC UA."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from controller.strict import Located, Strict


class OpcUaTagsSection(Strict):
    """[plc.tags]: where each tag of the contract lies. A vendor's style, or a pattern of one's own."""

    style: Literal["linegate", "siemens", "codesys", "beckhoff", "kepware"] | None = None
    pattern: str | None = None
    root: str | None = None
    overrides: dict[str, str] = Field(default_factory=dict)

    @field_validator("pattern")
    @classmethod
    def _has_tag(cls, value: str | None) -> str | None:
        if value is not None and "{tag}" not in value and "{quoted}" not in value:
            raise ValueError(
                "must contain {tag}, which stands for the tag's name, or {quoted}, which is the same in Siemens' quotes"
            )
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.style is not None and self.pattern is not None:
            raise ValueError("style and pattern exclude each other: keep the one that fits the server")
        if self.root is not None and self.pattern is not None and "{root}" not in self.pattern:
            raise ValueError("root has no place in this pattern: write {root} into it, or remove root")
        return self


class OpcUaSecuritySection(Located):
    """[plc.security]: how the connection is protected, who the station is, and which PLC it believes."""

    policy: Literal["none", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] = "none"
    mode: Literal["sign", "sign_and_encrypt"] = "sign_and_encrypt"
    certificate: Path | None = None
    private_key: Path | None = None
    trusted_dir: Path | None = None
    user_name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    password_file: Path | None = None
    password_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    user_certificate: Path | None = None
    user_key: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_secret(cls, content: Any) -> Any:
        if isinstance(content, dict) and "password" in content:
            raise ValueError(
                "a password does not belong in this file: name a file in password_file, or a variable in password_env"
            )
        return content

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _together(self, "certificate", "private_key")
        _together(self, "user_certificate", "user_key")
        passwords = [key for key in ("password_file", "password_env") if getattr(self, key) is not None]
        if len(passwords) > 1:
            raise ValueError("password_file and password_env exclude each other: keep one")
        if passwords and self.user_name is None:
            raise ValueError(f"{passwords[0]} needs a user_name")
        if self.user_name is not None and not passwords:
            raise ValueError("user_name needs password_file or password_env")
        if self.user_name is not None and self.user_certificate is not None:
            raise ValueError("user_name and user_certificate exclude each other: keep one")
        if self.policy == "none" and self.user_certificate is not None:
            raise ValueError("user_certificate needs a policy: without one nothing is signed")
        return self


def _together(section: OpcUaSecuritySection, one: str, other: str) -> None:
    if (getattr(section, one) is None) != (getattr(section, other) is None):
        raise ValueError(f"{one} and {other} belong together: give both, or none")
