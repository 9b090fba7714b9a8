"""The delivered blocks, compiled, and one PLC made of them."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.plc_blocks.compiler import Dialect, compiled
from tests.plc_blocks.source import BLOCKS

IEC_FILES = (
    "1_types",
    "2_functions",
    "2a_part_id_number",
    "3_supervision",
    "4_reject_gate",
    "5_station",
    "6_four_phase",
)


def iec_texts() -> list[str]:
    """The IEC sources as they are delivered, with part ids that are numbers."""
    return [(BLOCKS / "iec" / f"{name}.st").read_text() for name in IEC_FILES]


def text_id_texts() -> list[str]:
    """The IEC sources changed as 2b_part_id_text.st asks for part ids that are texts."""
    texts = [(BLOCKS / "iec" / f"{name}.st").read_text() for name in IEC_FILES if name != "2a_part_id_number"]
    texts[0] = texts[0].replace("LG_PartId : DINT;", "LG_PartId : STRING;")
    return [*texts, (BLOCKS / "iec" / "2b_part_id_text.st").read_text()]


def logix_texts() -> list[str]:
    """The Rockwell variant as it is delivered."""
    return [(BLOCKS / "rockwell" / f"{name}.st").read_text() for name in IEC_FILES]


@cache
def iec() -> dict[str, Any]:
    """The IEC blocks with numbers as part ids."""
    return compiled(iec_texts())


@cache
def text_ids() -> dict[str, Any]:
    """The IEC blocks with texts as part ids."""
    return compiled(text_id_texts())


@cache
def logix() -> dict[str, Any]:
    """The Rockwell variant."""
    return compiled(logix_texts(), Dialect.LOGIX)


def mutated(before: str, after: str, without: str) -> dict[str, Any]:
    """The IEC blocks but those of one file, with one place changed, which must exist exactly once."""
    texts = [written for name, written in zip(IEC_FILES, iec_texts(), strict=True) if name != without]
    places = [number for number, written in enumerate(texts) if before in written]
    assert len(places) == 1 and texts[places[0]].count(before) == 1, f"{before!r} is not there exactly once"
    texts[places[0]] = texts[places[0]].replace(before, after)
    return compiled(texts)


class BlockPlc:
    """Gate and station block with their tags and shift register, scanned in the order that the example shows.

    station: name of the station's block; tags: of its structure.
    """

    def __init__(self, names: dict[str, Any], station: str, tags: str) -> None:
        self._names, self._kind = names, station
        self.gate, self.station = names["FB_RejectGate"](), names[station]()
        self.tags, self.line = names[tags](), names["LG_Line"]()
        self._first = True

    def power_cycle(self, forgets: bool) -> None:
        """Start the PLC again. forgets: its memory is as new, but for what is declared RETAIN. A Logix controller, which
        knows no RETAIN, keeps everything and has only the flag of its first scan."""
        self._first = True
        old = self.station
        if forgets and old.retained:
            self.gate, self.station = self._names["FB_RejectGate"](), self._names[self._kind]()
            for name in old.retained:
                setattr(self.station, name, getattr(old, name))
            self.line = self._names["LG_Line"]()

    def scan(self, gate: dict[str, Any], station: dict[str, Any]) -> None:
        """One scan with these inputs; what both blocks have in common is in both."""
        for block, inputs in ((self.gate, gate), (self.station, station)):
            block.FirstScan = self._first
            for name, value in inputs.items():
                setattr(block, name, value)
        self._first = False
        self.gate.scan(self.line)
        self.station.scan(self.tags, self.line)
        self.tags.GateOutcome, self.tags.GateSeq = self.gate.GateOutcome, self.gate.GateSeq
