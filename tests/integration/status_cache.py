"""The imported companion models, kept for all tests that start a status server: an import takes seconds."""

from __future__ import annotations

import functools
import threading
from pathlib import Path

from controller.status.prepare import prepare
from controller.status.vision import cache


@functools.cache
def model_cache() -> Path:
    """The folder of the installation; made once, here, and not by a child at the lowest priority."""
    if not cache.present(cache.INSTALLED):
        # In a thread, for a loop of its own: the caller's may be running.
        maker = threading.Thread(target=prepare)
        maker.start()
        maker.join()
    return cache.INSTALLED
