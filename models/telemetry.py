"""OpenVINO's converters and NNCF report their use over the internet; a plant's PC must not."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

_SWITCHES = {"CI": "true", "NNCF_CI": "true"}
"""Their own off switches. The reporter is made once per process, at the first conversion, and stays as it was made."""


@contextmanager
def no_telemetry() -> Generator[None]:
    """Convert and quantise inside of it. Environment variables are as before afterwards."""
    before = {name: os.environ.get(name) for name in _SWITCHES}
    os.environ.update(_SWITCHES)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
