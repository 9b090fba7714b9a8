"""Values of the station's own nodes, written where they differ from what is shown."""

from __future__ import annotations

from datetime import UTC

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.vision.system import station_node


class Values:
    """Below one object. One event loop's thread. root: the object's name."""

    def __init__(self, server: Server, root: str) -> None:
        self._server, self._root = server, root
        self._shown: dict[str, tuple[object, int]] = {}

    async def write(
        self,
        name: str,
        value: object,
        kind: ua.VariantType,
        quality: int = StatusCodes.Good,
        *,
        is_array: bool = False,
    ) -> None:
        """Show this value of a node below the object, unless it is shown already. Raises UaError if it does not fit."""
        if self._shown.get(name) == (value, quality):
            return
        self._shown[name] = (value, quality)
        now = ua.DateTime.now(UTC)
        variant = ua.Variant(value, kind, is_array=is_array)
        data = ua.DataValue(variant, ua.StatusCode(ua.UInt32(quality)), now, ServerTimestamp=now)
        space = self._server.iserver.aspace
        # The server's own way to write says nothing of a value that does not fit its node.
        code = await space.write_attribute_value(station_node(f"{self._root}.{name}"), AttributeIds.Value, data)
        code.check()
