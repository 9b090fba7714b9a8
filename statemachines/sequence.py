"""Arithmetic of sequence numbers: 1 to the modulus, then 1 again; 0 means "none yet"."""

from __future__ import annotations


def following(seq: int, modulus: int) -> int:
    """The number after this one."""
    return seq % modulus + 1


def distance(earlier: int, later: int, modulus: int) -> int:
    """Steps forward from `earlier` to `later`, 0 to modulus - 1; from 0 it is `later` itself."""
    if earlier == 0:
        return later
    return (later - earlier) % modulus


def back(seq: int, steps: int, modulus: int) -> int:
    """The number `steps` before this one (steps < modulus)."""
    return (seq - 1 - steps) % modulus + 1


def slot_of(seq: int, depth: int) -> int:
    """Ring slot of a number; depth is a power of two."""
    return (seq - 1) & (depth - 1)
