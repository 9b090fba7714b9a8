"""A frozen and thawed peer never yields a value that was not written for that tag, whatever is done in between.

Held over every link whose wire can freeze. The caller here is worse than the station: it does not always close the
link after an error, as the port asks, and goes on reading.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.drivers.plc.tags import SEQUENCE
from controller.errors import DeviceError
from controller.ports import PlcLink, PlcReading
from statemachines.vocabulary import MS, Ns
from tests.contract.logix_rig import LogixRig

HEAD = {name: tag.name for name, tag in SEQUENCE.head if tag.type.value == "DINT"}
SLOT = {name: tag for name, tag in SEQUENCE.trigger}
READS = ((), (1,), (2,), (3,), (1, 2), (3, 1), (1, 2, 3))
"""Slots to read. Several are of one size: the late reply to one fits the next as far as its form goes."""
TAGS = [*HEAD.values(), *(tag.at(seq - 1) for tag in SLOT.values() for seq in (1, 2, 3))]
OUTPUTS = ("Heartbeat", "TriggerAckSeq", "InFlight", "MissedTriggers")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, len(TAGS) - 1)),
        st.tuples(st.sampled_from(["read", "late read"]), st.integers(0, len(READS) - 1)),
        st.tuples(st.just("write"), st.integers(0, len(OUTPUTS) - 1)),
        st.tuples(st.sampled_from(["freeze", "thaw", "reconnect"]), st.just(0)),
    ),
    min_size=4,
    max_size=24,
)


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


class Trial:
    """One run of steps. Every value says for which tag it was written: no two tags ever hold the same."""

    def __init__(self, rig: LogixRig) -> None:
        self._rig = rig
        self._count = 0
        self._held: dict[str, Any] = {}
        self._written: dict[str, set[Any]] = {name: {0} for name in OUTPUTS}
        self._frozen = False
        self.checked = 0
        """Readings that came and were right."""

    async def run(self, steps: Sequence[tuple[str, int]]) -> None:
        link = await self._rig.start()
        try:
            await link.connect(within(5000))
            for index in range(len(TAGS)):
                await self._set(index)
            for what, index in steps:
                await self._step(link, what, index)
        finally:
            await link.close()
            await self._rig.stop()

    async def _step(self, link: PlcLink, what: str, index: int) -> None:
        patience = 15 if self._frozen else 5000
        try:
            match what:
                case "set":
                    await self._set(index)
                case "read":
                    self._check(await link.read(READS[index], within(patience)), READS[index])
                case "late read":
                    await self._step(link, "freeze", 0)
                    await self._step(link, "read", index)
                    await self._step(link, "thaw", 0)
                case "write":
                    await self._write(link, OUTPUTS[index], patience)
                case "freeze":
                    self._frozen = True
                    self._rig.freeze()
                case "thaw":
                    self._frozen = False
                    self._rig.proxy.thaw()
                    for _ in range(20):  # turns in which the peer answers what it was asked long ago
                        await asyncio.sleep(0)
                case _:
                    await link.close()
                    await link.connect(within(patience))
        except DeviceError:
            pass
        for name in OUTPUTS:
            assert await self._rig.get(name) in self._written[name], f"{name} holds a value that is not its own"

    async def _set(self, index: int) -> None:
        self._count += 1
        self._held[TAGS[index]] = (index + 1) * 100_000 + self._count
        await self._rig.set(TAGS[index], self._held[TAGS[index]])

    async def _write(self, link: PlcLink, name: str, patience: float) -> None:
        self._count += 1
        value = (100 + OUTPUTS.index(name)) * 100_000 + self._count
        self._written[name].add(value)
        await link.write_status({name: value}, within(patience))

    def _check(self, reading: PlcReading, seqs: Sequence[int]) -> None:
        """Nothing changes while a read is under way: it must show what the tags hold, not what they held."""
        for name, tag in HEAD.items():
            assert getattr(reading.head, name) == self._held[tag], f"{tag} is another tag's value, or an old one"
        for seq, slot in zip(seqs, reading.slots, strict=True):
            for name, tag in SLOT.items():
                assert getattr(slot, name) == self._held[tag.at(seq - 1)], f"{tag.at(seq - 1)} is not its own"
        self.checked += 1


@pytest.mark.parametrize("kind", ["udt", "flat"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_ethernet_ip(kind: str, steps: list[tuple[str, int]]) -> None:
    async def trial() -> None:
        async with asyncio.timeout(30):
            await Trial(LogixRig(kind)).run(steps)

    asyncio.run(trial())


STALE = [("read", 1), ("late read", 1), ("set", 0), ("read", 2), ("read", 1), ("reconnect", 0)]


@pytest.mark.parametrize("kind", ["udt", "flat"])
def test_the_case_that_was_measured(kind: str) -> None:
    """Peer frozen, time-out, thawed, read again: a bare pycomm3 hands out the late reply."""
    trial = Trial(LogixRig(kind))
    asyncio.run(trial.run([*STALE, ("read", 2)]))
    assert trial.checked >= 2, "the first and the last reading meet a peer that answers"
