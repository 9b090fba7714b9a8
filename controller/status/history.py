"""The last 24 hours of counters, latencies and scores, for HistoryRead: a ring of samples in one file of fixed size.

One sample in SAMPLE_S for each historic node: 8,640 samples × 8 bytes × (nodes + 1), with the nodes of today 2.4 MB,
as a memory-mapped file that outlives the status process. What is older, and every single part, stands in the journal.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.server.history import HistoryStorageInterface
from asyncua.ua.attribute_ids import AttributeIds
from loguru import logger
from numpy.typing import NDArray

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
_NEVER = datetime(1601, 1, 1, tzinfo=UTC)


class Ring:
    """Samples of all historic nodes by time. path: the file; None: memory only. Another layout starts anew."""

    def __init__(self, path: Path | None, columns: int, layout: str, samples: int = SAMPLES) -> None:
        self._samples = samples
        shape = (columns + 1, samples)
        self.bytes = 8 * (shape[0] * shape[1] + 4)
        """What it takes, on disk and in memory."""
        mark = float(int.from_bytes(hashlib.sha256(f"{layout} {shape}".encode()).digest()[:6], "big"))
        cells = self._open(path)
        if cells[0] != mark:
            cells[:] = 0.0
            cells[0] = mark
        self._head: NDArray[np.float64] = cells[:4]
        self._cells: NDArray[np.float64] = cells[4:].reshape(shape)

    def _open(self, path: Path | None) -> NDArray[np.float64]:
        count = self.bytes // 8
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                fits = path.is_file() and path.stat().st_size == self.bytes
                return np.memmap(path, np.float64, "r+" if fits else "w+", shape=(count,))
            except OSError as error:
                logger.warning("the history is kept in memory only", file=str(path), why=str(error))
        return np.zeros(count)

    def append(self, at: float, values: list[float]) -> None:
        """One sample; the oldest gives way. at: Unix seconds. A clock that was set back starts the ring anew: times in
        it only rise."""
        index = int(self._head[1])
        if index and at <= self._cells[0, (index - 1) % self._samples]:
            index = 0
        place = index % self._samples
        self._cells[1:, place] = values
        self._cells[0, place] = at
        self._head[1] = index + 1

    def between(self, column: int, first: float, last: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times and values of one column, oldest first, both ends included."""
        index = int(self._head[1])
        order = np.arange(max(0, index - self._samples), index) % self._samples
        times = self._cells[0, order]
        inside = order[(times >= first) & (times <= last)]
        return self._cells[0, inside].copy(), self._cells[1 + column, inside].copy()


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
        return found, datetime.fromtimestamp(float(times[most]), UTC) if more else None

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


def _value(kind: Kind, at: np.float64, value: np.float64) -> ua.DataValue:
    moment = ua.DateTime.fromtimestamp(float(at), UTC)
    held = int(value) if kind in (Kind.INT32, Kind.INT64) else float(value)
    return ua.DataValue(ua.Variant(held, ua.VariantType[kind.value]), SourceTimestamp=moment, ServerTimestamp=moment)
