"""The tables of docs/modbus-registers.md: `python -m controller.drivers.plc.modbus_table docs/modbus-registers.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from controller.drivers.plc.modbus_layout import Place, RegisterMap, layout, span
from controller.drivers.plc.tags import TAG_SETS, Profile

_BEGIN = "<!-- registers: begin (generated from controller/drivers/plc/modbus_layout.py) -->"
_END = "<!-- registers: end -->"


def renewed(page: str) -> str:
    """The page with its tables made anew, for a station with the default settings."""
    before, _, rest = page.partition(_BEGIN)
    tables = "\n".join(line for profile in TAG_SETS for line in _profile(profile))
    return f"{before}{_BEGIN}\n\n{tables}\n{_END}{rest.partition(_END)[2]}"


def _profile(profile: Profile) -> Iterator[str]:
    made = layout(RegisterMap(profile=profile))
    yield f"## {profile.capitalize()} profile\n"
    yield from _area(
        "PLC → station", [place for _, place in made.head], [[place for _, place in slot] for slot in made.triggers]
    )
    yield from _area("station → PLC", made.status, made.results)


def _area(title: str, singles: Sequence[Place], slots: Sequence[Sequence[Place]]) -> Iterator[str]:
    size = slots[-1][-1].end - singles[0].address
    yield f"### {title} ({size} registers)\n"
    yield "| tag | type | offset | register |"
    yield "|---|---|---|---|"
    for place in singles:
        yield f"| `{place.name}` | {place.kind.value} | {place.address} | {span(place.address, place.words)} |"
    step = slots[1][0].address - slots[0][0].address if len(slots) > 1 else 0
    for place in slots[0]:
        plus = f" + {step} i" if step else ""
        register = span(place.address, place.words)
        yield f"| `{place.tag.title}` | {place.kind.value} | {place.address}{plus} | {register}{plus} |"
    yield ""


if __name__ == "__main__":
    _page = Path(sys.argv[1])
    _page.write_text(renewed(_page.read_text(encoding="utf-8")), encoding="utf-8")
