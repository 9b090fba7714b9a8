"""The Modbus link that is the server, against masters of every kind."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pymodbus.client import AsyncModbusTcpClient

from controller.drivers.plc.modbus_server import ModbusServerPlc, ModbusServerSettings
from controller.errors import ConfigError, DeviceTimeout, DeviceUnavailable
from controller.sim.modbus_map import STATION_AREA, Memory, register_map
from controller.sim.plc_tags import TagKind
from controller.sim.sequence_tags import declared_tags
from statemachines.vocabulary import MS
from tests.contract.tag_server import free_port
from tests.contract.test_plc_link import ANSWER, within

SPOTS = register_map(declared_tags(8, TagKind.WORD))
CLOCK, HEARTBEAT, ENABLE = (SPOTS[name].first for name in ("PlcClockMs", "Heartbeat", "Enable"))
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3


def dint(value: int) -> list[int]:
    return Memory().to_registers(TagKind.WORD, value)


class Master:
    """A connected link and a PLC's way to its registers."""

    def __init__(self, settings: ModbusServerSettings) -> None:
        self.link = ModbusServerPlc(settings)
        self.client = AsyncModbusTcpClient("127.0.0.1", port=settings.port, timeout=2, retries=0, reconnect_delay=0)

    async def open(self) -> None:
        connecting = asyncio.create_task(self.link.connect(within(5000)))
        while not await self.client.connect():
            await asyncio.sleep(0.005)
        await self.write(CLOCK, dint(1))
        await connecting

    async def close(self) -> None:
        self.client.close()
        await self.link.close()

    async def write(self, first: int, registers: list[int]) -> None:
        reply = await self.client.write_registers(first, registers)
        assert not reply.isError(), reply

    async def get(self, name: str) -> object:
        spot = SPOTS[name]
        reply = await self.client.read_holding_registers(spot.first, count=spot.size)
        return Memory().to_value(spot.tag.kind, reply.registers)


@pytest_asyncio.fixture
async def master() -> AsyncIterator[Master]:
    made = Master(ModbusServerSettings("127.0.0.1", free_port(), plc_lost_ms=60_000, plc_delay_ms=0))
    await made.open()
    yield made
    await made.close()


async def test_no_master_by_the_deadline_says_what_was_seen() -> None:
    port = free_port()
    link = ModbusServerPlc(ModbusServerSettings("127.0.0.1", port))
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0, reconnect_delay=0)
    connecting = asyncio.create_task(link.connect(within(400)))
    while not await client.connect():
        await asyncio.sleep(0.005)
    await client.write_registers(ENABLE, [1])
    with pytest.raises(DeviceUnavailable, match=r"PlcClockMs \(register 40003-40004.*1 connected, 1 writes"):
        await connecting
    client.close()
    assert link.port == 0


async def test_a_port_that_is_taken_is_a_matter_of_configuration(master: Master) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        await ModbusServerPlc(ModbusServerSettings("127.0.0.1", master.link.port)).connect(within(500))


async def test_a_master_that_falls_silent_takes_the_link_down() -> None:
    made = Master(ModbusServerSettings("127.0.0.1", free_port(), plc_lost_ms=40))
    await made.open()
    with pytest.raises(DeviceTimeout, match="wrote PlcClockMs for 80 ms"):
        async with asyncio.timeout(5):
            while True:
                assert await made.get("Heartbeat") == 0
                await made.link.read((), within(100))
                await made.link.changed(within(100))
    await made.close()


async def test_a_master_that_never_reads_heartbeat_takes_the_link_down() -> None:
    made = Master(ModbusServerSettings("127.0.0.1", free_port(), plc_lost_ms=40))
    await made.open()
    with pytest.raises(DeviceTimeout, match="read Heartbeat for 80 ms"):
        async with asyncio.timeout(5):
            for clock in range(2, 100_000):
                await made.write(CLOCK, dint(clock))
                await made.link.read((), within(100))
    await made.close()


async def test_a_new_connection_knows_nothing_of_the_last_one(master: Master) -> None:
    await master.write(SPOTS["TriggerSeq"].first, dint(77))
    await master.link.write_answer(ANSWER, within(100))
    await master.link.close()
    master.client.close()
    await master.open()
    assert (await master.link.read((), within(100))).head.trigger_seq == 0
    assert await master.get("Result[2].ResultSeq") == 0


async def test_a_new_session_empties_the_result_ring(master: Master) -> None:
    await master.link.write_answer(ANSWER, within(100))
    assert await master.get("Result[2].PartIdEcho") == ANSWER.part_id
    await master.link.write_status({"SessionId": 100}, within(100))
    assert await master.get("Result[2].PartIdEcho") == 0
    assert await master.get("Result[2].ResultSeq") == 0
    assert await master.get("SessionId") == 100


@pytest.mark.parametrize(
    ("first", "registers", "code"),
    [
        (HEARTBEAT, [0, 1], ILLEGAL_ADDRESS),
        (CLOCK, [5], ILLEGAL_ADDRESS),
        (CLOCK + 1, [5], ILLEGAL_ADDRESS),
        (CLOCK, [0, 5, 0], ILLEGAL_ADDRESS),
        (ENABLE, [2], ILLEGAL_VALUE),
        (118, [0], ILLEGAL_ADDRESS),
    ],
    ids=["the station's area", "half a DINT", "the other half", "one and a half", "no BOOL", "behind the area"],
)
async def test_a_write_that_would_tear_or_does_not_belong_is_refused_whole(
    master: Master, first: int, registers: list[int], code: int
) -> None:
    reply = await master.client.write_registers(first, registers)
    assert reply.isError()
    assert reply.exception_code == code
    assert (await master.link.read((), within(100))).head.clock_ms == 1


