"""The Machine Vision model's events, fired at the vision system and at the server with the fields of their types."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from asyncua import ua
from asyncua.server.event_generator import EventGenerator
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds

from controller.status.vision.calls import built_in


class Kind(Enum):
    """Every event that the station fires, by the number of its type in the Machine Vision namespace."""

    JOB_STARTED = 1013
    STATE_CHANGED = 1018
    ERROR = 1019
    ERROR_RESOLVED = 1020
    RECIPE_PREPARED = 1022
    READY = 1023
    RESULT_READY = 1024
    ACQUISITION_DONE = 1025


class Events:
    """Fires events. One event loop's thread. source: the node that an event tells of, with its name."""

    def __init__(self, server: Server, namespace: int, source: ua.NodeId, source_name: str) -> None:
        self._server, self._namespace = server, namespace
        self._source, self._source_name = source, source_name
        self._generators: dict[Kind, EventGenerator] = {}
        self._types: dict[Kind, dict[str, ua.VariantType]] = {}

    async def build(self) -> None:
        """Make ready to fire; after the model is there."""
        for kind in Kind:
            event_type = self._server.get_node(ua.NodeId(ua.Int32(kind.value), ua.Int16(self._namespace)))
            generator = await self._server.get_event_generator(event_type, _SERVER)
            generator.event.SourceNode, generator.event.SourceName = self._source, self._source_name
            self._generators[kind] = generator
            self._types[kind] = {}
            for child in await event_type.get_children():
                name = (await child.read_browse_name()).Name
                self._types[kind][name] = built_in(self._server.iserver.aspace, await child.read_data_type())

    async def fire(self, kind: Kind, message: str, fields: Mapping[str, Any], severity: int = 100) -> None:
        """Fire one event. fields: by the browse names of the event's type; a transition's as "Transition/Id"."""
        generator, event = self._generators[kind], self._generators[kind].event
        for name, value in fields.items():
            event.add_property(name, value, self._types[kind].get(name, _STATE_FIELDS.get(name)))
        event.Severity = severity
        event.emitting_node = _SERVER
        await generator.trigger(message=message)
        # The same event, with the same id, for those who watch the vision system alone.
        event.emitting_node = self._source
        await self._server.iserver.subscription_service.trigger_event(event)


_SERVER = ua.NodeId(ua.Int32(ObjectIds.Server))
_STATE_FIELDS = {
    "Transition": ua.VariantType.LocalizedText,
    "Transition/Id": ua.VariantType.NodeId,
    "FromState": ua.VariantType.LocalizedText,
    "FromState/Id": ua.VariantType.NodeId,
    "ToState": ua.VariantType.LocalizedText,
    "ToState/Id": ua.VariantType.NodeId,
}
