"""Entry points for child processes that the supervisor's tests start."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

from controller.channel import Channel
from controller.channel_words import WHOLE, Message, Protocol


class Said(Message, frozen=True):
    text: str


PROTOCOL = Protocol("children", 1, to_parent=(Said,), to_child=(Said,), largest=WHOLE)


def _until_closed(connection: Connection, text: str, answer: bool) -> None:
    ended = threading.Event()

    def take(message: Any) -> None:
        if answer:
            channel.offer(Said(f"{message.text} {os.getpid()}"))

    channel = Channel(connection, PROTOCOL, PROTOCOL.to_child, take, lambda _: ended.set())
    channel.start()
    if text:
        channel.offer(Said(text))
    ended.wait()


def echo(settings: str, connection: Connection) -> None:
    """Says its settings, then answers everything, until the pipe closes."""
    _until_closed(connection, settings, True)


def mute(_settings: str, connection: Connection) -> None:
    """Listens and never says a word."""
    _until_closed(connection, "", False)


def stubborn(settings: str, connection: Connection) -> None:
    """Does not end when it should."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _until_closed(connection, settings, False)
    threading.Event().wait()


def exits(_settings: str, _connection: Connection) -> None:
    """Dies at once."""
    os._exit(3)


def explains(settings: str, connection: Connection) -> None:
    """Says why it cannot work, and ends."""
    channel = Channel(connection, PROTOCOL, PROTOCOL.to_child, lambda _: None, lambda _: None)
    channel.start()
    channel.finish(settings, 5.0)


def floods(_settings: str, connection: Connection) -> None:
    """Says more than anyone can hear."""
    ended = threading.Event()
    channel = Channel(connection, PROTOCOL, PROTOCOL.to_child, lambda _: None, lambda _: ended.set(), limit=2000)
    channel.start()
    for number in range(2000):
        channel.offer(Said(str(number)))
    ended.wait()
