"""The last 24 hours of counters, latencies and scores, for HistoryRead: a ring of samples in one file of fixed size.

One sample in SAMPLE_S for each historic node: 8,640 samples × 8 bytes × (nodes + 1), with the nodes of today 2.4 MB,
as a memory-mapped file that outlives the status process. What is older, and every single part, stands in the journal.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.server.history import HistoryStorageInterface
from asyncua.ua.attribute_ids import AttributeIds
from loguru import logger

from controller.status.address_space import NODES, Kind, StatusNode, node_id
from controller.status.messages import StationSnapshot
from controller.status.security.server import GuardedServer

SAMPLE_S = 10.0
SAMPLES = round(24 * 3600 / SAMPLE_S)
MOST_VALUES = 1000
"""Values of one node in one answer; the rest comes with the continuation point."""
HISTORIC: tuple[StatusNode, ...] = tuple(
    row for row in NODES if row.name.startswith(("Counters.", "Latency.", "Scores."))
)
_HEAD = 4
_NEVER = datetime(1601, 1, 1, tzinfo=UTC)


class Ring:
    """Samples of all historic nodes by time. path: the file; None: memory only. Another layout starts anew.

    Plain memory, not arrays of a library that takes a tenth of the process's start to load.
    """

    def __init__(self, path: Path | None, columns: int, layout: str, samples: int = SAMPLES) -> None:
        self._samples, self._rows = samples, columns + 1
        self.bytes = 8 * (_HEAD + self._rows * samples)
        """What it takes, on disk and in memory."""
        digest = hashlib.sha256(f"{layout} {(self._rows, samples)}".encode()).digest()
        mark = float(int.from_bytes(digest[:6], "big"))
        memory = self._open(path)
        if memory[0] != mark:
            memory[:] = memoryview(bytes(self.bytes)).cast("d")
            memory[0] = mark
        self._head, self._cells = memory[:_HEAD], memory[_HEAD:]

    def _open(self, path: Path | None) -> memoryview[float]:
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("r+b" if path.is_file() else "w+b") as file:
                    if file.seek(0, os.SEEK_END) != self.bytes:
                        file.truncate(0)
                        file.truncate(self.bytes)
                    return memoryview(mmap.mmap(file.fileno(), self.bytes)).cast("d")
            except OSError as error:
                logger.warning("the history is kept in memory only", file=str(path), why=str(error))
        return memoryview(bytearray(self.bytes)).cast("d")

    def append(self, at: float, values: list[float]) -> None:
        """One sample; the oldest gives way. at: Unix seconds. A clock that was set back starts the ring anew: times in
        it only rise."""
        index = int(self._head[1])
        if index and at <= self._cells[(index - 1) % self._samples]:
            index = 0
        place = index % self._samples
        for row, value in enumerate((at, *values)):
            self._cells[row * self._samples + place] = value
        self._head[1] = index + 1

    def between(self, column: int, first: float, last: float) -> tuple[list[float], list[float]]:
        """Times and values of one column, oldest first, both ends included."""
        index, row = int(self._head[1]), (1 + column) * self._samples
        place = index % self._samples
        times: list[float] = []
        values: list[float] = []
        for begin, end in ((place, self._samples), (0, place)) if index >= self._samples else ((0, index),):
            written = self._cells[begin:end]
            one, other = begin + bisect_left(written, first), begin + bisect_right(written, last)
            times += self._cells[one:other]
            values += self._cells[row + one : row + other]
        return times, values


class History(HistoryStorageInterface):
    """What the library asks for past values."""

    def __init__(self, path: Path | None, samples: int = SAMPLES) -> None:
        super().__init__(MOST_VALUES)
        self._columns = {ua.NodeId.from_string(node_id(row.name)): n for n, row in enumerate(HISTORIC)}
        self.ring = Ring(path, len(HISTORIC), " ".join(row.name for row in HISTORIC), samples)
        self._sampled_at = 0.0

    async def attach(self, server: GuardedServer) -> None:
        """Become the server's history, and say so at the nodes."""
        server.iserver.history_manager.set_storage(self)
        server.iserver.historic = frozenset(self._columns)
        for number in self._columns:
            node = server.get_node(number)
            await node.write_attribute(AttributeIds.Historizing, ua.DataValue(ua.Variant(True)))
            await node.set_attr_bit(AttributeIds.AccessLevel, ua.AccessLevel.HistoryRead)
            await node.set_attr_bit(AttributeIds.UserAccessLevel, ua.AccessLevel.HistoryRead)

    def sample(self, snapshot: StationSnapshot, wall_s: float) -> None:
        """Keep this snapshot when the last one that was kept is old enough."""
        if 0 <= wall_s - self._sampled_at < SAMPLE_S:
            return
        self._sampled_at = wall_s
        self.ring.append(wall_s, [float(row.read(snapshot)) for row in HISTORIC])  # pyright: ignore[reportArgumentType]

    async def read_node_history(
        self, node_id: ua.NodeId, start: datetime | None, end: datetime | None, nb_values: int
    ) -> tuple[list[ua.DataValue], datetime | None]:
        """Values between two times, newest first where start is the later one, or where only the end is given."""
        column = self._columns[node_id]
        begins, ends = _given(start), _given(end)
        backward = begins is None or (ends is not None and begins > ends)
        first, last = (ends, begins) if backward else (begins, ends)
        if begins is None:
            first, last = None, ends
        times, values = self.ring.between(column, first or 0.0, last or float("inf"))
        if backward:
            times, values = times[::-1], values[::-1]
        most = min(nb_values or MOST_VALUES, MOST_VALUES)
        more = len(times) > most
        kind = HISTORIC[column].kind
        found = [_value(kind, at, value) for at, value in zip(times[:most], values[:most], strict=True)]
        return found, datetime.fromtimestamp(times[most], UTC) if more else None

    # The station's values come through `sample`; the library's own ways to fill a history are not used.

    async def init(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close: the system writes the file."""

    async def new_historized_node(self, node_id: ua.NodeId, period: timedelta | None, count: int = 0) -> None:
        """Not used."""

    async def save_node_value(self, node_id: ua.NodeId, datavalue: ua.DataValue) -> None:
        """Not used."""

    async def new_historized_event(
        self, source_id: ua.NodeId, evtypes: list[Any], period: timedelta | None, count: int = 0
    ) -> None:
        """Not used: events stand in the journal."""

    async def save_event(self, event: Any) -> None:
        """Not used."""

    async def read_event_history(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *_given: Any
    ) -> tuple[list[Any], datetime | None]:
        """None are kept here."""
        return [], None


def _given(moment: datetime | None) -> float | None:
    """Unix seconds; None where the client gave no time. The library decodes times without a zone."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None if aware <= _NEVER else aware.timestamp()


def _value(kind: Kind, at: float, value: float) -> ua.DataValue:
    moment = ua.DateTime.fromtimestamp(at, UTC)
    held = int(value) if kind in (Kind.INT32, Kind.INT64) else value
    return ua.DataValue(ua.Variant(held, ua.VariantType[kind.value]), SourceTimestamp=moment, ServerTimestamp=moment)
