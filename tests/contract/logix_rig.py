"""The EtherNet/IP side of the links' contract suite."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from controller.drivers.plc.ethernet_ip import EthernetIpPlc, EthernetIpPlcSettings
from controller.ports import PlcLink
from controller.sim.logix_tags import LogixTags
from controller.sim.plc_tags import TagKind
from controller.sim.sequence_tags import declared_tags
from tests.contract.tag_server import FreezingProxy


class LogixRig:
    """A link, a relay that can freeze, and a Logix controller behind it."""

    def __init__(self, kind: str) -> None:
        self._pattern = {"udt": "Linegate.{tag}", "flat": "Program:Main.Linegate_{flat}"}[kind]
        self._stack = AsyncExitStack()
        self.writes: list[tuple[str, Any]] = []
        self._declared = declared_tags(8, TagKind.WORD)
        self._server = LogixTags("127.0.0.1", 0, self._declared, self._written, pattern=self._pattern)

    async def start(self) -> PlcLink:
        port = int((await self._server.start()).split(":")[1])
        self._stack.push_async_callback(self._server.stop)
        self.proxy = await self._stack.enter_async_context(FreezingProxy(port))
        return EthernetIpPlc(EthernetIpPlcSettings(f"127.0.0.1:{self.proxy.port}", pattern=self._pattern))

    async def stop(self) -> None:
        await self._stack.aclose()

    async def set(self, name: str, value: Any) -> None:
        self._server.cell(name).set(value)

    async def get(self, name: str) -> Any:
        return self._server.cell(name).get()

    async def break_write(self, name: str) -> None:
        self._server.download([replace(tag, writable=tag.writable and tag.name != name) for tag in self._declared])

    def freeze(self) -> None:
        self.proxy.freeze()

    async def hung_up(self) -> None:
        await self.proxy.hung_up.wait()

    async def kill(self) -> None:
        await self.proxy.kill()

    def _written(self, name: str) -> None:
        self.writes.append((name, self._server.cell(name).get()))
