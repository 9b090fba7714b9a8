"""A value that was read in halves must never be believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.drivers.plc.modbus_torn import doubtful
from statemachines.vocabulary import PlcHead

HEAD = PlcHead(trigger_seq=0xFFF0, clock_ms=0x1FFF0, gate_seq=5, session_ack=9, plc_epoch=3)


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({}, ""),
        ({"trigger_seq": 0xFFF1, "clock_ms": 0x1FFFF, "gate_seq": 6}, ""),
        ({"trigger_seq": 0x1FFF0}, "trigger_seq"),
        ({"trigger_seq": 0}, "trigger_seq"),
        ({"trigger_seq": 0x10000}, "trigger_seq"),
        ({"clock_ms": 0x10001}, "clock_ms"),
        ({"clock_ms": -5}, "clock_ms"),
        ({"gate_seq": 4}, "gate_seq"),
        ({"session_ack": 10}, "session_ack"),
        ({"plc_epoch": 4}, "plc_epoch"),
        ({"recipe_request_seq": 1}, "recipe_request_seq"),
        ({"trigger": True}, "trigger"),
        ({"encoder_now": -1, "enable": True, "mode_ceiling": 3}, ""),
    ],
)
def test_what_is_read_once_more(changes: dict[str, Any], doubt: str) -> None:
    assert doubtful(HEAD, replace(HEAD, **changes)) == doubt


def test_the_first_reading_is_read_once_more() -> None:
    assert doubtful(None, HEAD)


STEPS = st.lists(st.tuples(st.integers(1, 0x3000), st.booleans(), st.booleans()), min_size=1, max_size=30)


@given(st.integers(0, 0x40000), STEPS)
def test_a_counter_that_is_written_in_halves_is_only_ever_seen_whole(
    start: int, steps: list[tuple[int, bool, bool]]
) -> None:
    """A PLC that counts on, up to 12288 between two readings, and may be caught between its two halves.

    Each step: how far it counts, whether a reading comes between the halves, and which half it writes first.
    """
    value, seen = start, PlcHead(trigger_seq=start)
    before = seen
    for count, caught, upper_first in steps:
        old, value = value, value + count
        halves = (value & ~0xFFFF | old & 0xFFFF) if upper_first else (old & ~0xFFFF | value & 0xFFFF)
        readings = [halves, *[value] * 4] if caught else [value] * 5
        for reading in readings:
            now = PlcHead(trigger_seq=reading)
            doubt, before = doubtful(before, now), now
            if not doubt:
                break
        else:
            raise AssertionError("five readings did not settle")
        assert before.trigger_seq in (old, value)
