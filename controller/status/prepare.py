"""What the very first start would have to make, made before: the imported models, beside the program."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from controller.errors import ConfigError
from controller.status.process import StatusSettings
from controller.status.station_server import prepared_server
from controller.status.vision import cache


def prepare(folder: Path = cache.INSTALLED) -> Path:
    """Put the models into a folder, for every station that this program runs; seconds, or nothing where they lie there.

    Raises ConfigError where that is not allowed.
    """
    if not cache.present(folder):
        with TemporaryDirectory(prefix="linegate-prepare-") as name:
            own = Path(name)
            any_station = StatusSettings("opc.tcp://127.0.0.1:4840", "any", own / "pki", own / "users", cache=folder)
            asyncio.run(prepared_server(any_station, lambda _noted: None))
    if not cache.present(folder):
        raise ConfigError(str(folder), "folder", "", "cannot be written: run this as the user who installed linegate")
    return folder
