"""What comes along the simulated line: parts that are drawn, or the pictures of a folder; and the truth about each."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.sim import mark
from controller.sim.product import DEFECTIVE_SHARE, sim_part
from controller.sim.render import Renderer

Grey = NDArray[np.uint8]

_STRIP_GREY = 40


@dataclass(frozen=True, slots=True)
class Truth:
    """What a part really is. label: the folder's own word, or the kinds of its defects; "good" where it has none."""

    number: int
    defective: bool
    label: str


class PartSource(Protocol):
    """Parts by number, from 1. The same numbers give the same parts in every process."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every frame."""
        ...

    def truth(self, number: int) -> Truth:
        """What this part really is. Cheap: draws nothing."""
        ...

    def pixels(self, number: int) -> Grey:
        """The part's frame with its mark: (height, width) grey."""
        ...

    def empty(self) -> Grey:
        """The frame where no part is in view."""
        ...


@dataclass(frozen=True, slots=True)
class RenderedSettings:
    """Washers with defects, drawn. Picklable."""

    seed: int
    width: int = 1920
    height: int = 1200
    mm_per_px: float | None = None
    defective_share: float = DEFECTIVE_SHARE


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """The pictures of a folder. Picklable.

    manifest: a CSV with the columns file (relative to it), split, label, is_defect. split: which of them, "" for all.
    tile_width, tile_height: every picture is stretched to this size; it lies below the strip that carries the mark.
    """

    manifest: str
    split: str
    seed: int
    tile_width: int = 512
    tile_height: int = 512


SourceSettings = RenderedSettings | FolderSettings


def open_source(settings: SourceSettings) -> PartSource:
    """Make the source that the settings name. Raises what its constructor raises."""
    if isinstance(settings, RenderedSettings):
        return RenderedSource(settings)
    return FolderSource(settings)


class RenderedSource:
    """Drawn washers. The pictures that all parts share are drawn when the first frame is asked for."""

    def __init__(self, settings: RenderedSettings) -> None:
        self._settings = settings
        self._made: Renderer | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self._settings.width, self._settings.height

    def truth(self, number: int) -> Truth:
        part = sim_part(self._settings.seed, number, defective_share=self._settings.defective_share)
        label = "+".join(sorted({defect.kind.value for defect in part.defects})) or "good"
        return Truth(number, part.defective, label)

    def pixels(self, number: int) -> Grey:
        settings = self._settings
        return self._renderer().render(sim_part(settings.seed, number, defective_share=settings.defective_share))

    def empty(self) -> Grey:
        return self._renderer().empty_belt()

    def _renderer(self) -> Renderer:
        if self._made is None:
            self._made = Renderer(self._settings.width, self._settings.height, self._settings.mm_per_px)
        return self._made


class FolderSource:
    """Real pictures in a seeded order: each comes once, then all again in another order.

    Raises FileNotFoundError without a manifest, ValueError for one without a usable row. A frame is the tile, below it
    nothing, above it the strip that carries the mark; `tile` says where.
    """

    def __init__(self, settings: FolderSettings) -> None:
        self._settings = settings
        manifest = Path(settings.manifest)
        self._root = manifest.parent
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        missing = {"file", "split", "label", "is_defect"} - set(rows[0] if rows else ())
        if missing:
            raise ValueError(f"{manifest}: columns missing: {', '.join(sorted(missing))}")
        self._rows = [row for row in rows if settings.split in ("", row["split"])]
        if not self._rows:
            raise ValueError(f"{manifest}: no picture in split {settings.split!r}")
        self._strip = folder_strip(settings.tile_height)
        self._orders: dict[int, list[int]] = {}

    def __len__(self) -> int:
        """How many different pictures there are."""
        return len(self._rows)

    @property
    def size(self) -> tuple[int, int]:
        return self._settings.tile_width, self._settings.tile_height + self._strip

    @property
    def tile(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the picture within a frame."""
        return 0, self._strip, self._settings.tile_width, self._settings.tile_height

    def file(self, number: int) -> str:
        """Which picture a part shows, as the manifest names it."""
        return self._row(number)["file"]

    def truth(self, number: int) -> Truth:
        row = self._row(number)
        return Truth(number, row["is_defect"].strip() in ("1", "true", "True"), row["label"])

    def pixels(self, number: int) -> Grey:
        path = self._root / self.file(number)
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise ValueError(f"{path} is not a picture")
        frame = self.empty()
        width, height = self._settings.tile_width, self._settings.tile_height
        frame[self._strip :] = cast(Grey, cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
        mark.stamp(frame, number)
        return frame

    def empty(self) -> Grey:
        width, height = self.size
        return np.full((height, width), _STRIP_GREY, np.uint8)

    def _row(self, number: int) -> dict[str, str]:
        if number < 1:
            raise ValueError(f"part {number}: parts count from 1")
        lap, place = divmod(number - 1, len(self._rows))
        if lap not in self._orders:
            order = list(range(len(self._rows)))
            random.Random(f"linegate folder {self._settings.seed} {lap}").shuffle(order)
            self._orders[lap] = order
        return self._rows[self._orders[lap][place]]


def folder_strip(tile_height: int) -> int:
    """Rows above the tile that the mark takes up, once the strip itself is counted into the frame's height."""
    strip = mark.strip_height(tile_height)
    while mark.strip_height(tile_height + strip) > strip:
        strip = mark.strip_height(tile_height + strip)
    return strip
