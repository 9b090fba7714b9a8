"""The check words of the rings: how a reader knows that a slot was not copied half written.

Written so that a ladder program can follow: signed 32-bit arithmetic without overflow, no unsigned types.
Every field goes in as two 16-bit halves (a string as its characters, a BOOL as 0 or 1):
`c := (c * 31 + half) AND 16#FFFFFF`.
"""

from __future__ import annotations

from statemachines.vocabulary import Answer, PartId

_MASK = 0xFFFFFF
_START = 0x1D


def check_word(*fields: PartId) -> int:
    """Check word of a slot's fields in the contract's order; 0 to 2^24 - 1."""
    word = _START
    for value in fields:
        if isinstance(value, str):
            for character in value:
                word = (word * 31 + (ord(character) & 0xFFFF)) & _MASK
        else:
            word = (word * 31 + ((value >> 16) & 0xFFFF)) & _MASK
            word = (word * 31 + (value & 0xFFFF)) & _MASK
    return word


def trigger_check(seq: int, part_id: PartId, trig_clock_ms: int, recipe_id: int, encoder_pos: int) -> int:
    """Check word of a trigger slot."""
    return check_word(seq, part_id, trig_clock_ms, recipe_id, encoder_pos)


def answer_check(answer: Answer) -> int:
    """Check word of a result slot. Score is left out: a REAL has no portable bits in ladder logic."""
    return check_word(
        answer.seq,
        answer.part_id,
        answer.epoch_echo,
        answer.session_id,
        int(answer.action),
        int(answer.verdict),
        int(answer.reason),
        answer.defect_code,
        int(answer.severity),
        answer.finding_count,
        answer.latency_us,
        int(answer.mode),
    )
