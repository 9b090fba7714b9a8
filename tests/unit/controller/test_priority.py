"""Priorities: what a station says where they do not reach as far as they seem to."""

from __future__ import annotations

from pathlib import Path

import pytest
from loguru import logger

from controller.priority import _warn_of_sessions  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(("content", "warned"), [("1\n", True), ("0\n", False), (None, False)])
def test_says_where_priorities_end_at_the_session(tmp_path: Path, content: str | None, warned: bool) -> None:
    switch = tmp_path / "sched_autogroup_enabled"
    if content is not None:
        switch.write_text(content)
    said: list[str] = []
    sink = logger.add(lambda message: said.append(str(message)), format="{message} {extra}")
    try:
        _warn_of_sessions(switch)
    finally:
        logger.remove(sink)
    assert bool(said) is warned
    assert not warned or "kernel.sched_autogroup_enabled=0" in said[0]
