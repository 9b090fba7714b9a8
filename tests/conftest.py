"""A test that leaves something running fails: tasks, child processes, threads that would keep the program alive."""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import threading
from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from models.telemetry import no_telemetry

with no_telemetry():
    # Before any test imports it: where the converters' reporter is installed, the import alone would report.
    import openvino as _openvino  # noqa: F401  # pyright: ignore[reportUnusedImport]

# How fast examples are made says how busy the computer is, and nothing about the code.
settings.register_profile("linegate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("linegate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only tests that are coroutines can leave a task behind."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.usefixtures("no_task_left"))


@pytest_asyncio.fixture
async def no_task_left() -> AsyncGenerator[None]:
    """Every task that the test started must have ended with it."""
    before = asyncio.all_tasks()
    yield
    # One turn of the loop: a task that was cancelled in the test's last step may end.
    await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task() and not task.done()]
    assert not left, f"tasks left running: {[task.get_coro() for task in left]}"


@pytest.fixture(autouse=True)
def nothing_left_running() -> Generator[None]:
    """Child processes and non-daemon threads must have ended with the test, but for what was there before it."""
    threads, children = set(threading.enumerate()), set(multiprocessing.active_children())
    yield
    left = [child for child in multiprocessing.active_children() if child not in children]
    assert not left, f"child processes left running: {left}"
    alive = [
        t for t in threading.enumerate() if t not in threads and not t.daemon and not t.name.startswith("asyncio_")
    ]
    for thread in alive:
        thread.join(2)
    assert not [t for t in alive if t.is_alive()], f"threads left running: {alive}"
