"""Text that is no Unicode, as PLCs and file systems hand it on, must not end the talk between two processes."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

from controller.channel import Channel
from controller.channel_words import Message, Protocol

TIMEOUT_S = 10.0
ODD = b"J\xfcrgen".decode("utf-8", "surrogateescape")
"""A name in Latin-1, as the OPC UA library decodes it."""


class Told(Message, frozen=True):
    text: str
    by_name: dict[str, int]
    inner: list[Inner]
    data: bytes = b""


class Inner(Message, frozen=True):
    text: str


PROTOCOL = Protocol("text", 1, to_parent=(Told,), to_child=(Told,))


def exchange(*messages: Told) -> tuple[list[Any], int, bool]:
    """What the other side hears of these messages; how many were sent, and whether the talk had ended by then."""
    ours, theirs = multiprocessing.Pipe()
    heard: list[Any] = []
    complete, gone = threading.Event(), [threading.Event(), threading.Event()]

    def take(message: Any) -> None:
        heard.append(message)
        if len(heard) == len(messages):
            complete.set()

    parent = Channel(ours, PROTOCOL, PROTOCOL.to_parent, lambda _: None, lambda _: gone[0].set())
    child = Channel(theirs, PROTOCOL, PROTOCOL.to_child, take, lambda _: gone[1].set())
    parent.start()
    child.start()
    for message in messages:
        assert parent.offer(message)
    arrived = complete.wait(TIMEOUT_S)
    ended = parent.closed or child.closed
    # Waits for the sender, which counts a message only when it is in the pipe.
    parent.finish("enough", TIMEOUT_S)
    child.close()
    assert all(event.wait(TIMEOUT_S) for event in gone)
    assert arrived, heard
    return heard, parent.counts().sent, ended


def test_odd_text_arrives_with_its_bytes_written_out_and_the_talk_goes_on() -> None:
    odd = Told(ODD, {ODD: 1}, [Inner(ODD)], b"\xfc\x00")
    plain = Told("Jürgen", {"a": 1}, [Inner("b")], b"\xfc")
    heard, sent, ended = exchange(plain, odd, plain)
    shown = "J\\udcfcrgen"
    assert heard == [plain, Told(shown, {shown: 1}, [Inner(shown)], b"\xfc\x00"), plain]
    # Three messages and the Goodbye.
    assert sent == 4
    assert not ended


def test_a_sender_that_cannot_encode_ends_the_talk_instead_of_falling_silent() -> None:
    ours, theirs = multiprocessing.Pipe()
    closed: list[str] = []
    gone = threading.Event()

    def end(why: str) -> None:
        closed.append(why)
        gone.set()

    parent = Channel(ours, PROTOCOL, PROTOCOL.to_parent, lambda _: None, end)
    parent.start()
    endless: Any = []
    endless.append(endless)
    assert parent.offer(Told("deep", {}, endless))
    assert gone.wait(TIMEOUT_S)
    assert "cannot be encoded" in closed[0]
    assert not parent.offer(Told("later", {}, []))
    theirs.close()
