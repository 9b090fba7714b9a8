"""Results out of the journal, as the Machine Vision model asks for them. Blocking reads; for a thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from controller.drivers.record.query import JournalReader, PartFilter
from controller.status.messages import PartEnded
from controller.status.vision import structures
from controller.status.vision.recipes import RecipeFolder

MOST_SCANNED = 5_000
"""Newest parts that a filtered list looks through."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which results; "" asks for nothing in particular."""

    key: str = ""
    part_id: str = ""
    product: str = ""
    recipe_hash: str = ""
    meas_id: str = ""


class Results:
    """Reads the station's journal, never writes it. Raises RecordError."""

    def __init__(self, journal: Path, recipes: RecipeFolder) -> None:
        self._journal, self._recipes = journal, recipes

    def by_id(self, key: str) -> PartEnded | None:
        """The result with this key ("epoch/source/seq"), or None."""
        if key.count("/") != 2:
            return None
        with JournalReader(self._journal) as reader:
            found = [part for part in reader.details(key, 2) if part["verdict"] is not None]
        return _result(found[0], self._products()) if found else None

    def newest(self, wanted: Wanted, until: float) -> Iterator[PartEnded]:
        """Results that match, newest first. Raises TimeoutError at this monotonic time."""
        products = self._products()
        asked = PartFilter(part_id=wanted.part_id or None, limit=MOST_SCANNED)
        with JournalReader(self._journal) as reader:
            for part in reader.parts(asked):
                if time.monotonic() >= until:
                    raise TimeoutError
                if part["verdict"] is None:
                    continue
                result = _result(part, products)
                if _fits(result, wanted):
                    yield result

    def _products(self) -> dict[int, str]:
        return {entry.number: entry.product for entry in self._recipes.entries()}


def _fits(result: PartEnded, wanted: Wanted) -> bool:
    return (
        wanted.key in ("", result.key)
        and wanted.product in ("", result.product)
        and wanted.meas_id in ("", structures.meas_name(result))
        and (not wanted.recipe_hash or result.recipe_hash.startswith(wanted.recipe_hash))
    )


def _result(part: dict[str, Any], products: dict[int, str]) -> PartEnded:
    ended = round(datetime.fromisoformat(part["time"]).timestamp() * 1e9)
    captured, inferred, seen = part["captured_us"] or 0, part["inferred_us"] or 0, part["seen_us"] or 0
    took = part["handed_us"] or inferred or captured or 0
    findings = [
        f"{f['defect']} {f['length_mm']:.2f} x {f['width_mm']:.2f} mm {f['severity']}: {f['why']}"
        for f in part.get("findings", [])
    ]
    return PartEnded(
        key=f"{part['epoch']}/{part['source']}/{part['seq']}",
        part_id=str(part["part_id"]),
        verdict=part["verdict"],
        reason=part["reason"],
        action=part["action"],
        mode=str(part["mode"]),
        answered=bool(part["answered"]),
        decided=part["reason"] == "DECIDED",
        score=float(part["score"] or 0.0),
        why=part["why"] or "",
        findings=findings,
        product=products.get(part["recipe_id"] or 0, ""),
        recipe_hash=part["recipe_hash"] or "",
        # The journal's row is of the trigger; what came after it is counted in microseconds from there.
        began_wall_ns=ended,
        ended_wall_ns=ended + took * 1000,
        capture_us=max(captured - seen, 0),
        processing_us=max(inferred - captured, 0) if inferred else 0,
        told_ns=0,
        meas_id=part["meas_id"] or "",
    )
