"""The simulated Logix controller byte by byte: what no well-behaved client ever makes it do."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from controller.sim.logix_memory import LogixCell, build_memory
from controller.sim.logix_tags import LogixTags
from controller.sim.plc_tags import TagKind
from controller.sim.sequence_tags import declared_tags

HEADER = struct.Struct("<HHII8sI")
REGISTER, UNREGISTER, UNCONNECTED, CONNECTED = 0x65, 0x66, 0x6F, 0x70
CONTEXT = b"context!"
READY = b"\x91\x08Linegate\x91\x05Ready\x00"
TRIGGER_SEQ = b"\x91\x08Linegate\x91\x0aTriggerSeq"


class Client:
    """A client that may say anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.session = 0

    async def ask(self, command: int, body: bytes, session: int | None = None) -> tuple[int, bytes]:
        """Encapsulation status and body of the reply."""
        self.send(command, body, session)
        return await self.answer()

    def send(self, command: int, body: bytes, session: int | None = None) -> None:
        self.writer.write(
            HEADER.pack(command, len(body), self.session if session is None else session, 0, CONTEXT, 0) + body
        )

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(5):
            _, length, self.session, status, context, _ = HEADER.unpack(await self.reader.readexactly(HEADER.size))
            assert context == CONTEXT
            return status, await self.reader.readexactly(length)

    async def serve(self, service: int, path: bytes, content: bytes = b"") -> tuple[int, int, bytes]:
        """One unconnected service: status, extended status, reply."""
        message = bytes((service, len(path) // 2)) + path + content
        items = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(message))
        _, reply = await self.ask(UNCONNECTED, items + message)
        found = reply[16:]
        extended = int.from_bytes(found[4:6], "little") if found[3] else 0
        assert found[0] == service | 0x80
        return found[2], extended, found[4 + 2 * found[3] :]


@pytest_asyncio.fixture
async def tags() -> AsyncGenerator[LogixTags]:
    made = LogixTags("127.0.0.1", 0, declared_tags(2, TagKind.WORD), lambda _name: None)
    await made.build()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def client(tags: LogixTags) -> AsyncGenerator[Client]:
    host, port = (await tags.start()).split(":")
    made = Client(*await asyncio.open_connection(host, int(port)))
    await made.ask(REGISTER, b"\x01\x00\x00\x00")
    yield made
    made.writer.close()


async def test_sessions(client: Client) -> None:
    assert client.session
    assert (await client.ask(UNCONNECTED, b"", session=client.session + 9))[0] == 0x64
    assert (await client.ask(0x99, b""))[0] == 0x01
    assert (await client.ask(UNCONNECTED, b"nonsense"))[0] == 0x03
    client.send(UNREGISTER, b"")
    async with asyncio.timeout(5):
        assert await client.reader.read() == b""


@pytest.mark.parametrize(
    ("service", "path", "content", "status", "extended"),
    [
        (0x4C, TRIGGER_SEQ, b"\x01\x00", 0, 0),
        (0x4C, TRIGGER_SEQ, b"\x02\x00", 0xFF, 0x2105),
        (0x4C, b"\x91\x04Nope", b"\x01\x00", 0x05, 0),
        (0x4C, b"\x91\x08Linegate\x91\x07Trigger\x00\x28\x09\x91\x03Seq\x00", b"\x01\x00", 0xFF, 0x2105),
        (0x4C, b"\x20\x6b\x24\x63", b"\x01\x00", 0x05, 0),
        (0x4C, b"", b"", 0x04, 0),
        (0x4C, b"\x70\x00", b"", 0x04, 0),
        (0x55, b"\x91\x0cProgram:None\x20\x6b\x24\x00", b"\x01\x00\x01\x00", 0x05, 0),
        (0x55, b"\x20\x6b\x24\x00", b"", 0x13, 0),
        (0x4D, TRIGGER_SEQ, b"\xc4\x00\x01\x00\x01\x00\x00\x00", 0x0F, 0),
        (0x4D, READY, b"\xc4\x00\x01\x00\x01\x00\x00\x00", 0xFF, 0x2107),
        (0x4D, READY, b"\xc1\x00\x02\x00\xff\xff", 0xFF, 0x2105),
        (0x4D, READY, b"\xc1\x00\x01\x00", 0x13, 0),
        (0x4D, READY, b"\xc1\x00\x01\x00\xff\xff", 0x15, 0),
        (0x4D, READY, b"\xc1\x00\x01\x00\xff", 0, 0),
        (0x77, READY, b"", 0x08, 0),
        (0x77, b"\x20\x02\x24\x01", b"", 0x08, 0),
        (0x77, b"\x20\x99\x24\x01", b"", 0x05, 0),
        (0x03, b"\x20\x6c\x25\x00\x77\x07", b"\x01\x00\x01\x00", 0x05, 0),
        (0x4C, b"\x20\x6c\x25\x00\x77\x07", b"\x00\x00\x00\x00\x10\x00", 0x05, 0),
        (0x4E, b"\x20\x06\x24\x01", bytes(12), 0x01, 0x0107),
        (0x52, b"\x20\x06\x24\x01", b"\x0a", 0x13, 0),
        (0x19, b"\x20\x06\x24\x01", b"", 0x08, 0),
    ],
)
async def test_statuses(client: Client, service: int, path: bytes, content: bytes, status: int, extended: int) -> None:
    assert (await client.serve(service, path, content))[:2] == (status, extended)


async def test_a_reply_that_does_not_fit_the_message(client: Client) -> None:
    one = b"\x4c" + bytes((len(TRIGGER_SEQ) // 2,)) + TRIGGER_SEQ + b"\x01\x00"
    places = [2 + 2 * 60 + len(one) * index for index in range(60)]
    content = struct.pack("<61H", 60, *places) + one * 60
    assert (await client.serve(0x0A, b"\x20\x02\x24\x01", content))[0] == 0x11


async def test_messages_in_pieces_and_several_at_once(client: Client, tags: LogixTags) -> None:
    tags.cell("TriggerSeq").set(9)
    message = b"\x4c" + bytes((len(TRIGGER_SEQ) // 2,)) + TRIGGER_SEQ + b"\x01\x00"
    body = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(message)) + message
    whole = HEADER.pack(UNCONNECTED, len(body), client.session, 0, CONTEXT, 0) + body
    client.writer.write(whole[:10])
    await client.writer.drain()
    client.writer.write(whole[10:] + whole)
    for _ in range(2):
        assert (await client.answer())[1].endswith(b"\xc4\x00\x09\x00\x00\x00")


async def test_a_frozen_controller_answers_late_and_in_order(client: Client, tags: LogixTags) -> None:
    tags.freeze()
    for path in (TRIGGER_SEQ, READY):
        message = b"\x4c" + bytes((len(path) // 2,)) + path + b"\x01\x00"
        client.send(UNCONNECTED, struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(message)) + message)
    await client.writer.drain()
    tags.cell("TriggerSeq").set(5)
    tags.thaw()
    assert (await client.answer())[1].endswith(b"\xc4\x00\x05\x00\x00\x00")
    assert (await client.answer())[1].endswith(b"\xc1\x00\x00")


async def test_a_connection_that_nobody_opened_stays_silent(client: Client) -> None:
    client.send(CONNECTED, struct.pack("<IHHHHIHHH", 0, 0, 2, 0xA1, 4, 77, 0xB1, 2, 1))
    assert (await client.ask(REGISTER, b"\x01\x00\x00\x00"))[0] == 0


def test_structures_are_laid_out_as_logix_does() -> None:
    """Bits share a hidden byte, words lie at multiples of four, arrays follow each other."""
    cells: dict[str, LogixCell] = {}
    declared = declared_tags(2, TagKind.TEXT)
    memory = build_memory(declared, cells, pattern="Linegate.{tag}", types={"Mode": "SINT"}, first_instance=1)
    assert set(cells) == {tag.name for tag in declared}
    (symbol,) = memory.symbols
    template = memory.templates[symbol.type & 0xFFF]
    members = [struct.unpack_from("<HHI", template.content, 8 * index) for index in range(template.members)]
    names = template.content[8 * template.members :].split(b"\0")[1:]
    at: dict[str, int] = {}
    for name, (info, kind, offset) in zip(names, members, strict=False):
        at[name.decode()] = offset
        if kind == 0xC1:
            assert info < 8
        elif kind == 0xC4:
            assert offset % 4 == 0
    assert at["PlcClockMs"] == 0 and at["EncoderNow"] == 4
    assert at["Enable"] == at["FaultReset"]
    slots = {name.decode(): info for name, (info, kind, _) in zip(names, members, strict=False) if kind & 0x8000}
    assert slots == {"Trigger": 2, "Result": 2}
    assert template.size % 4 == 0 and template.size > max(at.values())