async def test_what_a_master_may_ask(master: Master) -> None:
    client = master.client
    assert (await client.write_register(ENABLE, 1)).registers == [1]
    assert (await client.read_input_registers(ENABLE, count=1)).registers == [1]
    both = await client.readwrite_registers(
        read_address=CLOCK, read_count=2, write_address=CLOCK, values=dint(0x12345678)
    )
    assert both.registers == [0x1234, 0x5678]
    assert (await client.read_coils(0, count=1)).exception_code == ILLEGAL_FUNCTION
    assert (await client.read_holding_registers(118, count=1)).exception_code == ILLEGAL_ADDRESS
    assert (await client.read_holding_registers(STATION_AREA, count=125)).registers == [0] * 125
    assert (await client.read_holding_registers(CLOCK, count=2, device_id=7)).exception_code == 11
    assert (await client.read_holding_registers(CLOCK, count=2, device_id=255)).registers == [0x1234, 0x5678]


async def test_only_the_masters_that_are_named_may_connect() -> None:
    port = free_port()
    link = ModbusServerPlc(ModbusServerSettings("127.0.0.1", port, masters=("192.0.2.1",)))
    connecting = asyncio.create_task(link.connect(within(300)))
    while not link.port:
        await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    with pytest.raises(DeviceUnavailable, match="0 connected"):
        await connecting


async def test_half_open_connections_do_not_keep_the_plc_out(master: Master) -> None:
    """A PLC that lost power comes back and back again; the master at work is never the one that makes room."""
    port, writers = master.link.port, list[asyncio.StreamWriter]()
    for _ in range(20):
        writers.append((await asyncio.open_connection("127.0.0.1", port))[1])
        assert await master.get("Enable") is False
    back = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0, reconnect_delay=0)
    assert await back.connect()
    assert (await back.read_holding_registers(CLOCK, count=2)).registers == dint(1)
    back.close()
    for writer in writers:
        writer.transport.abort()


async def test_requests_that_arrive_together_are_answered_in_order(master: Master) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", master.link.port)
    write = struct.pack(">HHHBBHHB2H", 21, 0, 11, 1, 16, CLOCK, 2, 4, 7, 9)
    read = struct.pack(">HHHBBHH", 22, 0, 6, 1, 3, CLOCK, 2)
    # The second one in two pieces, and behind it one that is no Modbus at all.
    writer.write(write + read[:5])
    await asyncio.sleep(0.01)
    writer.write(read[5:] + b"GET / HTTP/1.1\r\n")
    first, second = await reader.readexactly(12), await reader.readexactly(13)
    assert first == struct.pack(">HHHBBHH", 21, 0, 6, 1, 16, CLOCK, 2)
    assert second == struct.pack(">HHHBBBHH", 22, 0, 7, 1, 3, 4, 7, 9)
    assert await reader.read() == b"", "a connection that speaks something else is cut"
    writer.close()


async def test_a_master_sees_all_of_an_answer_or_nothing(master: Master) -> None:
    """What ring and check word are for elsewhere holds here by itself: no request comes in between."""
    first, size = SPOTS["Result[2].PartIdEcho"].first, 28
    empty, seen = [0] * size, set[tuple[int, ...]]()

    async def answer() -> None:
        for session in range(1, 200):
            await master.link.write_status({"SessionId": session}, within(100))
            await asyncio.sleep(0)
            await master.link.write_answer(ANSWER, within(100))
            await asyncio.sleep(0.0005)

    answering = asyncio.create_task(answer())
    while not answering.done():
        seen.add(tuple((await master.client.read_holding_registers(first, count=size)).registers))
    await answering
    assert len(seen - {tuple(empty)}) == 1


async def test_a_trigger_that_was_held_up_on_the_way_is_as_old_as_it_is(master: Master) -> None:
    def clock() -> int:
        return time.monotonic_ns() // MS & 0x3FFFFFFF

    for _ in range(30):
        await master.write(CLOCK, dint(clock()))
        await asyncio.sleep(0.002)
    asked_at = time.monotonic_ns()
    await master.write(CLOCK, dint(clock()))
    on_time = await master.link.read((), within(100))
    # To the millisecond that the clock counts in.
    assert on_time.sent_at > asked_at - 2 * MS
    # The cable is out for 300 ms; what the PLC wrote at its beginning comes in at its end.
    written_at, held = time.monotonic_ns(), clock()
    await asyncio.sleep(0.3)
    await master.write(CLOCK, dint(held))
    held_up = await master.link.read((), within(100))
    assert held_up.head.clock_ms == held
    assert held_up.sent_at <= written_at + 50 * MS


async def test_a_second_read_waits_for_something_new(master: Master) -> None:
    await master.link.read((), within(100))
    await master.write(SPOTS["TriggerSeq"].first, dint(4))
    assert (await master.link.read((), within(100))).head.trigger_seq == 4
    reading = asyncio.create_task(master.link.read((), within(100)))
    await asyncio.sleep(0)
    assert not reading.done()
    await master.write(SPOTS["TriggerSeq"].first, dint(5))
    assert (await reading).head.trigger_seq == 5
