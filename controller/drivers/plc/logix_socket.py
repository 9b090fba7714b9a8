"""The socket below the EtherNet/IP client library: absolute deadlines, and every reply checked against its request.

pycomm3 1.2.16 takes whatever arrives next as the reply to its last request. After a time-out that is the reply to the
one before: another tag's value, without an error. It also waits anew for every 256 bytes, and for ever when the peer
closes in the middle of a reply. Here a reply must carry the echo of its own request, or the connection is finished.
"""

from __future__ import annotations

import itertools
import socket
import struct
import time
from contextlib import suppress

from statemachines.vocabulary import Ns

_HEADER = struct.Struct("<HHII8sI")
"""Command, length, session, status, sender context, options (CIP Networks Library Vol. 2, chapter 2-3)."""
_CONNECTED = 0x70
_COUNT = slice(44, 46)
"""Connected sequence count in a SendUnitData message: header, interface and time-out, two items, then the count."""


class StrangeReply(ConnectionError):
    """A reply that belongs to another request."""


class EchoSocket:
    """Takes the place of pycomm3's own `Socket`. One thread, but for `abort`.

    Raises TimeoutError at the deadline and ConnectionError for everything else; both are final.
    """

    def __init__(self) -> None:
        self.until = Ns(0)
        """Monotonic ns at which whatever is under way fails."""
        self._socket: socket.socket | None = None
        self._aborted = False
        self._contexts = itertools.count(1)
        self._sent = b""

    def connect(self, host: str, port: int) -> None:
        """Connect within the deadline."""
        made = socket.create_connection((host, port), timeout=self._left())
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = made
        if self._aborted:
            self.abort()

    def send(self, message: bytes) -> None:
        """Send one encapsulated request, with a sender context that no other has."""
        context = next(self._contexts).to_bytes(8, "little")
        self._sent = message[:12] + context + message[20:]
        opened = self._open()
        opened.settimeout(self._left())
        opened.sendall(self._sent)

    def receive(self) -> bytes:
        """The reply to what was sent last."""
        opened = self._open()
        reply = bytearray()
        wanted = _HEADER.size
        while len(reply) < wanted:
            opened.settimeout(self._left())
            piece = opened.recv(65536)
            if not piece:
                raise ConnectionError("the controller closed the connection")
            reply += piece
            if len(reply) >= _HEADER.size:
                wanted = _HEADER.size + int.from_bytes(reply[2:4], "little")
        whole = bytes(reply)
        self._check(whole, wanted)
        return whole

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()

    def abort(self) -> None:
        """Cut the connection, from any thread: a blocked call ends at once."""
        self._aborted = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _check(self, reply: bytes, size: int) -> None:
        """Raise StrangeReply unless this is the one reply to the last request.

        Unconnected requests are known by their sender context. The specification lets a target ignore the context of
        a connected one; that has its sequence count, which comes round only after 65,535 requests.
        """
        sent, self._sent = self._sent, b""
        if not sent or len(reply) != size:
            raise StrangeReply("more replies than requests")
        if reply[:2] != sent[:2]:
            raise StrangeReply("the reply to another kind of request")
        if int.from_bytes(sent[:2], "little") != _CONNECTED:
            if reply[12:20] != sent[12:20]:
                raise StrangeReply("the reply to an earlier request (sender context)")
        elif size > _HEADER.size and reply[_COUNT] != sent[_COUNT]:
            raise StrangeReply("the reply to an earlier request (sequence count)")

    def _open(self) -> socket.socket:
        if self._socket is None or self._aborted:
            raise ConnectionError("the connection is closed")
        return self._socket

    def _left(self) -> float:
        left = self.until - time.monotonic_ns()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left / 1e9
