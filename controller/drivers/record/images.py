"""Keeps every view's image on disk, within a byte budget, behind the line's back.

`keep` only queues; a thread of low priority encodes and writes. When it cannot follow, or the disk is full, images are
dropped, counted and alarmed, and parts go on being answered. Files are not fsynced (a power cut may spoil the newest):
the journal's row has each file's SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import cv2

from controller.drivers.record.budget import OK_MARK, FolderBudget
from controller.drivers.record.disk import Duty, lower_priority
from controller.drivers.record.rows import ImageKept
from controller.drivers.record.watch import HealthCallback, HealthWatch
from models.frame import Frame
from statemachines.vocabulary import Health, Outcome, Verdict

HANGING_S = 2.0
"""From here on a disk that has not answered is reported."""


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """What is kept of good parts; all others are kept without loss. every: only each n-th good part, by sequence."""

    ok: Literal["jpeg", "png", "none"] = "jpeg"
    every: int = 1
    jpeg_quality: int = 90


@dataclass(frozen=True, slots=True)
class ImageStats:
    """written and dropped: images since the start. used_bytes: what lies under the folder as far as it is known."""

    queued: int
    written: int
    dropped: int
    used_bytes: int
    last_error: str


@dataclass(frozen=True, slots=True)
class _Job:
    frame: Frame
    outcome: Outcome
    wall_ns: int


def write_file(path: Path, content: bytes) -> None:
    """Write a whole new file. Raises OSError."""
    path.write_bytes(content)


class FolderImageStore:
    """The port `ImageStore` on a folder: `<root>/<UTC day>/<epoch>-<source>-<seq>-<part id>-<view>[.ok].<png|jpg>`.

    on_kept: called on the writing thread for each image on disk. on_health: called on a watching thread, once per
    change: MAINTENANCE while images are dropped or the disk hangs, NORMAL when images are kept again.
    """

    def __init__(
        self,
        root: Path,
        budget_bytes: int,
        policy: ImagePolicy,
        on_health: HealthCallback,
        on_kept: Callable[[ImageKept], object],
        *,
        queue_frames: int = 32,
        write: Callable[[Path, bytes], None] = write_file,
    ) -> None:
        self._root, self._policy, self._limit = root.absolute(), policy, queue_frames
        self._on_kept, self._write_file = on_kept, write
        self._budget = FolderBudget(self._root, budget_bytes)
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._duty = Duty()
        self._overflowed = self._failed = self._told_overflow = self._written = 0
        self._last_error = ""
        self._opened = self._closing = False
        self._watch = HealthWatch("images-watch", self._probe, on_health)
        self._scanner = threading.Thread(target=self._scan, name="images-scan", daemon=True)
        self._writer = threading.Thread(target=self._run, name="images-writer", daemon=True)

    def open(self) -> None:
        """Start writing; what lies in the folder is counted meanwhile. A folder that cannot be written to raises an
        alarm with the first image, not an error here: the line runs without images."""
        self._opened = True
        for thread in (self._scanner, self._writer, self._watch):
            thread.start()

    def keep(self, frame: Frame, outcome: Outcome, wall_ns: int) -> bool:
        """Queue one image; False when it was dropped. True also where the policy does not want it. Never blocks.

        Called from one thread.
        """
        if outcome.verdict is Verdict.OK and not self._wanted(outcome):
            return True
        if self._queue.qsize() >= self._limit:
            self._overflowed += 1
            return False
        self._queue.put(_Job(frame, outcome, wall_ns))
        return True

    def stats(self) -> ImageStats:
        """The figures of now; from any thread."""
        dropped = self._overflowed + self._failed
        return ImageStats(self._queue.qsize(), self._written, dropped, self._budget.used, self._last_error)

    def close(self, timeout: float = 5.0) -> bool:
        """Write what is queued and end; False when the disk did not take it within `timeout` seconds."""
        if not self._opened or self._closing:
            return True
        self._closing = True
        self._queue.put(None)
        self._writer.join(timeout)
        self._watch.stop()
        return not self._writer.is_alive()

    def _wanted(self, outcome: Outcome) -> bool:
        return self._policy.ok != "none" and outcome.part.seq % self._policy.every == 0

    def _scan(self) -> None:
        lower_priority()
        self._budget.scan()

    def _run(self) -> None:
        lower_priority()
        while (job := self._queue.get()) is not None:
            self._duty.begin()
            self._budget.merge()
            try:
                kept = self._keep(job)
            except (OSError, ValueError, cv2.error) as error:
                self._failed += 1
                self._last_error = str(error)
                self._duty.end(f"an image was not kept: {error}")
                continue
            self._written += 1
            self._duty.end(self._budget.error)
            self._budget.error = ""
            self._on_kept(kept)

    def _keep(self, job: _Job) -> ImageKept:
        outcome, pixels = job.outcome, job.frame.pixels
        ok = outcome.verdict is Verdict.OK
        as_jpeg = ok and self._policy.ok == "jpeg"
        ending, options = (
            (".jpg", [cv2.IMWRITE_JPEG_QUALITY, self._policy.jpeg_quality])
            if as_jpeg
            else (".png", [cv2.IMWRITE_PNG_COMPRESSION, 1])
        )
        done, coded = cv2.imencode(
            ending, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels, options
        )
        if not done:
            raise ValueError(f"pixels of shape {pixels.shape} cannot be encoded")
        content = coded.tobytes()
        if not self._budget.make_room(len(content), for_ok=ok):
            raise ValueError("the budget is full of images that are not of good parts, or smaller than one image")
        path = self._free_name(job, (OK_MARK if ok else "") + ending)
        half = path.with_name(path.name + ".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write_file(half, content)
            half.replace(path)
        except OSError:
            with suppress(OSError):
                half.unlink(missing_ok=True)
            raise
        self._budget.add(path, len(content))
        digest = hashlib.sha256(content).hexdigest()
        kept_as = "jpeg" if as_jpeg else "png"
        return ImageKept(outcome.part, job.frame.view, str(path), len(content), digest, kept_as, job.wall_ns)

    def _free_name(self, job: _Job, ending: str) -> Path:
        part = job.outcome.part
        day = datetime.fromtimestamp(job.wall_ns / 1e9, UTC).strftime("%Y-%m-%d")
        names = (str(part.epoch), part.source, str(part.seq), str(job.outcome.part_id), job.frame.view)
        stem = "-".join(safe_name(name) for name in names)
        path = self._root / day / (stem + ending)
        count = 1
        while path.exists():
            count += 1
            path = self._root / day / f"{stem}_{count}{ending}"
        return path

    def _probe(self) -> tuple[Health, str]:
        lately = self._overflowed - self._told_overflow
        self._told_overflow += lately
        if not self._writer.is_alive() and not self._closing:
            return Health.MAINTENANCE, "the image writer died: no images are kept until the station is restarted"
        if self._duty.waiting_s() >= HANGING_S:
            return Health.MAINTENANCE, f"the disk has not answered for more than {HANGING_S:.0f} s"
        if self._duty.error:
            return Health.MAINTENANCE, self._duty.error
        if lately:
            return Health.MAINTENANCE, f"{self._overflowed} images dropped since the start: the disk is too slow"
        return Health.NORMAL, "images are kept"


def safe_name(text: str) -> str:
    """A piece of a file name that no text can break out of: letters, digits, `_`, inner dots; up to 40 characters."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", text[:40]).replace("..", "__").strip(".") or "_"
