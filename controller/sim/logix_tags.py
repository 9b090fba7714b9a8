"""The simulated PLC's tags as a Logix controller serves them over EtherNet/IP, with a fast way in and out.

What a client of the tags needs: upload of symbols and templates, reading and writing of single values by name or by
instance, many of them in one packet. Services: Rockwell 1756-PM020. Whole structures and arrays are not served at once.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence

from controller.sim.eip_server import (
    NOT_SUPPORTED,
    TOO_LONG,
    TOO_SHORT,
    UNKNOWN_PATH,
    CipFault,
    EipServer,
    serve_message,
)
from controller.sim.logix_memory import Leaf, LogixCell, Memory, Symbol, build_memory
from controller.sim.plc_tags import DeclaredTag

_ROUTER, _SYMBOLS, _TEMPLATES, _PROGRAM_NAME = 0x02, 0x6B, 0x6C, 0x64
_GET_ALL, _GET_LIST, _MANY, _READ, _WRITE, _LIST_INSTANCES = 0x01, 0x03, 0x0A, 0x4C, 0x4D, 0x55
_PATH_ERROR, _PARTIAL, _READ_ONLY, _TOO_LARGE, _EMBEDDED, _GENERAL = 0x04, 0x06, 0x0F, 0x11, 0x1E, 0xFF
_BEYOND, _OTHER_TYPE = 0x2105, 0x2107
_BASE_TAG = 1 << 26
_ACCESS = {False: 0, True: 2}
"""External access as attribute 10 of a symbol: read/write and read only."""

_INDEX = re.compile(r"\[\d+]")

_Segment = str | tuple[int, int]
"""A name, or a kind of logical segment with its number."""
_CLASS, _INSTANCE, _MEMBER = 0, 1, 2


class LogixTags:
    """TagServer over EtherNet/IP. port: 0 takes a free one.

    pattern: "Linegate.{tag}" makes one tag of a structure, "Linegate_{flat}" tags and arrays; either may lie in a
    program ("Program:Main.…"). types: tags whose Logix type is not the usual one.
    """

    def __init__(
        self,
        host: str,
        port: int,
        declared: Sequence[DeclaredTag],
        on_written: Callable[[str], None],
        *,
        pattern: str = "Linegate.{tag}",
        types: Mapping[str, str] | None = None,
        large_messages: bool = True,
    ) -> None:
        self._host, self._port, self._on_written, self._pattern = host, port, on_written, pattern
        self._cells: dict[str, LogixCell] = {}
        self._memory = Memory()
        self._found: dict[bytes, Leaf] = {}
        self._downloads = 0
        self._server = EipServer(self, large_messages=large_messages)
        self.download(declared, types or {})

    async def build(self) -> None:
        """The tags were made with the object."""

    async def start(self) -> str:
        """Serve; host and port."""
        self._port = await self._server.start(self._host, self._port)
        return f"{self._host}:{self._port}"

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        await self._server.stop()

    async def run(self) -> None:
        """Everything happens when a client asks."""

    def cell(self, name: str) -> LogixCell:
        """One tag."""
        return self._cells[name]

    def freeze(self) -> None:
        """Answer nothing from now on, and lose nothing."""
        self._server.freeze()

    def thaw(self) -> None:
        """Go on, with what came in the meantime first: late replies."""
        self._server.thaw()

    def download(self, declared: Sequence[DeclaredTag], types: Mapping[str, str] | None = None) -> None:
        """Load a program with other tags, types or rights: every instance has a new number, connections stay.

        (A real controller ends them; a peer between it and the station need not.) Tags that stay keep their values.
        """
        self._downloads += 1
        self._memory = build_memory(
            declared, self._cells, pattern=self._pattern, types=types or {}, first_instance=10 + self._downloads
        )
        self._found.clear()

    def serve(self, service: int, path: bytes, content: bytes, room: int) -> tuple[int, bytes]:
        """One service on one object. Raises CipFault."""
        try:
            if service == _READ and (leaf := self._found.get(path)) is not None:
                return 0, self._read(leaf, content)
            segments = _segments(path)
            if isinstance(segments[0], tuple) and segments[0][0] == _CLASS:
                answer = self._object(service, segments, content, room)
                if answer is not None:
                    return answer
            elif service == _LIST_INSTANCES and len(segments) == 3 and isinstance(segments[0], str):
                return self._list_symbols(segments[0], _number(segments[2]), content, room)
            leaf = self._leaf(path, segments)
            if service == _READ:
                return 0, self._read(leaf, content)
            if service == _WRITE:
                return 0, self._write(leaf, content)
        except (struct.error, IndexError) as error:
            raise CipFault(TOO_SHORT) from error
        raise CipFault(NOT_SUPPORTED)

    def _object(
        self, service: int, segments: Sequence[_Segment], content: bytes, room: int
    ) -> tuple[int, bytes] | None:
        """A service of an object other than a tag; None for a tag that is named by its instance."""
        kind, instance = _number(segments[0]), _number(segments[1])
        match kind, service:
            case (0x02, 0x0A):
                return self._serve_many(content, room)
            case (0x64, 0x01):
                return 0, struct.pack("<H", 8) + b"Linegate"
            case (0x6B, 0x55):
                return self._list_symbols("", instance, content, room)
            case (0x6C, 0x03):
                return 0, self._describe_template(instance, content)
            case (0x6C, 0x4C):
                return self._read_template(instance, content, room)
            case (0x6B, _):
                return None
            case _:
                raise CipFault(NOT_SUPPORTED if kind in (_ROUTER, _TEMPLATES, _PROGRAM_NAME) else UNKNOWN_PATH)

    def _serve_many(self, content: bytes, room: int) -> tuple[int, bytes]:
        """Multiple Service Packet: one after the other, in their order."""
        (count,) = struct.unpack_from("<H", content)
        starts = (*struct.unpack_from(f"<{count}H", content, 2), len(content))
        replies = [serve_message(self, content[starts[i] : starts[i + 1]], room) for i in range(count)]
        place, places = 2 + 2 * count, list[int]()
        for reply in replies:
            places.append(place)
            place += len(reply)
        if place > room:
            raise CipFault(_TOO_LARGE)
        failed = any(reply[2] for reply in replies)
        return _EMBEDDED if failed else 0, struct.pack(f"<{count + 1}H", count, *places) + b"".join(replies)

    def _leaf(self, path: bytes, segments: Sequence[_Segment]) -> Leaf:
        """The value that a path leads to, by names or from a symbol's instance."""
        found = self._found.get(path)
        if found is not None:
            return found
        text = ""
        rest = list(segments)
        if rest[0] == (_CLASS, _SYMBOLS):
            instance = _number(rest[1])
            symbol = next((known for known in self._memory.symbols if known.instance == instance), None)
            if symbol is None:
                raise CipFault(UNKNOWN_PATH)
            text, rest = f".{symbol.name}", rest[2:]
        for part in rest:
            text += f".{part}" if isinstance(part, str) else f"[{_number(part)}]"
        leaf = self._memory.leaves.get(text[1:].lower())
        if leaf is None:
            wanted = _INDEX.sub("[0]", text[1:].lower())
            known = wanted in self._memory.leaves
            raise CipFault(_GENERAL, _BEYOND) if known else CipFault(UNKNOWN_PATH)
        self._found[path] = leaf
        return leaf

    def _read(self, leaf: Leaf, content: bytes) -> bytes:
        if content != b"\x01\x00":
            raise CipFault(_GENERAL, _BEYOND)
        return leaf.type.tag + leaf.type.encode(leaf.cell.value)

    def _write(self, leaf: Leaf, content: bytes) -> bytes:
        start = len(leaf.type.tag) + 2
        if content[: start - 2] != leaf.type.tag:
            raise CipFault(_GENERAL, _OTHER_TYPE)
        if content[start - 2 : start] != b"\x01\x00":
            raise CipFault(_GENERAL, _BEYOND)
        if len(content) != start + leaf.type.size:
            raise CipFault(TOO_SHORT if len(content) < start + leaf.type.size else TOO_LONG)
        if not leaf.writable:
            raise CipFault(_READ_ONLY)
        leaf.cell.value = leaf.type.decode(content[start:])
        self._on_written(leaf.name)
        return b""

    def _list_symbols(self, scope: str, first: int, content: bytes, room: int) -> tuple[int, bytes]:
        """Get Instance Attribute List: as many symbols as fit; status 6 when there are more."""
        wanted = struct.unpack_from(f"<{struct.unpack_from('<H', content)[0]}H", content, 2)
        symbols = [symbol for symbol in self._memory.symbols if symbol.scope == scope]
        if scope and not symbols:
            raise CipFault(UNKNOWN_PATH)
        if not scope:
            scopes = {symbol.scope: symbol.instance + 1 for symbol in self._memory.symbols if symbol.scope}
            symbols += [Symbol(number, "", program, 0x1068, 0, False) for program, number in scopes.items()]
        reply = b""
        for symbol in sorted(symbols, key=lambda known: known.instance):
            if symbol.instance < first:
                continue
            entry = struct.pack("<I", symbol.instance) + b"".join(_attribute(symbol, number) for number in wanted)
            if len(reply) + len(entry) + 8 > room:
                return _PARTIAL, reply
            reply += entry
        return 0, reply

    def _describe_template(self, number: int, content: bytes) -> bytes:
        template = self._memory.templates.get(number)
        if template is None:
            raise CipFault(UNKNOWN_PATH)
        wanted = struct.unpack_from(f"<{struct.unpack_from('<H', content)[0]}H", content, 2)
        values = {
            1: struct.pack("<H", template.handle),
            2: struct.pack("<H", template.members),
            4: struct.pack("<I", template.words),
            5: struct.pack("<I", template.size),
        }
        return struct.pack("<H", len(wanted)) + b"".join(struct.pack("<HH", at, 0) + values[at] for at in wanted)

    def _read_template(self, number: int, content: bytes, room: int) -> tuple[int, bytes]:
        template = self._memory.templates.get(number)
        if template is None:
            raise CipFault(UNKNOWN_PATH)
        offset, size = struct.unpack_from("<IH", content)
        piece = template.content[offset : offset + min(size, room - 8)]
        return 0 if offset + len(piece) == len(template.content) else _PARTIAL, piece


