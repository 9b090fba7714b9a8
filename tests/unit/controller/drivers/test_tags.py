"""The tag table, and the page of the documentation that is made from it.

After a change: `python -m tests.unit.controller.drivers.test_tags` writes the page anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.drivers.plc.tags import HEAD, RESULT, TAGS, TRIGGER, Direction, markdown_table, names, slot_of
from statemachines.checkword import trigger_check
from statemachines.vocabulary import PlcHead, TriggerSlot

PAGE = Path(__file__).parents[4] / "docs" / "plc-contract.md"


def check_examples() -> str:
    """Worked check words of trigger slots."""
    rows = ["| Seq | PartId | TrigClockMs | RecipeId | EncoderPos | Check |", "|---|---|---|---|---|---|"]
    for seq, part, clock, recipe, encoder in ((1, 4711, 123_456, 7, 0), (2, "A-17", -5, 7, 1000)):
        rows.append(
            f"| {seq} | {part} | {clock} | {recipe} | {encoder} | {trigger_check(seq, part, clock, recipe, encoder)} |"
        )
    return "\n".join(rows) + "\n"


def renewed(page: str) -> str:
    for name, text in (("tags", markdown_table()), ("check", check_examples())):
        page = re.sub(
            rf"(<!-- {name}: begin .*?-->\n).*?(<!-- {name}: end -->)",
            lambda found, text=text: f"{found[1]}\n{text}\n{found[2]}",
            page,
            flags=re.DOTALL,
        )
    return page


def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert renewed(page) == page
    for tag in TAGS:
        assert f"| `{tag.title}` |" in page


def test_every_tag_has_one_name() -> None:
    assert len(names(8)) == len({tag.title for tag in TAGS if not tag.ring}) + 8 * (len(TRIGGER) + len(RESULT) + 1)
    assert len({tag.title for tag in TAGS}) == len(TAGS)


def test_the_head_fills_its_value_and_starts_with_the_trigger() -> None:
    assert {field for field, _ in HEAD} == set(PlcHead.__dataclass_fields__)
    assert HEAD[0][1].name == "TriggerSeq"
    assert [field for field, _ in TRIGGER if field != "encoder_pos"] == [
        field for field in TriggerSlot.__dataclass_fields__ if field != "encoder_pos"
    ]


def test_echoes_name_tags_of_the_plc() -> None:
    from_plc = {tag.title for tag in TAGS if tag.direction is Direction.PLC_TO_STATION}
    assert {tag.echoes for tag in TAGS if tag.echoes} <= from_plc


@pytest.mark.parametrize(("seq", "slot"), [(1, 0), (2, 1), (8, 7), (9, 0), (1 << 30, 7)])
def test_slots(seq: int, slot: int) -> None:
    assert slot_of(seq, 8) == slot


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
