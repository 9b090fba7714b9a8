"""The channel, over a real pipe whose other end the test holds."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import pytest

from controller.channel import Channel
from controller.channel_words import WHOLE, Goodbye, Hello, Message, Protocol

TIMEOUT_S = 10.0
MEGABYTE = 1 << 20


class Up(Message, frozen=True):
    text: str


class Down(Message, frozen=True):
    number: int
    padding: bytes = b""


PROTOCOL = Protocol("test", 3, to_parent=(Up,), to_child=(Down,))


class End:
    """One end of a channel and what its callbacks heard."""

    def __init__(
        self, connection: Connection, protocol: Protocol, accepts: tuple[type[Message], ...], **options: Any
    ) -> None:
        self.heard: list[Any] = []
        self.closed: list[str] = []
        self._news = threading.Condition()
        self.channel = Channel(connection, protocol, accepts, self._message, self._closed, **options)
        self.channel.start()

    def _message(self, message: Any) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()

    def _closed(self, why: str) -> None:
        with self._news:
            self.closed.append(why)
            self._news.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(condition, TIMEOUT_S)

    def wait_closed(self) -> str:
        self.wait(lambda: bool(self.closed))
        return self.closed[0]


class Pair:
    """A parent's end, and the pipe's other end. loop: what the parent's end reads on; None: on a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self.ours, self.theirs = multiprocessing.Pipe()
        self.ends: list[End] = []
        self.child_lent = False

    def parent(self, **options: Any) -> End:
        protocol = PROTOCOL if self._loop is None else replace(PROTOCOL, largest=WHOLE)
        self.ends.append(End(self.ours, protocol, PROTOCOL.to_parent, loop=self._loop, **options))
        return self.ends[-1]

    def child(self, **options: Any) -> End:
        self.child_lent = True
        self.ends.append(End(self.theirs, PROTOCOL, PROTOCOL.to_child, **options))
        return self.ends[-1]

    def greet(self) -> None:
        self.theirs.send_bytes(msgspec.msgpack.encode(Hello(PROTOCOL.name, PROTOCOL.version)))

    def block(self, parent: End) -> None:
        """Leave the parent's sender stuck in a message that nobody reads, with an empty queue behind it."""
        assert parent.channel.offer(Down(0, b"x" * (MEGABYTE // 2)))
        spin(lambda: parent.channel.counts().waiting == 0)


def spin(condition: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(int(TIMEOUT_S / 0.01)):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("it never came true")


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that goes round in a thread of its own."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(TIMEOUT_S)
    made.close()


ON_LOOP = pytest.param("loop", marks=pytest.mark.skipif(os.name != "posix", reason="a loop reads pipes on POSIX only"))


@pytest.fixture(params=["thread", ON_LOOP])
def pair(request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop) -> Iterator[Pair]:
    made = Pair(loop if request.param == "loop" else None)
    yield made
    for end in made.ends:
        end.channel.close()
    if not made.child_lent:
        made.theirs.close()
    # A connection that a channel was given is the channel's to close.
    spin(lambda: made.ours.closed and made.theirs.closed)
    assert all(len(end.closed) == 1 for end in made.ends)


@pytest.mark.parametrize("pace_s", [None, 0.01])
def test_messages_travel_both_ways_in_order(pair: Pair, pace_s: float | None) -> None:
    parent, child = pair.parent(pace_s=pace_s), pair.child()
    for number in range(20):
        assert parent.channel.offer(Down(number))
    child.channel.offer(Up("hello"))
    child.wait(lambda: len(child.heard) == 20)
    parent.wait(lambda: len(parent.heard) == 1)
    assert child.heard == [Down(number) for number in range(20)]
    assert parent.heard == [Up("hello")]
    assert (child.channel.counts().received, parent.channel.counts().received) == (20, 1)


def test_what_is_sent_is_written_when_the_call_returns_and_keeps_its_place(pair: Pair) -> None:
    parent = pair.parent()
    pair.greet()
    pair.theirs.recv_bytes()
    pair.block(parent)
    sent = threading.Event()
    sender = threading.Thread(target=lambda: parent.channel.send(Down(1)) and sent.set())
    sender.start()
    assert not sent.wait(0.05), "it waits for what was offered before"
    pair.theirs.recv_bytes()
    assert sent.wait(TIMEOUT_S)
    assert pair.theirs.poll(0), "written, and not only queued"
    assert parent.channel.offer(Down(2))
    told = [msgspec.msgpack.decode(pair.theirs.recv_bytes())["number"] for _ in range(2)]
    assert told == [1, 2]
    sender.join(TIMEOUT_S)


def test_threads_that_send_and_offer_at_once_all_get_their_turn(pair: Pair) -> None:
    parent, child = pair.parent(), pair.child()
    threads = [threading.Thread(target=_say_a_hundred, args=(parent.channel, first)) for first in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    child.wait(lambda: len(child.heard) == 400)
    assert sorted(message.number for message in child.heard) == list(range(400))


def _say_a_hundred(channel: Channel, first: int) -> None:
    for number in range(first, first + 100, 2):
        assert channel.send(Down(number))
        while not channel.offer(Down(number + 1)):
            # The queue is full: wait for our turn behind it, which is a send's.
            time.sleep(0)


def test_nothing_is_sent_to_a_side_that_is_gone(pair: Pair) -> None:
    parent = pair.parent()
    pair.greet()
    pair.theirs.recv_bytes()
    pair.theirs.close()
    parent.wait_closed()
    assert not parent.channel.send(Down(1))


def test_another_version_closes_both_sides_with_the_reason(pair: Pair) -> None:
    parent, child = pair.parent(), pair.child(version=4)
    assert parent.wait_closed() == "the other side speaks test 4, not test 3"
    child.wait_closed()
    assert not parent.channel.offer(Down(1))


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\xc1\xff\x00", b"not msgpack at all", msgspec.msgpack.encode({"type": "Hello"}), bytes(2000)],
)
def test_garbage_for_a_greeting_closes(pair: Pair, garbage: bytes) -> None:
    parent = pair.parent()
    pair.theirs.send_bytes(garbage)
    assert "no message of test" in parent.wait_closed()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xc1",
        msgspec.msgpack.encode({"type": "Up", "text": 5}),
        msgspec.msgpack.encode({"type": "Nothing"}),
        msgspec.msgpack.encode(Down(1)),
    ],
)
def test_garbage_after_the_greeting_closes(pair: Pair, garbage: bytes) -> None:
    parent = pair.parent()
    pair.greet()
    pair.theirs.send_bytes(garbage)
    assert "no message of test" in parent.wait_closed()
    assert parent.heard == []


def test_a_message_beyond_the_limit_is_not_read(pair: Pair) -> None:
    parent = pair.parent()
    pair.greet()
    writer = threading.Thread(target=_send_quietly, args=(pair.theirs, bytes(2 * MEGABYTE)), daemon=True)
    writer.start()
    assert "cannot be read" in parent.wait_closed()
    writer.join(TIMEOUT_S)
    assert not writer.is_alive()


def _send_quietly(connection: Connection, data: bytes) -> None:
    try:
        connection.send_bytes(data)
    except OSError:
        return


def test_a_dead_peer_closes_and_offers_are_dropped_and_counted(pair: Pair) -> None:
    parent = pair.parent()
    pair.greet()
    pair.theirs.close()
    parent.wait_closed()
    before = parent.channel.counts().dropped
    assert [parent.channel.offer(Down(number)) for number in range(5)] == [False] * 5
    assert parent.channel.counts().dropped == before + 5
    assert len(parent.closed) == 1


def test_a_peer_that_never_reads_costs_a_bounded_queue(pair: Pair) -> None:
    parent = pair.parent(limit=8)
    pair.greet()
    pair.block(parent)
    taken = [parent.channel.offer(Down(number)) for number in range(100)]
    assert taken == [True] * 8 + [False] * 92
    counts = parent.channel.counts()
    assert (counts.waiting, counts.dropped, counts.sent) == (8, 92, 0)


def test_the_latest_of_a_key_replaces_the_waiting_one_in_its_place(pair: Pair) -> None:
    parent = pair.parent(limit=2)
    pair.block(parent)
    for number in range(1, 51):
        assert parent.channel.offer(Down(number), key="snapshot")
    assert parent.channel.offer(Down(100))
    assert parent.channel.offer(Down(51), key="snapshot")
    assert not parent.channel.offer(Down(101), key="another")
    counts = parent.channel.counts()
    assert (counts.waiting, counts.coalesced, counts.dropped) == (2, 50, 1)
    child = pair.child()
    child.wait(lambda: len(child.heard) == 3)
    assert [message.number for message in child.heard] == [0, 51, 100]


def test_close_returns_and_reports_though_the_sender_is_stuck(pair: Pair) -> None:
    parent = pair.parent()
    pair.block(parent)
    parent.channel.close("enough")
    assert parent.wait_closed() == "enough"
    assert not parent.channel.offer(Down(1))
    spin(lambda: pair.ours.closed)


def test_last_words_arrive_after_what_was_waiting(pair: Pair) -> None:
    parent, child = pair.parent(), pair.child()
    child.channel.offer(Up("first"))
    child.channel.finish("the port is taken", TIMEOUT_S)
    assert parent.wait_closed() == "the port is taken"
    assert parent.heard == [Up("first")]


def test_last_words_are_heard_though_the_pipe_is_closed_for_writing(pair: Pair) -> None:
    pair.greet()
    pair.theirs.send_bytes(msgspec.msgpack.encode(Goodbye("gone home")))
    pair.theirs.close()
    parent = pair.parent()
    parent.channel.offer(Down(1))
    assert parent.wait_closed() == "gone home"


def test_a_message_that_cannot_be_encoded_closes_instead_of_raising(pair: Pair) -> None:
    parent = pair.parent()
    assert parent.channel.offer(Down(1 << 80))
    assert "cannot be encoded" in parent.wait_closed()


@pytest.mark.skipif(os.name != "posix", reason="a loop reads pipes on POSIX only")
def test_a_loop_takes_nothing_up_from_a_talk_that_was_closed(loop: asyncio.AbstractEventLoop) -> None:
    ours, theirs = multiprocessing.Pipe()
    end = End(ours, replace(PROTOCOL, largest=WHOLE), PROTOCOL.to_parent, loop=loop)
    theirs.send_bytes(msgspec.msgpack.encode(Hello(PROTOCOL.name, PROTOCOL.version)))
    theirs.send_bytes(msgspec.msgpack.encode(Up("first")))
    end.wait(lambda: len(end.heard) == 1)
    held, go_on = threading.Event(), threading.Event()
    loop.call_soon_threadsafe(lambda: (held.set(), go_on.wait(TIMEOUT_S)))
    assert held.wait(TIMEOUT_S)
    theirs.send_bytes(msgspec.msgpack.encode(Up("too late")))
    end.channel.close("given up")
    go_on.set()
    assert end.wait_closed() == "given up"
    assert end.heard == [Up("first")]
    theirs.close()


def test_a_loop_reads_no_protocol_whose_messages_may_come_in_pieces(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(ValueError, match="16384"):
        Channel(multiprocessing.Pipe()[0], PROTOCOL, PROTOCOL.to_parent, print, print, loop=loop)


def test_a_loop_that_is_closed_ends_the_talk() -> None:
    ended, (ours, theirs) = asyncio.new_event_loop(), multiprocessing.Pipe()
    ended.close()
    end = End(ours, replace(PROTOCOL, largest=WHOLE), PROTOCOL.to_parent, loop=ended)
    theirs.send_bytes(msgspec.msgpack.encode(Hello(PROTOCOL.name, PROTOCOL.version)))
    assert "the loop" in end.wait_closed()
    theirs.close()
