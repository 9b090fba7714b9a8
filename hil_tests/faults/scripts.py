"""Which script provokes which row of the matrix: the row's name is the function's."""

from __future__ import annotations

import importlib
import inspect

from hil_tests.faults.bench import Script

_MODULES = ("plc", "handshake", "network", "equipment", "station")


def scripts() -> dict[str, Script]:
    """Every script by the name of its row."""
    found: dict[str, Script] = {}
    for name in _MODULES:
        module = importlib.import_module(f"hil_tests.faults.{name}")
        for function, value in inspect.getmembers(module, inspect.isfunction):
            if (
                not function.startswith("_")
                and value.__module__ == module.__name__
                and list(inspect.signature(value).parameters) == ["bench"]
            ):
                found[function.replace("_", "-")] = value
    return found
