"""The tag table, and the page of the documentation that is made from it.

After a change: `python -m tests.unit.controller.drivers.test_tags` writes the page anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.drivers.plc.tags import (
    FOUR_PHASE,
    HEAD,
    RESULT,
    SEQUENCE,
    TAG_SETS,
    TRIGGER,
    Direction,
    TagSet,
    markdown_table,
)
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
    for name, text in (
        ("tags", markdown_table()),
        ("check", check_examples()),
        ("four-phase tags", markdown_table(FOUR_PHASE)),
    ):
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
    for tag in (*SEQUENCE.tags, *FOUR_PHASE.tags):
        assert f"| `{tag.title}` |" in page


def test_every_tag_has_one_name() -> None:
    tags = SEQUENCE.tags
    singles = {tag.title for tag in tags if not tag.ring}
    assert len(SEQUENCE.names(8)) == len(singles) + 8 * (len(TRIGGER) + len(RESULT) + 1)


@pytest.mark.parametrize("tags", TAG_SETS.values(), ids=lambda tags: tags.profile)
def test_the_head_fills_its_value_and_starts_with_the_trigger(tags: TagSet) -> None:
    assert len({tag.title for tag in tags.tags}) == len(tags.tags)
    assert tags.head[0][1].name == {"sequence": "TriggerSeq", "four-phase": "Trigger"}[tags.profile]
    assert [field for field, _ in tags.trigger if field not in ("encoder_pos", "check")] == [
        field for field in TriggerSlot.__dataclass_fields__ if field not in ("encoder_pos", "check")
    ]


def test_both_heads_fill_the_whole_value() -> None:
    fields = {field for tags in TAG_SETS.values() for field, _ in tags.head}
    assert fields == set(PlcHead.__dataclass_fields__)
    assert len(HEAD) == len(FOUR_PHASE.head)


@pytest.mark.parametrize("tags", TAG_SETS.values(), ids=lambda tags: tags.profile)
def test_echoes_name_tags_of_the_plc(tags: TagSet) -> None:
    from_plc = {tag.title for tag in tags.tags if tag.direction is Direction.PLC_TO_STATION}
    assert {tag.echoes for tag in tags.tags if tag.echoes} <= from_plc


def test_without_rings_every_number_has_the_one_slot() -> None:
    assert FOUR_PHASE.names(8) == FOUR_PHASE.names(1)
    assert [FOUR_PHASE.slot_of(seq, 8) for seq in (1, 2, 1 << 30)] == [0, 0, 0]


@pytest.mark.parametrize(("seq", "slot"), [(1, 0), (2, 1), (8, 7), (9, 0), (1 << 30, 7)])
def test_slots(seq: int, slot: int) -> None:
    assert SEQUENCE.slot_of(seq, 8) == slot


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
