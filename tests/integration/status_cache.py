"""The imported companion models, kept for all tests that start a status server: an import takes seconds."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import shutil
import tempfile
import threading
from pathlib import Path

from controller.status.process import StatusSettings
from controller.status.station_server import prepared_server
from controller.status.vision import cache

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "test-models"
"""In this checkout: one with other code neither uses nor removes what is kept here."""


@functools.cache
def model_cache() -> Path:
    """A folder with the cache that this checkout's code makes; made once, here, and not by a child at the lowest
    priority. Test runs side by side may make it at once: the first to be done wins, and none sees half of one."""
    folder = KEPT / _state_of_the_code()
    if not cache.present(folder):
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as own:
            fresh = Path(own) / "cache"
            _make(fresh, Path(own))
            try:
                fresh.rename(folder)
            except OSError:
                assert cache.present(folder), f"{folder} is there and holds no cache"
        _forget_others(folder)
    return folder


def _make(cache_folder: Path, own: Path) -> None:
    settings = StatusSettings("opc.tcp://127.0.0.1:4840", "test", own / "pki", own / "users.json", cache=cache_folder)
    # A loop of its own: the caller's may be running.
    maker = threading.Thread(target=lambda: asyncio.run(prepared_server(settings, lambda _noted: None)))
    maker.start()
    maker.join()


def _state_of_the_code() -> str:
    """Names all that the cached nodes follow from: nodesets, library, and every module of the status server, since
    the nodes hold whatever was built before they were saved."""
    digest = hashlib.sha256(cache.cache_key().encode())
    for module in sorted((ROOT / "controller" / "status").rglob("*.py")):
        digest.update(str(module.relative_to(ROOT)).encode() + module.read_bytes())
    return digest.hexdigest()[:16]


def _forget_others(folder: Path) -> None:
    """Caches of earlier code; an unfinished one of another run has a name of another kind."""
    for old in KEPT.iterdir():
        if old != folder and len(old.name) == len(folder.name):
            shutil.rmtree(old, ignore_errors=True)
