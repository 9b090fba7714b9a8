"""The bare client of each PLC protocol: the least that a person would write with the same library.

`latency.py` drives a bare loop with it. A protocol is one class here and one row in `BARE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from controller.sim import plc_settings
from tests.bench.bare_modbus import BareModbus


class BarePlc(Protocol):
    """Tags by the contract's names, against the soft PLC's own tag server."""

    async def open(self, address: str) -> None:
        """Connect."""
        ...

    async def read(self, *tags: str) -> list[Any]:
        """Two tags or more in one request, in this order."""
        ...

    async def write(self, values: Mapping[str, int | bool]) -> None:
        """Two tags or more in one request, in this order."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class BareOpcUa:
    """asyncua."""

    async def open(self, address: str) -> None:
        from asyncua.client.client import Client

        self._client = Client(address, timeout=4)
        self._nodes: dict[str, Any] = {}
        await self._client.connect()

    async def read(self, *tags: str) -> list[Any]:
        return await self._client.read_values([self._node(tag) for tag in tags])

    async def write(self, values: Mapping[str, int | bool]) -> None:
        from asyncua import ua

        kinds = {True: ua.VariantType.Boolean, False: ua.VariantType.Int32}
        made = [ua.DataValue(ua.Variant(value, kinds[isinstance(value, bool)])) for value in values.values()]
        await self._client.write_values([self._node(tag) for tag in values], made)

    async def close(self) -> None:
        await self._client.disconnect()

    def _node(self, tag: str) -> Any:
        if tag not in self._nodes:
            self._nodes[tag] = self._client.get_node(plc_settings.node_id(tag))
        return self._nodes[tag]


class BareLogix:
    """pycomm3, called where the loop stands: it has nothing else to do meanwhile."""

    async def open(self, address: str) -> None:
        from pycomm3 import LogixDriver

        self._driver = LogixDriver(f"{address}/0")
        self._driver.open()

    async def read(self, *tags: str) -> list[Any]:
        read: Any = self._driver.read(*[f"Linegate.{tag}" for tag in tags])
        return [tag.value for tag in read]

    async def write(self, values: Mapping[str, int | bool]) -> None:
        written: Any = self._driver.write(*[(f"Linegate.{tag}", value) for tag, value in values.items()])
        if not all(written):
            raise RuntimeError(f"not written: {written}")

    async def close(self) -> None:
        self._driver.close()


BARE: dict[plc_settings.Protocol, type[BarePlc]] = {"opcua": BareOpcUa, "ethernet-ip": BareLogix, "modbus": BareModbus}
