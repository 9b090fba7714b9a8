"""What two processes of a station say to each other: typed messages, the protocols they belong to, and their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

WHOLE = 16_384
"""Bytes of a message that `Connection` writes at once, with its length before it."""


class Message(msgspec.Struct, frozen=True, tag=True):
    """What travels. Tagged with its class name; never changed after it was offered (another thread encodes it)."""


class Hello(Message, frozen=True):
    """First message of each side."""

    protocol: str
    version: int


class Goodbye(Message, frozen=True):
    """Last message of a side that ends on purpose and can still say why."""

    why: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """What two processes say to each other. to_parent, to_child: the tuples of `Message` classes each side accepts."""

    name: str
    version: int
    to_parent: tuple[type[Message], ...]
    to_child: tuple[type[Message], ...]
    largest: int = 1 << 20
    """Bytes of the largest message that is read; a longer one closes the channel."""


def encoded(encoder: msgspec.msgpack.Encoder, message: Message) -> bytes:
    """The message's frame. Text that is no Unicode travels with its odd bytes written out, as "J\\udcfcrgen"."""
    try:
        return encoder.encode(message)
    except UnicodeEncodeError:
        # PLCs and file systems hand on bytes that are no UTF-8; Python carries them as lone surrogates. One such part
        # id must not cost the whole talk.
        return encoder.encode(_printable(msgspec.to_builtins(message, builtin_types=(bytes,))))


def _printable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case dict():
            return {_printable(key): _printable(item) for key, item in value.items()}
        case list() | tuple():
            return [_printable(item) for item in value]
        case _:
            return value
