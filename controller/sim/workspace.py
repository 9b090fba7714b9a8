"""A station's folder for a simulated line: configuration as a person would write it, ready for `linegate run`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import models
from controller.sim.plc_settings import Profile, Protocol, free_port
from controller.sim.view_set import ViewSet

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
profile = "{profile}"
poll_ms = {poll_ms}
{pulse}fault_reset_from_plc = true
{plc}

{cameras}
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

_PLC: dict[Protocol, str] = {
    "opcua": """\
kind = "opcua"
endpoint = "{address}"

[plc.tags]
pattern = "ns=2;s=Linegate.{{tag}}"
""",
    "ethernet-ip": """\
kind = "ethernet_ip"
address = "{address}"

[plc.tags]
pattern = "Linegate.{{tag}}"
""",
    "modbus": """\
kind = "modbus"
role = "client"
host = "{host}"
port = {port}
""",
    "modbus-server": """\
kind = "modbus"
role = "server"
host = "{host}"
port = {port}
""",
}
"""What each protocol adds to [plc]; the soft PLC's own tag server has these tags at this address."""

SIM_CAMERA = 'kind = "sim"\nbelt = "{belt}"'
GENTL_CAMERA = """\
kind = "genicam"
producer = '{producer}'
device = "{serial}"
acquisition = "{acquisition}"

[cameras.features]
PixelFormat = "Mono8"
ExposureTime = 200.0"""

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
    plc_address: str,
    protocol: Protocol = "opcua",
    profile: Profile = "sequence",
    mode: str = "AUTO_REJECT",
    product: str = "washer",
    recipes: Path = RECIPES,
    packages: Path = PACKAGES,
    image_budget_mb: int = 20_000,
    ok_images: str = "jpeg",
    poll_ms: float = 2.0,
    trigger_pulse_ms: int | None = None,
    cameras: Mapping[str, str] = MappingProxyType({"top": SIM_CAMERA}),
    views: ViewSet | None = None,
) -> Workspace:
    """Write station.toml and the recipes into a folder; what was recorded there before stays.

    cameras: by name, what its section says besides. views: writes the product's recipe for more cameras than one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(recipes, folder / "recipes", dirs_exist_ok=True)
    if views is not None:
        recipe = folder / "recipes" / product / "recipe.toml"
        recipe.write_text(views.recipe(recipe.read_text(encoding="utf-8")), encoding="utf-8")
    sections = (f'[[cameras]]\nname = "{camera}"\n{text}\n' for camera, text in cameras.items())
    status_endpoint = f"opc.tcp://127.0.0.1:{free_port('127.0.0.1')}/linegate"
    host, _, port = plc_address.rpartition(":")
    text = _TEMPLATE.format(
        name=name,
        packages=packages.resolve(),
        product=product,
        mode=mode,
        profile=profile,
        plc=_PLC[protocol].format(address=plc_address, host=host, port=port).rstrip(),
        cameras="\n".join(sections).replace("{belt}", belt),
        image_budget_mb=image_budget_mb,
        ok_images=ok_images,
        status_endpoint=status_endpoint,
        poll_ms=poll_ms,
        pulse="" if trigger_pulse_ms is None else f"trigger_pulse_ms = {trigger_pulse_ms}\n",
    )
    station = folder / "station.toml"
    station.write_text(text, encoding="utf-8")
    return Workspace(folder, station, status_endpoint)
