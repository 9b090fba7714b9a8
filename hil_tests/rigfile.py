"""What is plugged in where: a rig file, simulated or real, read and checked before anything starts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Protocol = Literal["opcua", "ethernet-ip", "modbus"]
Profile = Literal["sequence", "four-phase"]
Mode = Literal["SHADOW", "ALERT", "AUTO_REJECT"]
MODES: tuple[Mode, ...] = ("SHADOW", "ALERT", "AUTO_REJECT")
RIGS = Path(__file__).parent / "rigs"


class RigFileError(Exception):
    """A rig file that cannot be used: file, key, value and cure."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SoftPlcResource(_Strict):
    """[plc] kind = "soft": a simulated PLC in a process of its own. Every fault can be provoked."""

    kind: Literal["soft"]
    protocol: Protocol
    profile: Profile = "sequence"


class RealPlcResource(_Strict):
    """[plc] kind = "real": the line's own PLC brings the parts. host and port: where the station reaches it."""

    kind: Literal["real"]
    protocol: Protocol
    profile: Profile = "sequence"
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)]


class NetworkResource(_Strict):
    """[network]: the cable between station and PLC. shaper: through a relay that can disturb it."""

    shaper: bool = True
    seed: int = 1


class LineResource(_Strict):
    """[line]: what the camera sees. "simulated" needs a soft PLC; "real" is the plant's own camera and parts."""

    kind: Literal["simulated", "real"] = "simulated"
    seed: int = 5


class StationResource(_Strict):
    """[station]: Linegate, started by the rig. config: the plant's station.toml where the line is a real one."""

    config: Path | None = None


class RigFile(_Strict):
    """A whole rig file."""

    schema_: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    plc: Annotated[SoftPlcResource | RealPlcResource, Field(discriminator="kind")]
    network: NetworkResource = NetworkResource()
    line: LineResource = LineResource()
    station: StationResource = StationResource()

    @property
    def offers(self) -> frozenset[str]:
        """What a fault may count on here; a fault that needs more is skipped."""
        offered = {"station process"}
        if self.plc.kind == "soft":
            offered.add("soft PLC")
        if self.network.shaper:
            offered.add("network shaper")
        if self.line.kind == "simulated":
            offered.add("simulated line")
        return frozenset(offered)


def load_rig(path: Path) -> RigFile:
    """Read a rig file. Raises RigFileError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        rig = RigFile.model_validate(content)
    except OSError as error:
        raise RigFileError(f"{path}: cannot be read: {error.strerror}; there are: {', '.join(known_rigs())}") from error
    except tomllib.TOMLDecodeError as error:
        raise RigFileError(f"{path}: is not valid TOML: {error}") from error
    except ValidationError as error:
        told = [f"{'.'.join(map(str, e['loc']))} = {e.get('input')!r}: {e['msg']}" for e in error.errors()]
        raise RigFileError("\n".join(f"{path}: {line}" for line in told)) from error
    if (rig.plc.kind == "real") != (rig.line.kind == "real"):
        raise RigFileError(
            f"{path}: line.kind = {rig.line.kind!r} with plc.kind = {rig.plc.kind!r}: "
            "a real PLC brings real parts, a soft PLC simulated ones: make both the same"
        )
    if rig.line.kind == "real" and rig.station.config is None:
        raise RigFileError(f"{path}: station.config is missing: name the station.toml of the real line")
    return rig


def known_rigs() -> list[str]:
    """Names of the rig files that come with the tests."""
    return sorted(path.stem for path in RIGS.glob("*.toml"))


def find_rig(name: str) -> RigFile:
    """By name, for a rig that comes with the tests, or by path. Raises RigFileError."""
    path = RIGS / f"{name}.toml"
    return load_rig(path if path.is_file() else Path(name))
