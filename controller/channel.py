"""Local talk between two processes: typed messages over a pipe, in bounded memory, never in the caller's way.

A frame is one msgpack message. The first one from each side says which protocol and version it speaks; anything else
closes the channel. `Channel.offer` only puts a message into a short queue: threads of the channel encode, write, read
and decode, so a peer that is dead, frozen or talks nonsense costs the owner nothing but a count. An owner that must
hear at once may have its event loop read and decode, one short message at a time.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from controller.channel_words import WHOLE, Goodbye, Hello, Message, Protocol, encoded

POLL_S = 0.5
"""How soon at the latest a waiting reader notices that its own side was closed."""


@dataclass(frozen=True, slots=True)
class ChannelCounts:
    """Messages since the start. coalesced: replaced by a later one of the same key before they were sent."""

    sent: int
    received: int
    coalesced: int
    dropped: int
    waiting: int


class Channel:
    """One side's end of the talk. `offer`, `close` and `counts` may be called from any thread; none raises or waits.

    on_message: called with each message on the channel's reader thread; it must not raise.
    on_closed: called once with the reason, as the last act of that thread, however the channel ended.
    pace_s: the sender looks for messages at this interval instead of being woken by each `offer`. Waking a thread costs
    the caller 40 us, and milliseconds where the system gives the core to another process on that occasion. It begins
    to look with the first message: until then an owner that is still loading its modules is not interrupted.
    loop: messages are read and on_message is called on this event loop, without a thread between the other side and
    the loop. POSIX only, and for protocols whose `largest` is within WHOLE: a loop must not wait for half a message.
    """

    def __init__(
        self,
        connection: Connection,
        protocol: Protocol,
        accepts: tuple[type[Message], ...],
        on_message: Callable[[Any], None],
        on_closed: Callable[[str], None],
        *,
        limit: int = 64,
        pace_s: float | None = None,
        version: int | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._connection, self._protocol = connection, protocol
        self._version = protocol.version if version is None else version
        union: Any = Goodbye
        for kind in accepts:
            union = union | kind
        self._decoder = msgspec.msgpack.Decoder(union)
        self._on_message, self._on_closed = on_message, on_closed
        if loop is not None and protocol.largest > WHOLE:
            raise ValueError(f"{protocol.name}: a loop reads messages of at most {WHOLE} bytes, not {protocol.largest}")
        self._limit, self._pace_s, self._loop = limit, pace_s, loop
        self._waiting: OrderedDict[str | int, Message] = OrderedDict()
        self._news = threading.Condition(threading.Lock())
        self._closed_why: str | None = None
        self._serial = 0
        self._paced = False
        self._sending = True
        """A message is on the connection: at first the Hello."""
        self._kept_waiting = 0
        """Threads in `send` that wait for their turn."""
        self._readable = _readable(connection)
        self._encoder = msgspec.msgpack.Encoder()
        self._sent = self._received = self._coalesced = self._dropped = 0
        self._users = 2
        self._sender = threading.Thread(target=self._send, name=f"{protocol.name} sender", daemon=True)
        self._reader = threading.Thread(target=self._read, name=f"{protocol.name} reader", daemon=True)

    def start(self) -> None:
        """Begin to talk. The channel owns the connection from now on."""
        self._sender.start()
        self._reader.start()

    def offer(self, message: Message, key: str | None = None) -> bool:
        """Queue a message; False when it was dropped, because the queue is full or the channel closed.

        key: a message with the same key that still waits is replaced, in its place in the queue.
        """
        with self._news:
            if self._closed_why is not None:
                self._dropped += 1
                return False
            if key is not None and key in self._waiting:
                self._waiting[key] = message
                self._coalesced += 1
                return True
            if len(self._waiting) >= self._limit:
                self._dropped += 1
                return False
            self._serial += 1
            self._waiting[self._serial if key is None else key] = message
            if self._pace_s is None or not self._paced:
                # All: a thread in `send` may wait here as well.
                self._news.notify_all()
                self._paced = True
            return True

    def send(self, message: Message) -> bool:
        """Write a message from the calling thread, behind what was offered before; False when it was dropped.

        It waits for the other side to read. For a thread that is about to call something that keeps the interpreter
        from the channel's own threads for long, and the news from the other side with it.
        """
        with self._news:
            if self._waiting or self._sending:
                self._kept_waiting += 1
                self._news.wait_for(lambda: self.closed or not (self._waiting or self._sending))
                self._kept_waiting -= 1
            if self.closed:
                self._dropped += 1
                return False
            self._sending = True
        try:
            self._connection.send_bytes(encoded(self._encoder, message))
        except OSError:
            # The other side is gone: the reader ends the channel.
            return False
        finally:
            self._note_free(sent=1)
        return True

    def close(self, why: str = "closed here") -> None:
        """End the talk at once; what still waits is lost. on_closed follows from the reader's thread."""
        with self._news:
            if self._closed_why is None:
                self._closed_why = why
            self._news.notify_all()
            if self._users > 0:
                _hang_up(self._connection)

    def finish(self, why: str, timeout_s: float) -> None:
        """Send what waits and a Goodbye, then close. Waits for it, so not for an event loop's thread."""
        if self._sender.is_alive() and self.offer(Goodbye(why)):
            self._sender.join(timeout_s)
        self.close(why)

    @property
    def closed(self) -> bool:
        """Nothing more will be sent."""
        return self._closed_why is not None

    def counts(self) -> ChannelCounts:
        """What came of all the messages so far."""
        with self._news:
            return ChannelCounts(self._sent, self._received, self._coalesced, self._dropped, len(self._waiting))

    def _send(self) -> None:
        encoder = msgspec.msgpack.Encoder()
        try:
            self._connection.send_bytes(encoder.encode(Hello(self._protocol.name, self._version)))
            self._note_free()
            while (message := self._next()) is not None:
                self._connection.send_bytes(encoded(encoder, message))
                self._note_free(sent=1)
                if isinstance(message, Goodbye):
                    return
        except OSError:
            # The other side is gone. The reader ends the channel: its last words may still lie in the pipe.
            return
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            self.close(f"a message cannot be encoded: {error}")
        finally:
            self._let_go()

    def _note_free(self, sent: int = 0) -> None:
        with self._news:
            self._sent += sent
            self._sending = False
            if self._waiting or self._kept_waiting:
                # Else the channel's own sender would wake for nothing, and take the interpreter from who called `send`.
                self._news.notify_all()

    def _next(self) -> Message | None:
        with self._news:
            while (self._sending or not self._waiting) and self._closed_why is None:
                self._news.wait(self._pace_s if self._paced else None)
            if self._closed_why is not None:
                return None
            self._sending = True
            return self._waiting.popitem(last=False)[1]

    def _read(self) -> None:
        try:
            self._greet()
            if self._loop is None:
                while not self.closed:
                    self._on_message(self._message(self._frame()))
            else:
                self._read_on(self._loop)
        except _Closed as closed:
            self.close(str(closed))
        except msgspec.MsgspecError as error:
            self.close(f"the other side sent no message of {self._protocol.name}: {error}")
        finally:
            self.close("the reader ended")
            self._let_go()
            self._on_closed(self._closed_why or "")

    def _message(self, frame: bytes) -> Any:
        message = self._decoder.decode(frame)
        if isinstance(message, Goodbye):
            raise _Closed(message.why)
        self._received += 1
        return message

    def _read_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop read until the end of the talk, and raise what ended it."""
        over, ends = threading.Event(), list[Exception]()
        descriptor = self._connection.fileno()

        def readable() -> None:
            try:
                if self.closed:
                    # What a side that was given up still said is nobody's: another one may speak in its place by now.
                    raise _Closed("closed here")
                self._on_message(self._message(self._received_bytes()))
            except Exception as error:  # noqa: BLE001  the waiting thread raises it
                loop.remove_reader(descriptor)
                ends.append(error)
                over.set()

        with suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.add_reader, descriptor, readable)
        while not over.wait(POLL_S):
            if loop.is_closed():
                raise _Closed("the loop that reads has ended")
        raise ends[0]

    def _greet(self) -> None:
        hello = msgspec.msgpack.decode(self._frame(), type=Hello)
        if (hello.protocol, hello.version) != (self._protocol.name, self._version):
            raise _Closed(
                f"the other side speaks {hello.protocol} {hello.version}, not {self._protocol.name} {self._version}"
            )

    def _frame(self) -> bytes:
        try:
            while not self._readable():
                if self.closed:
                    raise _Closed("closed here")
        except OSError as error:
            raise _Closed(f"the other side cannot be read: {error}") from error
        return self._received_bytes()

    def _received_bytes(self) -> bytes:
        """The frame that lies in the connection, as a whole."""
        try:
            return self._connection.recv_bytes(self._protocol.largest)
        except EOFError as error:
            raise _Closed("the other side is gone") from error
        except (OSError, ValueError) as error:
            raise _Closed(f"the other side cannot be read: {error}") from error

    def _let_go(self) -> None:
        # The last of the two threads closes: a descriptor closed under the other's feet may be another file by then.
        with self._news:
            self._users -= 1
            if self._users == 0:
                self._connection.close()


def _readable(connection: Connection) -> Callable[[], bool]:
    """Waits up to POLL_S for something to read, or for the other side's end.

    `Connection.poll` makes a selector anew each time: 50 us of the interpreter, just when the message that was read
    before wakes another thread.
    """
    if os.name != "posix":
        return lambda: connection.poll(POLL_S)
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return lambda: bool(poll.poll(POLL_S * 1000))


class _Closed(Exception):
    """Nothing more can be read."""


def _hang_up(connection: Connection) -> None:
    """Wake the threads that block on the connection, where the system can: a pipe is a socket pair on POSIX.

    Elsewhere the reader sees it within POLL_S, and a blocked sender when the other process is gone.
    """
    if os.name != "posix":
        return
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)
    except OSError:
        # Gone already, which is what was wanted.
        return
