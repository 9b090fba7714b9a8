"""Images: lossless where it matters, within the budget, never in the line's way."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from controller.drivers.record.budget import FolderBudget
from controller.drivers.record.images import FolderImageStore, ImagePolicy, safe_name, write_file
from controller.drivers.record.rows import ImageKept
from models.frame import Frame
from statemachines.vocabulary import Health, Outcome, PartId, Verdict
from tests.unit.controller.record.facts import HANGS_S, WALL, Told, eventually, outcome

BIG = 10**9


def frame(seed: int = 0, view: str = "top", colour: bool = False) -> Frame:
    shape = (48, 64, 3) if colour else (48, 64)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Frame(view, pixels, 0, seed, "sim")


def end(seq: int, verdict: Verdict, part_id: PartId | None = None) -> Outcome:
    fact = outcome(seq, verdict, part_id).fact
    assert isinstance(fact, Outcome)
    return fact


class Store:
    def __init__(self, root: Path, budget: int = BIG, policy: ImagePolicy | None = None, **options: Any) -> None:
        self.told = Told()
        self.kept: list[ImageKept] = []
        self.store = FolderImageStore(
            root, budget, policy or ImagePolicy(), self.told.reported, self.kept.append, **options
        )
        self.store.open()

    def names(self) -> list[str]:
        return [Path(kept.path).name for kept in self.kept]


def test_bad_parts_are_lossless_and_good_ones_small(tmp_path: Path) -> None:
    box = Store(tmp_path)
    grey, colour = frame(1), frame(2, "side", colour=True)
    assert box.store.keep(grey, end(1, Verdict.NG, "A-1"), WALL)
    assert box.store.keep(colour, end(2, Verdict.NO_DECISION), WALL)
    assert box.store.keep(grey, end(3, Verdict.OK), WALL)
    assert box.store.close()
    assert box.names() == ["7-plc-1-A_1-top.png", "7-plc-2-2-side.png", "7-plc-3-3-top.ok.jpg"]
    assert {Path(kept.path).parent for kept in box.kept} == {tmp_path / "2027-01-15"}
    first, second = (cv2.imread(kept.path, cv2.IMREAD_UNCHANGED) for kept in box.kept[:2])
    assert first is not None and second is not None
    assert np.array_equal(first, grey.pixels)
    assert np.array_equal(cv2.cvtColor(second, cv2.COLOR_BGR2RGB), colour.pixels)
    for kept in box.kept:
        content = Path(kept.path).read_bytes()
        assert (kept.bytes, kept.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert [kept.kept_as for kept in box.kept] == ["png", "png", "jpeg"]
    assert box.told.health == []


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (ImagePolicy("none"), []),
        (ImagePolicy("png"), ["1", "2", "3", "4"]),
        (ImagePolicy("jpeg", every=2), ["2", "4"]),
    ],
)
def test_policy_of_good_parts(tmp_path: Path, policy: ImagePolicy, expected: list[str]) -> None:
    box = Store(tmp_path, policy=policy)
    assert all(box.store.keep(frame(seq), end(seq, Verdict.OK), WALL) for seq in range(1, 5))
    assert box.store.close()
    assert [name.split("-")[2] for name in box.names()] == expected


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "C:\\nul", "a/b\0c", "", "x" * 500, "\ud800", "=cmd|'x'"])
def test_no_part_id_leaves_the_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / "images"
    box = Store(root)
    assert box.store.keep(frame(), end(1, Verdict.NG, name), WALL)
    assert box.store.close()
    assert box.store.stats().written == 1
    inside = [path for path in root.rglob("*") if path.is_file()]
    assert [str(path) for path in inside] == [box.kept[0].path]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == inside
    assert "-" not in safe_name(name) and len(safe_name(name)) <= 40


def test_an_image_never_overwrites_another(tmp_path: Path) -> None:
    box = Store(tmp_path)
    for seed in (1, 2):
        assert box.store.keep(frame(seed), end(1, Verdict.NG), WALL)
    assert box.store.close()
    assert box.names() == ["7-plc-1-1-top.png", "7-plc-1-1-top_2.png"]


def test_the_budget_drops_old_good_images_first_then_old_others(tmp_path: Path) -> None:
    policy = ImagePolicy("png")
    size = len(cv2.imencode(".png", frame(1).pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]) + 100
    day = tmp_path / "2027-01-01"
    day.mkdir()
    for age, name in ((3, "1-plc-1-old-top.ok.jpg"), (4, "1-plc-2-old-top.png")):
        (day / name).write_bytes(b"x" * size)
        os.utime(day / name, (1000 - age, 1000 - age))
    box = Store(tmp_path, budget=4 * size, policy=policy)
    eventually(lambda: box.store.keep(frame(0), end(90, Verdict.OK), WALL) and box.store.stats().used_bytes > 2 * size)
    assert box.store.close()

    def remaining() -> list[str]:
        return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())

    again = Store(tmp_path, budget=4 * size, policy=policy)
    again.store.keep(frame(5), end(91, Verdict.NG), WALL)
    eventually(lambda: again.store.stats().written == 1)
    for seq in range(92, 95):
        again.store.keep(frame(seq), end(seq, Verdict.NG), WALL)
    eventually(lambda: again.store.stats().written == 4)
    assert not any(".ok." in name for name in remaining())
    assert not again.store.keep(frame(6), end(95, Verdict.OK), WALL) or again.store.close()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 4 * size
    assert remaining() == [f"7-plc-{seq}-{seq}-top.png" for seq in range(91, 95)]
    assert again.store.stats().dropped == 1
    assert not day.exists()


@pytest.mark.parametrize("name", ["7-plc 1-a b.png", "7-plc-1-J\udcfcrgen.png"])
def test_an_image_of_an_earlier_run_goes_whatever_its_name(tmp_path: Path, name: str) -> None:
    old = tmp_path / "2026-01-01" / name
    old.parent.mkdir()
    old.write_bytes(bytes(1000))
    budget = FolderBudget(tmp_path, 1500)
    budget.scan()
    budget.merge()
    assert budget.used == 1000
    assert budget.make_room(1000, for_ok=False)
    assert (budget.used, old.exists(), budget.error) == (0, False, "")


def test_a_hanging_disk_never_delays_keep_and_drops_are_counted(tmp_path: Path) -> None:
    gate, entered = threading.Event(), threading.Event()

    def write(path: Path, content: bytes) -> None:
        entered.set()
        assert gate.wait(HANGS_S)
        write_file(path, content)

    box = Store(tmp_path, queue_frames=4, write=write)
    assert box.store.keep(frame(), end(1, Verdict.NG), WALL)
    assert entered.wait(10)
    kept = [box.store.keep(frame(), end(seq, Verdict.NG), WALL) for seq in range(2, 102)]
    assert kept == [True] * 4 + [False] * 96
    assert box.store.stats().written == 0, "whoever waited for the disk would not be here: it hangs still"
    box.told.wait(lambda: box.told.levels()[:1] == [Health.MAINTENANCE])
    gate.set()
    box.told.wait(lambda: box.told.levels()[-1] is Health.NORMAL)
    assert box.store.close()
    assert (box.store.stats().written, box.store.stats().dropped) == (5, 96)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_full_disk_drops_alarms_and_heals(tmp_path: Path) -> None:
    full = True

    def write(path: Path, content: bytes) -> None:
        if full:
            path.symlink_to("/dev/full")
        write_file(path, content)

    box = Store(tmp_path, write=write)
    box.store.keep(frame(), end(1, Verdict.NG), WALL)
    box.told.wait(lambda: box.told.levels() == [Health.MAINTENANCE])
    assert "No space left" in box.told.health[0][1]
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
    full = False
    box.store.keep(frame(), end(2, Verdict.NG), WALL)
    box.told.wait(lambda: box.told.levels() == [Health.MAINTENANCE, Health.NORMAL])
    assert box.store.close()
    assert (box.store.stats().written, box.store.stats().dropped) == (1, 1)
