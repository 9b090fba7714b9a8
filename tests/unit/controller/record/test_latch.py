"""The failsafe latch: what cannot be read is latched."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.drivers.record.latch import UNREADABLE, FileLatch
from controller.errors import RecordError
from statemachines.vocabulary import FaultCode


def test_it_survives_a_restart_and_is_released(tmp_path: Path) -> None:
    path = tmp_path / "state" / "latch.json"
    assert FileLatch(path).load() == (FaultCode.NONE, "")
    FileLatch(path).store(FaultCode.INFERENCE_HUNG, "model hung for 2 s")
    assert FileLatch(path).load() == (FaultCode.INFERENCE_HUNG, "model hung for 2 s")
    FileLatch(path).store(FaultCode.NONE, "")
    assert FileLatch(path).load() == (FaultCode.NONE, "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"code": 0}',
        b'{"code": 99, "why": "x"}',
        b'{"code": false, "why": ""}',
        b'{"code": "0", "why": ""}',
        b'{"code": 0, "why": 1}',
        b'{"code": 0, "why": ""',
        b"[" * 100_000,
    ],
)
def test_garbage_counts_as_latched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "latch.json"
    path.write_bytes(content)
    code, why = FileLatch(path).load()
    assert code is UNREADABLE
    assert "latch.json" in why


def test_a_folder_in_its_place_is_latched_and_cannot_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "latch.json"
    (path / "inside").mkdir(parents=True)
    assert FileLatch(path).load()[0] is UNREADABLE
    with pytest.raises(RecordError, match=r"latch\.json"):
        FileLatch(path).store(FaultCode.NONE, "")


def test_a_crash_while_storing_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "latch.json"
    FileLatch(path).store(FaultCode.TASK_DIED, "old")
    path.with_name("latch.json.tmp").write_text('{"code": 0')
    assert FileLatch(path).load() == (FaultCode.TASK_DIED, "old")
