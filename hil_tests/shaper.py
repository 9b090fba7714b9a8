"""The network between station and PLC: a TCP relay that delays, stops, cuts and throttles what passes through it.

It runs on an event loop in a thread of its own. What happens is a `Shape`, changed from any thread at any time or by a
script; the delays come from a seeded generator per connection and direction, so that a run can be repeated.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

_CLOSE_S = 5.0
_LINGER_NONE = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST instead of FIN."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the network does to every piece of data, in both directions.

    delay_ms, jitter_ms: each piece comes so much later, and up to so much more by chance; pieces of one direction keep
    their order (TCP gives no other), those of different directions and connections overtake each other. bytes_per_s:
    0 for no limit. frozen: nothing passes and nothing is lost, as with a cable that is out for a while. half_open: what
    is sent is lost, and no side ever learns it; connections that lost data stay dead when the shape changes again.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    bytes_per_s: int = 0
    frozen: bool = False
    half_open: bool = False

    @property
    def clear(self) -> bool:
        """Data passes at once."""
        return self == CLEAR


CLEAR = Shape()


@dataclass(frozen=True, slots=True)
class Step:
    """Part of a script: this shape for so long."""

    shape: Shape
    for_s: float


class Pacer:
    """When each piece of one direction may leave. Pure but for its generator."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)
        self._free_at = 0.0

    def due(self, now: float, size: int, shape: Shape) -> float:
        """The time at which a piece of this size that came in now leaves: never before an earlier one."""
        late_ms = shape.delay_ms + self._chance.uniform(0.0, shape.jitter_ms)
        self._free_at = max(self._free_at, now + late_ms / 1000)
        if shape.bytes_per_s:
            self._free_at += size / shape.bytes_per_s
        return self._free_at


class Shaper:
    """A relay from a port of its own to one address; use it with `with`. All methods may be called from any thread."""

    def __init__(self, host: str, port: int, seed: int = 1) -> None:
        self._target = (host, port)
        self._seed = seed
        self._shape = CLEAR
        self._opened = 0
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network shaper", daemon=True)
        self._server: asyncio.Server | None = None
        self._script: asyncio.Task[None] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen()).result(_CLOSE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close()).result(_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        self._loop.close()

    @property
    def thread_id(self) -> int:
        """The relay's thread, as the operating system knows it."""
        return self._thread.native_id or 0

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._pairs)

    def shape(self, shape: Shape) -> None:
        """Make the network behave like this from now on; a script that runs ends."""
        self._call(self._set(shape)).result(_CLOSE_S)

    def clear(self) -> None:
        """Let data pass again; what was held back goes out now, in order."""
        self.shape(CLEAR)

    def reset(self) -> None:
        """Cut every connection with RST on both sides; new ones are taken."""
        self._call(self._reset()).result(_CLOSE_S)

    def play(self, script: Sequence[Step]) -> Future[None]:
        """Run a script and clear the network afterwards; the future is done when it has ended."""
        return self._call(self._play(tuple(script)))

    def retarget(self, port: int) -> None:
        """Relay new connections to another port of the same host."""
        self._target = (self._target[0], port)

    # --- on the relay's own loop ------------------------------------------------------------------------------

    def _call(self, work: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self) -> _Side:
        self._opened += 1
        pair = _Pair(self, f"{self._seed}/{self._opened}")
        self._pairs.add(pair)
        return pair.client

    async def _set(self, shape: Shape) -> None:
        if self._script is not None and self._script is not asyncio.current_task():
            self._script.cancel()
            self._script = None
        self._change(shape)

    def _change(self, shape: Shape) -> None:
        self._shape = shape
        for pair in tuple(self._pairs):
            pair.reshape()

    async def _play(self, script: tuple[Step, ...]) -> None:
        self._script = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            for step in script:
                self._change(step.shape)
                await asyncio.sleep(step.for_s)
        finally:
            self._change(CLEAR)

    async def _reset(self) -> None:
        for pair in tuple(self._pairs):
            pair.cut(reset=True)

    async def _close(self) -> None:
        if self._script is not None:
            self._script.cancel()
        if self._server is not None:
            self._server.close()
        for pair in tuple(self._pairs):
            pair.cut(reset=False)
        # Let the transports close their sockets and tell their protocols.
        for _ in range(3):
            await asyncio.sleep(0)

    @property
    def present(self) -> Shape:
        """The shape in force."""
        return self._shape

    async def dial(self, side: _Side) -> None:
        """Connect to the target on behalf of a pair."""
        await self._loop.create_connection(lambda: side, *self._target)

    def forget(self, pair: _Pair) -> None:
        """A pair's connections are closed."""
        self._pairs.discard(pair)


