"""The network shaper against a plain echo server: what it lets pass, holds, loses and cuts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator

import pytest

from hil_tests.shaper import CLEAR, Pacer, Shape, Shaper, Step

PAUSE_S = 0.3


class Echo:
    """Sends back what it gets, each connection in a thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
                    if data == b"quit":
                        return
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def shaper() -> Generator[Shaper]:
    echo = Echo()
    with Shaper("127.0.0.1", echo.port, seed=7) as made:
        yield made
    echo.close()


def dial(shaper: Shaper) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", shaper.port), timeout=5)
    client.settimeout(5)
    return client


def ask(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return receive(client, len(data))


def receive(client: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = client.recv(size - len(got))
        if not piece:
            break
        got += piece
    return got


def silent(client: socket.socket, for_s: float = PAUSE_S) -> bool:
    client.settimeout(for_s)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)
    return False


def test_a_clear_network_changes_nothing(shaper: Shaper) -> None:
    with dial(shaper) as client:
        data = bytes(range(256)) * 4000
        assert ask(client, data) == data


def test_a_frozen_network_holds_everything_and_loses_nothing(shaper: Shaper) -> None:
    with dial(shaper) as client:
        assert ask(client, b"before") == b"before"
        shaper.shape(Shape(frozen=True))
        client.sendall(b"one")
        client.sendall(b"two")
        assert silent(client)
        shaper.clear()
        assert receive(client, 6) == b"onetwo"


def test_a_connection_made_while_frozen_works_after_the_thaw(shaper: Shaper) -> None:
    shaper.shape(Shape(frozen=True))
    with dial(shaper) as client:
        client.sendall(b"early")
        assert silent(client)
        shaper.clear()
        assert receive(client, 5) == b"early"


def test_a_half_open_connection_is_silent_for_ever_and_new_ones_work(shaper: Shaper) -> None:
    with dial(shaper) as client:
        assert ask(client, b"before") == b"before"
        shaper.shape(Shape(half_open=True))
        client.sendall(b"lost")
        assert silent(client)
        shaper.clear()
        client.sendall(b"still lost")
        assert silent(client), "a connection that lost data must not come back with a hole in it"
        with dial(shaper) as fresh:
            assert ask(fresh, b"after") == b"after"


def test_a_reset_is_seen_as_one(shaper: Shaper) -> None:
    with dial(shaper) as client:
        assert ask(client, b"before") == b"before"
        shaper.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with dial(shaper) as fresh:
        assert ask(fresh, b"after") == b"after"


def test_an_end_comes_behind_the_last_piece(shaper: Shaper) -> None:
    with dial(shaper) as client:
        ask(client, b"before")
        shaper.shape(Shape(delay_ms=50))
        assert ask(client, b"quit") == b"quit"
        assert client.recv(1) == b""


def test_delay_holds_each_piece_for_its_time(shaper: Shaper) -> None:
    with dial(shaper) as client:
        ask(client, b"before")
        shaper.shape(Shape(delay_ms=80))
        started = time.monotonic()
        assert ask(client, b"slow") == b"slow"
        assert time.monotonic() - started >= 0.16, "80 ms each way"


def test_a_bandwidth_limit_takes_its_time(shaper: Shaper) -> None:
    with dial(shaper) as client:
        ask(client, b"before")
        shaper.shape(Shape(bytes_per_s=20_000))
        started = time.monotonic()
        assert len(ask(client, b"x" * 6000)) == 6000
        assert time.monotonic() - started >= 0.3


def test_a_script_plays_and_clears(shaper: Shaper) -> None:
    with dial(shaper) as client:
        ask(client, b"before")
        done = shaper.play([Step(Shape(frozen=True), 0.2), Step(Shape(delay_ms=10), 0.1)])
        started = time.monotonic()
        assert ask(client, b"through it") == b"through it"
        assert time.monotonic() - started >= 0.2
        done.result(5)
        assert shaper.present == CLEAR


def test_an_unreachable_target_refuses(shaper: Shaper) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port: int = gone.getsockname()[1]
    shaper.retarget(port)
    # The reset may come before the connection counts as made.
    with pytest.raises(ConnectionResetError), dial(shaper) as client:
        client.recv(1)


def test_the_same_seed_gives_the_same_delays_in_order() -> None:
    shape = Shape(delay_ms=5, jitter_ms=20, bytes_per_s=100_000)

    def delays(seed: str) -> list[float]:
        pacer = Pacer(seed)
        return [pacer.due(number * 0.001, 100, shape) for number in range(50)]

    assert delays("7/1/a") == delays("7/1/a")
    assert delays("7/1/a") != delays("7/2/a")
    assert delays("7/1/a") == sorted(delays("7/1/a")), "no piece overtakes another of its own direction"
