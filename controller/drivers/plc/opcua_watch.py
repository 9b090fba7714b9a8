"""Being told by the server that a trigger came, instead of asking all the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from controller.drivers.plc.opcua_channel import Channel
from controller.errors import DeviceError, DeviceRefused
from statemachines.vocabulary import Ns

LONGEST_NS = 50_000_000
"""A read is due at least this often, whatever the server reports: PLC clock and session are watched by reading."""

_KEEPALIVE_S = 5.0


_SLACK = 1.5
"""A server may round an interval up to its own step; more than this is another interval than was asked for."""


class TooSlow(Exception):
    """The server does not publish or sample as often as was asked for; the text says how often."""


class Watch:
    """A subscription that only wakes: values are always read afresh, so a lost notification costs 50 ms, not a part."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._changed = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, channel: Channel, nodes: Sequence[ua.NodeId], publishing_ms: float, deadline: Ns) -> Watch:
        """Subscribe to these nodes. Raises DeviceError, or TooSlow; then nothing is left on the server."""
        watch = cls(channel)
        subscription = ua.CreateSubscriptionRequest()
        keepalive = max(1, int(_KEEPALIVE_S * 1000 / publishing_ms))
        subscription.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=publishing_ms,
            RequestedLifetimeCount=10 * keepalive,
            RequestedMaxKeepAliveCount=keepalive,
            PublishingEnabled=True,
        )
        created = await channel.call(subscription, ua.CreateSubscriptionResponse, deadline)
        items = ua.CreateMonitoredItemsRequest()
        items.Parameters.SubscriptionId = created.Parameters.SubscriptionId
        items.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
        items.Parameters.ItemsToCreate = [_item(handle, node, publishing_ms) for handle, node in enumerate(nodes)]
        reply = await channel.call(items, ua.CreateMonitoredItemsResponse, deadline)
        if any(not result.StatusCode.is_good() for result in reply.Results):
            raise DeviceRefused(channel.endpoint, "does not monitor TriggerSeq, Enable or SessionAck: poll instead")
        publishing = created.Parameters.RevisedPublishingInterval
        sampling = max(result.RevisedSamplingInterval for result in reply.Results)
        # A sampling interval of 0 is by exception: faster than any.
        if not max(publishing, sampling) <= _SLACK * publishing_ms:
            removal = ua.DeleteSubscriptionsRequest()
            removal.Parameters.SubscriptionIds = [created.Parameters.SubscriptionId]
            await channel.call(removal, ua.DeleteSubscriptionsResponse, deadline)
            raise TooSlow(f"samples every {sampling:g} ms and publishes every {publishing:g} ms")
        watch._loop = asyncio.create_task(watch._publish(), name="opcua publish")
        return watch

    async def changed(self, deadline: Ns) -> None:
        """Return on a notification, after 50 ms or at the deadline. A dead connection shows in the next read."""
        seconds = min(deadline - time.monotonic_ns(), LONGEST_NS) / 1e9
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    async def close(self) -> None:
        """Stop listening; never raises."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait((self._loop,))

    async def _publish(self) -> None:
        request = ua.PublishRequest()
        try:
            while True:
                reply = await self._channel.call(request, ua.PublishResponse, None)
                message = reply.Parameters.NotificationMessage
                request = ua.PublishRequest()
                if message.NotificationData:
                    self._changed.set()
                    request.Parameters.SubscriptionAcknowledgements = [
                        ua.SubscriptionAcknowledgement(reply.Parameters.SubscriptionId, message.SequenceNumber)
                    ]
        except DeviceError:
            self._changed.set()


def _item(handle: int, node: ua.NodeId, sampling_ms: float) -> ua.MonitoredItemCreateRequest:
    parameters = ua.MonitoringParameters(
        ClientHandle=handle, SamplingInterval=sampling_ms, QueueSize=1, DiscardOldest=True
    )
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=parameters,
    )
