"""The socket below the EtherNet/IP client: one reply to each request, its own, in time, or the connection is over."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Generator

import pytest

from controller.drivers.plc.logix_socket import EchoSocket, StrangeReply
from statemachines.vocabulary import MS, Ns

HEADER = struct.Struct("<HHII8sI")
REGISTER, CONNECTED = 0x65, 0x70


def message(command: int, body: bytes, context: bytes = b"_pycomm_") -> bytes:
    return HEADER.pack(command, len(body), 7, 0, context, 0) + body


def connected(count: int, content: bytes = b"") -> bytes:
    body = struct.pack("<IHHHHIHHH", 0, 0, 2, 0xA1, 4, 99, 0xB1, 2 + len(content), count) + content
    return message(CONNECTED, body)


class Peer:
    """The other end of an `EchoSocket`."""

    def __init__(self, listener: socket.socket) -> None:
        self.ours = EchoSocket()
        self.patience(1000)
        self.ours.connect(*listener.getsockname())
        self.theirs, _ = listener.accept()
        self.theirs.settimeout(5)

    def patience(self, milliseconds: float) -> None:
        self.ours.until = Ns(time.monotonic_ns() + int(milliseconds * MS))

    def asked(self, request: bytes) -> bytes:
        """Send a request; what arrives."""
        self.ours.send(request)
        return self.theirs.recv(4096)


@pytest.fixture
def peer() -> Generator[Peer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Peer(listener)
        yield made
        made.ours.close()
        made.theirs.close()


def test_the_reply_to_the_request_comes_through(peer: Peer) -> None:
    for request in (message(REGISTER, b"\1\0\0\0"), connected(7, b"abc")):
        seen = peer.asked(request)
        assert len(seen) == len(request)
        peer.theirs.sendall(seen)
        assert peer.ours.receive() == seen


def test_a_long_reply_in_pieces(peer: Peer) -> None:
    seen = peer.asked(connected(7, b"x" * 900))
    for start in range(0, len(seen), 100):
        peer.theirs.sendall(seen[start : start + 100])
    assert peer.ours.receive() == seen


def test_no_two_requests_have_the_same_context(peer: Peer) -> None:
    assert len({peer.asked(message(REGISTER, b""))[12:20] for _ in range(50)}) == 50


def test_an_earlier_context_is_another_requests_reply(peer: Peer) -> None:
    first = peer.asked(message(REGISTER, b""))
    peer.asked(message(REGISTER, b""))
    peer.theirs.sendall(first)
    with pytest.raises(StrangeReply, match="sender context"):
        peer.ours.receive()


def test_an_earlier_count_is_another_requests_reply(peer: Peer) -> None:
    peer.asked(connected(7))
    peer.asked(connected(8))
    peer.theirs.sendall(connected(7))
    with pytest.raises(StrangeReply, match="sequence count"):
        peer.ours.receive()


def test_a_connected_reply_may_lack_the_context(peer: Peer) -> None:
    peer.asked(connected(7))
    reply = connected(7)[:12] + bytes(8) + connected(7)[20:]
    peer.theirs.sendall(reply)
    assert peer.ours.receive() == reply


def test_another_kind_of_reply(peer: Peer) -> None:
    seen = peer.asked(connected(7))
    peer.theirs.sendall(b"\x6f\x00" + seen[2:])
    with pytest.raises(StrangeReply, match="another kind"):
        peer.ours.receive()


def test_two_replies_to_one_request(peer: Peer) -> None:
    seen = peer.asked(connected(7))
    peer.theirs.sendall(seen + seen)
    with pytest.raises(StrangeReply, match="more replies"):
        peer.ours.receive()


def test_a_reply_to_nothing(peer: Peer) -> None:
    seen = peer.asked(connected(7))
    peer.theirs.sendall(seen)
    peer.ours.receive()
    peer.theirs.sendall(seen)
    with pytest.raises(StrangeReply, match="more replies"):
        peer.ours.receive()


def test_silence_ends_at_the_deadline(peer: Peer) -> None:
    peer.asked(connected(7))
    peer.patience(30)
    with pytest.raises(TimeoutError):
        peer.ours.receive()
    with pytest.raises(TimeoutError):
        peer.ours.send(connected(8))


def test_a_peer_that_trickles_cannot_stretch_the_deadline(peer: Peer) -> None:
    seen = peer.asked(connected(7, b"x" * 200))
    stop = threading.Event()

    def trickle() -> None:
        for byte in seen[:-1]:
            if stop.wait(0.005):
                return
            peer.theirs.sendall(bytes((byte,)))

    thread = threading.Thread(target=trickle)
    thread.start()
    peer.patience(100)
    with pytest.raises(TimeoutError):
        peer.ours.receive()
    stop.set()
    thread.join()


@pytest.mark.parametrize("part", [0, 1, 30])
def test_a_peer_that_closes_within_a_reply(peer: Peer, part: int) -> None:
    seen = peer.asked(connected(7, b"abc"))
    peer.theirs.sendall(seen[:part])
    peer.theirs.close()
    with pytest.raises(ConnectionError):
        peer.ours.receive()


def test_abort_ends_a_wait_in_another_thread(peer: Peer) -> None:
    peer.asked(connected(7))
    peer.patience(30_000)
    threading.Timer(0.05, peer.ours.abort).start()
    with pytest.raises(ConnectionError):
        peer.ours.receive()
    with pytest.raises(ConnectionError, match="closed"):
        peer.ours.send(connected(8))


def test_nothing_goes_before_connect() -> None:
    made = EchoSocket()
    made.abort()
    made.close()
    with pytest.raises(ConnectionError, match="closed"):
        made.send(connected(1))
