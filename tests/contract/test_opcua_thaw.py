"""A frozen and thawed OPC UA server never yields a value that was not written for that tag.

Late replies are the danger: one library of this field hands a late reply to the next request, with another tag's value.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.drivers.plc.opcua import OpcUaPlc, OpcUaPlcSettings
from controller.errors import DeviceError
from controller.ports import PlcReading
from statemachines.vocabulary import MS, Ns
from tests.contract.tag_server import FreezingProxy, TagServer, TagServerSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEPTH = 4
HEAD = {
    "TriggerSeq": "trigger_seq",
    "PlcClockMs": "clock_ms",
    "PlcEpoch": "plc_epoch",
    "RecipeRequest": "recipe_request",
}
SLOT = {"Seq": "seq", "PartId": "part_id", "RecipeId": "recipe_id"}
TAGS = [*HEAD, *(f"Trigger[{index}].{field}" for index in range(DEPTH) for field in SLOT)]


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


class Ledger:
    """What the PLC wrote: no number is ever used twice, so that each tells tag and time."""

    def __init__(self) -> None:
        self.number = 0
        self.now: dict[str, int] = dict.fromkeys(TAGS, 0)

    async def write(self, server: TagServer, tag: str) -> None:
        self.number += 1
        await server.set(tag, self.number)
        self.now[tag] = self.number

    def check(self, reading: PlcReading, seqs: list[int], when_sent: dict[str, int]) -> None:
        """Every value was written for its tag, and not before what stood there when the request left."""
        for tag, field in HEAD.items():
            self._fits(tag, getattr(reading.head, field), when_sent)
        for seq, slot in zip(seqs, reading.slots, strict=True):
            for tag, field in SLOT.items():
                self._fits(f"Trigger[{(seq - 1) % DEPTH}].{tag}", getattr(slot, field), when_sent)

    def _fits(self, tag: str, value: int, when_sent: dict[str, int]) -> None:
        # Between sending and receiving nothing is written here, so there is one right value.
        assert value == when_sent[tag] == self.now[tag], (
            f"{tag} = {value}, written were {when_sent[tag]}, {self.now[tag]}"
        )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server() -> AsyncIterator[TagServer]:
    async with TagServer(TagServerSettings(depth=DEPTH)) as made:
        yield made


SEQS = st.lists(st.integers(1, 40), max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(TAGS)),
    st.tuples(st.just("read"), SEQS),
    st.tuples(st.just("read twice at once"), SEQS),
    st.tuples(st.just("freeze"), st.booleans()),
    st.tuples(st.just("reconnect"), st.none()),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=4, max_size=14))
async def test_only_what_was_written_for_a_tag_is_read_from_it(
    server: TagServer, steps: list[tuple[str, object]]
) -> None:
    await server.reset()
    ledger = Ledger()
    async with FreezingProxy(server.port) as proxy:
        made = OpcUaPlc(OpcUaPlcSettings(proxy.endpoint, depth=DEPTH))
        await made.connect(within(5000))
        for step, what in steps:
            match step, what:
                case "write", str(tag):
                    await ledger.write(server, tag)
                case "read", list(seqs):
                    await _read(made, ledger, seqs, within(5000))
                case "read twice at once", list(seqs):
                    backwards = seqs[::-1]
                    await asyncio.gather(*(_read(made, ledger, some, within(5000)) for some in (seqs, backwards)))
                case "freeze", bool(stay):
                    await _freeze_and_thaw(made, ledger, server, proxy)
                    if not stay:
                        await made.close()
                        await made.connect(within(5000))
                case _:
                    await made.close()
                    await made.connect(within(5000))
        await made.close()


async def _read(made: OpcUaPlc, ledger: Ledger, seqs: list[int], deadline: Ns) -> None:
    before = dict(ledger.now)
    ledger.check(await made.read(seqs, deadline), seqs, before)


async def _freeze_and_thaw(made: OpcUaPlc, ledger: Ledger, server: TagServer, proxy: FreezingProxy) -> None:
    """Requests time out while nothing comes through; then their replies arrive, with values of then."""
    proxy.freeze()
    for seqs in ([1, 2], [3]):
        with pytest.raises(DeviceError):
            await made.read(seqs, within(15))
    proxy.thaw()
    for tag in ("TriggerSeq", "Trigger[0].PartId"):
        await ledger.write(server, tag)
