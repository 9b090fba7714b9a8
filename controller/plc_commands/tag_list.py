"""The tags of a station as one PLC brand calls them: name, address, type, who writes, what for."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

from controller.drivers.plc.tags import Tag, TagSet, TagType

Brand = Literal["siemens", "rockwell", "beckhoff", "codesys", "schneider"]
PartIdKind = Literal["int", "string"]

_IEC: Mapping[TagType, str] = {TagType.DINT: "DINT", TagType.BOOL: "BOOL", TagType.REAL: "REAL"}
_SIEMENS: Mapping[TagType, str] = {TagType.DINT: "DInt", TagType.BOOL: "Bool", TagType.REAL: "Real"}
_TEXT: Mapping[Brand, str] = {
    "siemens": "String[32]",
    "rockwell": "STRING",
    "beckhoff": "STRING(32)",
    "codesys": "STRING(32)",
    "schneider": "STRING[32]",
}
_HOLDING_REGISTER = re.compile(r"4(\d{4,5})(?:-4\d{4,5})?")


@dataclass(frozen=True, slots=True)
class TagRow:
    """One line of the list."""

    name: str
    address: str
    type: str
    direction: str
    needed: str
    meaning: str


def type_name(tag: Tag, brand: Brand, part_id: PartIdKind) -> str:
    """What a brand calls the type of a tag."""
    names = _SIEMENS if brand == "siemens" else _IEC
    if tag.type is TagType.PART_ID:
        return _TEXT[brand] if part_id == "string" else names[TagType.DINT]
    return names[tag.type]


def tag_rows(
    tags: TagSet, depth: int, addresses: Mapping[str, str], brand: Brand, part_id: PartIdKind
) -> tuple[TagRow, ...]:
    """Every tag, ring slots one by one. addresses: by full name."""
    return tuple(
        TagRow(
            name,
            _as_shown(addresses[name], brand),
            type_name(tag, brand, part_id),
            tag.direction.value,
            "optional" if tag.optional else "yes",
            tag.meaning,
        )
        for name, tag in tags.names(depth).items()
    )


def folded(rows: Sequence[TagRow], tags: TagSet, depth: int) -> tuple[TagRow, ...]:
    """One row for all slots of a ring, with the addresses of the first and the last."""
    by_name = {row.name: row for row in rows}
    short: list[TagRow] = []
    for tag in tags.tags:
        first, last = by_name[tag.at(0)], by_name[tag.at(depth - 1)]
        address = f"{first.address} … {last.address}" if tag.ring else first.address
        short.append(TagRow(tag.title, address, first.type, first.direction, first.needed, first.meaning))
    return tuple(short)


def as_csv(rows: Sequence[TagRow]) -> str:
    """For a spreadsheet; the first line names the columns."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([field.name for field in fields(TagRow)])
    table.writerows([getattr(row, field.name) for field in fields(TagRow)] for row in rows)
    return text.getvalue()


def as_json(rows: Sequence[TagRow]) -> str:
    """For programs."""
    return json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n"


def _as_shown(address: str, brand: Brand) -> str:
    """Schneider counts holding registers from %MW0 where others count from 40001."""
    register = _HOLDING_REGISTER.fullmatch(address) if brand == "schneider" else None
    return f"%MW{int(register[1]) - 1}" if register else address