class _Pair:
    """One connection through the relay: the station's side and the PLC's."""

    def __init__(self, shaper: Shaper, seed: str) -> None:
        self.shaper = shaper
        self.client = _Side(self, f"{seed}/to the PLC")
        self.server = _Side(self, f"{seed}/to the station")
        self.dead = False
        self.over = False
        self._dialling: asyncio.Task[None] | None = None

    def peer(self, side: _Side) -> _Side:
        return self.server if side is self.client else self.client

    def opened(self, side: _Side) -> None:
        """The station connected: connect to the PLC, unless the network is down."""
        if side is self.client:
            self.reshape()

    def reshape(self) -> None:
        """The shape changed."""
        shape = self.shaper.present
        if shape.half_open:
            self.dead = True
        if self._dialling is None and not self.dead and not shape.frozen:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        for side in (self.client, self.server):
            side.flush()

    def ended(self, side: _Side) -> None:
        """One side closed: close the other, once all that it sent has passed; on a dead connection it never learns."""
        other = self.peer(side)
        if not self.dead:
            other.finish()
        if other.transport is None:
            self._end()

    def _end(self) -> None:
        self.over = True
        self.shaper.forget(self)
        if self._dialling is not None and self._dialling is not asyncio.current_task():
            self._dialling.cancel()

    def cut(self, *, reset: bool) -> None:
        """Close both sides at once."""
        self._end()
        for side in (self.client, self.server):
            side.cut(reset=reset)

    async def _dial(self) -> None:
        try:
            await self.shaper.dial(self.server)
        except OSError:
            # Nobody listens there: the station learns it as it would without the relay.
            self.cut(reset=True)


class _Side(asyncio.Protocol):
    """One end. `incoming` are pieces that came from the other end and leave here, each with its time."""

    def __init__(self, pair: _Pair, seed: str) -> None:
        self._pair = pair
        self._pacer = Pacer(seed)
        self._incoming: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._finishing = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._pair.over:
            self.transport.abort()
            return
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pair.opened(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        if not self._pair.dead:
            self._pair.peer(self).take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._pair.ended(self)

    def take(self, data: bytes) -> None:
        """Data for this end came from the other one."""
        shape = self._pair.shaper.present
        if shape.clear and not self._incoming and self.transport is not None:
            self.transport.write(data)
            return
        self._incoming.append((self._pacer.due(time.monotonic(), len(data), shape), data))
        self.flush()

    def flush(self) -> None:
        """Send what is due; come back for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pair.dead:
            self._incoming.clear()
            return
        shape = self._pair.shaper.present
        if shape.frozen or self.transport is None:
            return
        now = time.monotonic()
        while self._incoming and (shape.clear or self._incoming[0][0] <= now):
            self.transport.write(self._incoming.popleft()[1])
        if self._incoming:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(self._incoming[0][0] - now, 0.0), self.flush)
        elif self._finishing:
            self.transport.close()

    def finish(self) -> None:
        """The other end closed: close here, behind the last piece."""
        self._finishing = True
        self.flush()

    def cut(self, *, reset: bool) -> None:
        """Close now. reset: with RST."""
        if self._timer is not None:
            self._timer.cancel()
        if self.transport is None:
            return
        if reset:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self.transport.abort()
