"""The imported companion models, kept for all tests that start a status server: an import takes seconds."""

from __future__ import annotations

import asyncio
import functools
import os
import tempfile
import threading
from pathlib import Path

from controller.status.process import StatusSettings
from controller.status.station_server import prepared_server
from controller.status.vision import cache


@functools.cache
def model_cache() -> Path:
    """A folder with the cache of this version; made once, here, and not by a child at the lowest priority."""
    folder = Path(tempfile.gettempdir()) / f"linegate-test-models-{os.getuid()}"
    if not cache.present(folder):
        with tempfile.TemporaryDirectory() as own:
            pki, users = Path(own) / "pki", Path(own) / "users.json"
            settings = StatusSettings("opc.tcp://127.0.0.1:4840", "test", pki, users, cache=folder)
            # A loop of its own: the caller's may be running.
            maker = threading.Thread(target=lambda: asyncio.run(prepared_server(settings, lambda _noted: None)))
            maker.start()
            maker.join()
    return folder
