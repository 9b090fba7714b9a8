"""A station's folder for a simulated line: configuration as a person would write it, ready for `linegate run`."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import models

_TEMPLATE = """\
# A station on the simulated line. `linegate check` explains every key; so does docs/configuration.md.
schema = 1

[station]
name = "{name}"
data_dir = "data"
recipes_dir = "recipes"
packages_dir = '{packages}'
initial_recipe = "{product}"
initial_mode = "{mode}"
divert_lane = false
process_priority = "realtime"

[plc]
kind = "opcua"
endpoint = "{plc_endpoint}"
poll_ms = {poll_ms}
fault_reset_from_plc = true

[plc.tags]
pattern = "ns=2;s=Linegate.{{tag}}"

[[cameras]]
kind = "sim"
name = "top"
belt = "{belt}"

[images]
budget_mb = {image_budget_mb}
ok = "{ok_images}"

[status]
endpoint = "{status_endpoint}"
# Only for a line that is simulated on this computer: anyone here may read, without encryption and without a name.
allow_unsecured_loopback = true
anonymous = "read"

[logs]
level = "INFO"
"""

RECIPES = Path(__file__).parent / "station" / "recipes"
PACKAGES = Path(models.__file__).parent / "packages"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a station lies and what it talks to."""

    folder: Path
    station: Path
    status_endpoint: str

    @property
    def images(self) -> Path:
        return self.folder / "data" / "images"

    @property
    def log(self) -> Path:
        return self.folder / "station.log"


def make_workspace(
    folder: Path,
    *,
    name: str,
    belt: str,
    plc_endpoint: str,
    mode: str = "AUTO_REJECT",
    product: str = "washer",
    recipes: Path = RECIPES,
    packages: Path = PACKAGES,
    image_budget_mb: int = 20_000,
    ok_images: str = "jpeg",
    poll_ms: float = 2.0,
) -> Workspace:
    """Write station.toml and the recipes into a folder; what was recorded there before stays."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(recipes, folder / "recipes", dirs_exist_ok=True)
    status_endpoint = f"opc.tcp://127.0.0.1:{_free_port()}/linegate"
    text = _TEMPLATE.format(
        name=name,
        packages=packages.resolve(),
        product=product,
        mode=mode,
        plc_endpoint=plc_endpoint,
        belt=belt,
        image_budget_mb=image_budget_mb,
        ok_images=ok_images,
        status_endpoint=status_endpoint,
        poll_ms=poll_ms,
    )
    station = folder / "station.toml"
    station.write_text(text, encoding="utf-8")
    return Workspace(folder, station, status_endpoint)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
