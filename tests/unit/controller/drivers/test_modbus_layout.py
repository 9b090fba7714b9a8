"""The register layout: no two tags in one register, the page as the code has it, limits kept."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.drivers.plc import modbus_table
from controller.drivers.plc.modbus_layout import READ_LIMIT, WRITE_LIMIT, RegisterMap, addresses, extent, layout, runs
from controller.drivers.plc.modbus_words import Kind, Words
from controller.drivers.plc.tags import TAG_SETS
from controller.errors import ConfigError
from controller.sim.modbus_map import Memory, register_map
from controller.sim.plc_tags import DeclaredTag, TagKind
from controller.sim.sequence_tags import declared_tags

PAGE = Path(__file__).parents[4] / "docs" / "modbus-registers.md"


@pytest.mark.parametrize("profile", TAG_SETS)
@pytest.mark.parametrize("part_id", ["int", "string"])
def test_every_tag_has_registers_of_its_own(profile: Any, part_id: Any) -> None:
    registers = RegisterMap(profile=profile, part_id=part_id)
    made = layout(registers)
    for area in (made.from_plc, made.to_plc):
        assert all(before.end == after.address for before, after in pairwise(area))
    names = [place.name for place in (*made.from_plc, *made.to_plc)]
    assert len(names) == len(set(names))
    assert set(names) == set(addresses(registers)) == set(TAG_SETS[registers.profile].names(8))


def test_the_plc_programmers_own_table_is_the_same() -> None:
    made = layout(RegisterMap())
    ours = {place.name: (place.address, place.words) for place in (*made.from_plc, *made.to_plc)}
    theirs = {name: (spot.first, spot.size) for name, spot in register_map(declared_tags(8, TagKind.WORD)).items()}
    assert {name: theirs[name] for name in ours} == ours
    texts = register_map(declared_tags(8, TagKind.TEXT))
    made = layout(RegisterMap(part_id="string"))
    assert all(texts[place.name].first == place.address for place in (*made.from_plc, *made.to_plc))


def test_the_plc_programmers_own_table_of_the_four_phase_profile_is_the_same() -> None:
    made = layout(RegisterMap(profile="four-phase"))
    ours = {place.name: (place.address, place.words) for place in (*made.from_plc, *made.to_plc)}
    declared = [DeclaredTag(place.name, THEIRS[place.kind], False) for place in (*made.from_plc, *made.to_plc)]
    theirs = register_map(sorted(declared, key=lambda tag: tag.name))
    assert {name: (spot.first, spot.size) for name, spot in theirs.items()} == ours


def test_the_head_and_every_slot_of_the_default_ring_fit_one_read() -> None:
    made = layout(RegisterMap())
    assert len(runs(made.from_plc, READ_LIMIT)) == 1


def test_a_result_block_of_the_longest_part_id_fits_one_write() -> None:
    made = layout(RegisterMap(part_id="string", part_id_chars=80))
    assert len(runs(made.results[0], WRITE_LIMIT)) == 1
    assert len(runs(made.status, WRITE_LIMIT)) == 1


def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert modbus_table.renewed(page) == page
    assert "| `Result[i].ResultSeq` | DINT | 1067 + 28 i | 41068-41069 + 28 i |" in page


def test_addresses_in_the_4xxxx_style() -> None:
    found = addresses(RegisterMap())
    assert found["TriggerSeq"] == "40001-40002"
    assert found["Enable"] == "40007"
    assert found["Heartbeat"] == "41001-41002"
    assert addresses(RegisterMap(station_to_plc=20_000))["Heartbeat"] == "420001-420002"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"depth": 6}, "depth"),
        ({"depth": 1}, "depth"),
        ({"part_id_chars": 0}, "part_id_chars"),
        ({"part_id_chars": 81}, "part_id_chars"),
        ({"station_to_plc": 117}, "station_to_plc"),
        ({"plc_to_station": 1264}, "station_to_plc"),
        ({"station_to_plc": 65_400}, "station_to_plc"),
        ({"plc_to_station": -1}, "plc_to_station"),
    ],
)
def test_a_layout_that_cannot_work(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        layout(RegisterMap(**changes))
    assert caught.value.key == key


@pytest.mark.parametrize("changes", [{"station_to_plc": 118}, {"plc_to_station": 1265}, {"depth": 64}])
def test_a_layout_that_just_works(changes: dict[str, Any]) -> None:
    assert layout(RegisterMap(**changes)).head


def test_runs_end_at_gaps_and_limits() -> None:
    places = layout(RegisterMap()).status
    assert [extent(run) for run in runs(places, 12)][:2] == [(1000, 12), (1012, 12)]
    assert [extent(run) for run in runs([places[0], places[2]], 125)] == [(1000, 2), (1003, 1)]


ORDERS: Any = st.sampled_from(["big", "little"])
LATIN = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=16)
VALUES = st.one_of(
    st.tuples(st.just(Kind.DINT), st.integers(-(1 << 31), (1 << 31) - 1)),
    st.tuples(st.just(Kind.BOOL), st.booleans()),
    st.tuples(st.just(Kind.REAL), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(Kind.STRING), LATIN),
)
THEIRS = {Kind.DINT: TagKind.WORD, Kind.BOOL: TagKind.BIT, Kind.REAL: TagKind.REAL, Kind.STRING: TagKind.TEXT}


@given(VALUES, ORDERS, ORDERS)
def test_values_come_back_and_the_plc_reads_the_same(value: Any, word_order: Any, string_order: Any) -> None:
    kind, wanted = value
    words = Words(word_order, string_order)
    packed = words.pack(kind, wanted)
    assert len(packed) == words.count(kind)
    assert words.unpack(kind, [9, *packed], 1) == wanted
    assert Memory(word_order, string_order).to_value(THEIRS[kind], packed) == wanted


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.DINT, 1 << 31),
        (Kind.DINT, True),
        (Kind.DINT, 1.0),
        (Kind.BOOL, 1),
        (Kind.REAL, float("nan")),
        (Kind.REAL, 1e39),
        (Kind.REAL, True),
        (Kind.STRING, "seventeen letters"),
        (Kind.STRING, "€"),
        (Kind.STRING, "a\0b"),
        (Kind.STRING, 5),
    ],
)
def test_what_does_not_fit_is_refused(kind: Kind, value: Any) -> None:
    with pytest.raises(ValueError, match=r"fit|hold"):
        Words().pack(kind, value)


def test_a_register_that_is_no_bool() -> None:
    with pytest.raises(ValueError, match="holds 2"):
        Words().unpack(Kind.BOOL, [2], 0)