def _attribute(symbol: Symbol, number: int) -> bytes:
    match number:
        case 1:
            return struct.pack("<H", len(symbol.name)) + symbol.name.encode()
        case 2:
            return struct.pack("<H", symbol.symbol_type)
        case 6:
            return struct.pack("<I", _BASE_TAG)
        case 8:
            return struct.pack("<III", symbol.count, 0, 0)
        case 10:
            return bytes([_ACCESS[symbol.read_only]])
        case _:
            return bytes(4)


def _segments(path: bytes) -> list[_Segment]:
    """The segments of a padded path: names (0x91) and logical ones. Raises CipFault."""
    found: list[_Segment] = []
    at = 0
    while at < len(path):
        kind = path[at]
        if kind == 0x91:
            size = path[at + 1]
            found.append(path[at + 2 : at + 2 + size].decode("ascii", "replace"))
            at += 2 + size + size % 2
            continue
        width = {0: 1, 1: 2, 2: 4}.get(kind & 0x03)
        if kind >> 5 != 1 or width is None or kind >> 2 & 0x07 > _MEMBER:
            raise CipFault(_PATH_ERROR)
        at += 1 if width == 1 else 2
        found.append((kind >> 2 & 0x07, int.from_bytes(path[at : at + width], "little")))
        at += width
    if not found:
        raise CipFault(_PATH_ERROR)
    return found


def _number(segment: _Segment) -> int:
    if isinstance(segment, str):
        raise CipFault(_PATH_ERROR)
    return segment[1]
