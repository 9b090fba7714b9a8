"""Clients that nobody wants: each an attack of its own, in processes of their own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import socket
import struct
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import Any
from urllib.parse import urlparse

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.ua_binary import (
    header_from_binary,
    nodeid_from_binary,
    struct_from_binary,
    struct_to_binary,
    uatcp_to_binary,
)

from controller.sim.status_view import quieten
from controller.status.address_space import NODES, node_id

CLIENTS, ITEMS, INTERVAL_MS = 20, 50, 100
# The library's constants are bytes; its signatures say otherwise.
_HELLO: Any = ua.MessageType.Hello
_OPEN: Any = ua.MessageType.SecureOpen
Attack = Callable[[str, Event, Any], None]


@contextmanager
def attackers(endpoint: str, packets: int) -> Generator[Synchronized[int]]:
    """All attacks at once; yields how many packets the fuzzer has sent so far."""
    context = multiprocessing.get_context("spawn")
    stop, sent = context.Event(), context.Value("q", 0)
    work: tuple[Attack, ...] = (subscribers, never_reader, session_loop, fuzzer)
    told: tuple[Any, ...] = (None, None, None, (sent, packets))
    children = [
        context.Process(target=_run, args=(attack, endpoint, stop, what), daemon=True)
        for attack, what in zip(work, told, strict=True)
    ]
    for child in children:
        child.start()
    try:
        yield sent
    finally:
        stop.set()
        for child in children:
            child.join(10)
            if child.is_alive():
                child.kill()
                child.join()


def _run(attack: Attack, endpoint: str, stop: Event, what: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _give_way()
    quieten()
    attack(endpoint, stop, what)


def _give_way() -> None:
    """They are other computers in truth, and take none of the line's processor: here they get what nobody else wants,
    which is far more than the server has for them."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    elif sys.platform != "win32":
        os.nice(19)


def subscribers(endpoint: str, stop: Event, _: Any) -> None:
    """Honest ones: CLIENTS with ITEMS each, ten times a second."""

    class Deaf:
        def datachange_notification(self, node: Any, val: Any, data: Any) -> None:
            del node, val, data

    async def one() -> None:
        while not stop.is_set():
            with suppress(Exception):
                async with Client(endpoint, timeout=10) as client:
                    subscription: Any = await client.create_subscription(INTERVAL_MS, Deaf())
                    await subscription.subscribe_data_change([client.get_node(node_id(n.name)) for n in NODES[:ITEMS]])
                    while not stop.is_set():
                        await asyncio.sleep(0.2)
            await asyncio.sleep(0.2)

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(CLIENTS)))

    asyncio.run(all_of_them())


def never_reader(endpoint: str, stop: Event, _: Any) -> None:
    """Asks for everything again and again, and takes no answer out of its socket."""
    while not stop.is_set():
        with suppress(Exception), opened(endpoint) as (wire, connection):
            create = ua.CreateSessionRequest()
            create.Parameters.EndpointUrl = endpoint
            create.Parameters.RequestedSessionTimeout = 60_000
            token = _asked(wire, connection, create, ua.CreateSessionResponse).Parameters.AuthenticationToken
            activate = ua.ActivateSessionRequest()
            activate.RequestHeader.AuthenticationToken = token
            activate.Parameters.UserIdentityToken = ua.AnonymousIdentityToken(PolicyId="anonymous")
            _asked(wire, connection, activate, ua.ActivateSessionResponse)
            read = ua.ReadRequest()
            read.RequestHeader.AuthenticationToken = token
            read.Parameters.NodesToRead = [
                ua.ReadValueId(ua.NodeId.from_string(node_id(n.name)), ua.IntegerId(AttributeIds.Description))
                for n in NODES
            ]
            wire.settimeout(1.0)
            while not stop.is_set():
                with suppress(TimeoutError):
                    wire.sendall(connection.message_to_binary(struct_to_binary(read)))


def session_loop(endpoint: str, stop: Event, _: Any) -> None:
    """Opens connection after connection and session after session, and logs in to none."""
    held: list[socket.socket] = []
    while not stop.is_set():
        with suppress(Exception):
            wire, connection = _open(endpoint)
            held.append(wire)
            create = ua.CreateSessionRequest()
            create.Parameters.RequestedSessionTimeout = 3_600_000
            for _turn in range(3):
                _asked(wire, connection, create, ua.CreateSessionResponse)
        while len(held) > 200:
            held.pop(0).close()
        stop.wait(0.005)
    for wire in held:
        wire.close()


def fuzzer(endpoint: str, stop: Event, what: tuple[Any, int]) -> None:
    """Packets that are malformed, cut off or too long: in front of the channel, and in it."""
    sent, packets = what
    source = random.Random(1)
    while not stop.is_set() and sent.value < packets:
        with suppress(OSError, ua.UaError, struct.error, TimeoutError):
            if source.random() < 0.5:
                _before_the_channel(endpoint, source, sent)
            else:
                _in_the_channel(endpoint, source, sent)


def _before_the_channel(endpoint: str, source: random.Random, sent: Any) -> None:
    with _connected(endpoint) as wire:
        for _ in range(source.randint(1, 4)):
            wire.sendall(_mangled(source, source.choice(_SEEDS)))
            sent.value += 1


def _in_the_channel(endpoint: str, source: random.Random, sent: Any) -> None:
    with opened(endpoint) as (wire, connection):
        for _ in range(source.randint(1, 4)):
            body = _mangled(source, source.choice(_BODIES))
            wire.sendall(connection.message_to_binary(body))
            sent.value += 1


def _mangled(source: random.Random, packet: bytes) -> bytes:
    """One way to spoil a packet, by chance."""
    spoilt = bytearray(packet)
    match source.randrange(6):
        case 0:
            return bytes(spoilt[: source.randrange(len(spoilt))])
        case 1:
            for _ in range(source.randint(1, 8)):
                spoilt[source.randrange(len(spoilt))] = source.randrange(256)
        case 2:
            spoilt[4:8] = struct.pack("<I", source.choice((0, 7, 12, 0xFFFFFFFF, 0x7FFFFFFF, 1 << 20)))
        case 3:
            spoilt += source.randbytes(source.choice((1, 100, 70_000)))
        case 4:
            place = source.randrange(max(1, len(spoilt) - 4))
            spoilt[place : place + 4] = struct.pack("<i", source.choice((-2, 2**31 - 1, 10**6)))
        case _:
            return source.randbytes(source.randint(8, 400))
    return bytes(spoilt)


# --- the protocol, by hand ----------------------------------------------------------------------------------------


def _connected(endpoint: str) -> socket.socket:
    url = urlparse(endpoint)
    return socket.create_connection((url.hostname, url.port), timeout=2.0)


@contextmanager
def opened(endpoint: str) -> Generator[tuple[socket.socket, SecureConnection]]:
    """A channel without encryption, as long as the block lasts."""
    wire, connection = _open(endpoint)
    try:
        yield wire, connection
    finally:
        wire.close()


def _open(endpoint: str) -> tuple[socket.socket, SecureConnection]:
    wire = _connected(endpoint)
    try:
        wire.sendall(uatcp_to_binary(_HELLO, _hello(endpoint)))
        _packet(wire)
        connection = SecureConnection(SecurityPolicyNone(), TransportLimits())
        wire.sendall(connection.message_to_binary(struct_to_binary(_open_request()), _OPEN))
        header, body = _packet(wire)
        message = connection.receive_from_header_and_body(header, body)
        answer_body = message.body()
        nodeid_from_binary(answer_body)
        answer = _decoded(ua.OpenSecureChannelResponse, answer_body)
        connection.set_channel(answer.Parameters, ua.SecurityTokenRequestType.Issue, b"")
    except BaseException:
        wire.close()
        raise
    return wire, connection


def _decoded(kind: Any, body: Any) -> Any:
    answer = kind()
    answer.ResponseHeader = struct_from_binary(ua.ResponseHeader, body)
    answer.Parameters = struct_from_binary(type(answer.Parameters), body)
    return answer


def _asked(wire: socket.socket, connection: SecureConnection, request: Any, kind: Any) -> Any:
    wire.sendall(connection.message_to_binary(struct_to_binary(request)))
    header, body = _packet(wire)
    answer_body = connection.receive_from_header_and_body(header, body).body()
    nodeid_from_binary(answer_body)
    return _decoded(kind, answer_body)


def _packet(wire: socket.socket) -> tuple[Any, Any]:
    head = _exactly(wire, 8)
    whole = head + _exactly(wire, struct.unpack("<I", head[4:])[0] - 8)
    body = Buffer(whole)
    return header_from_binary(body), body


def _exactly(wire: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = wire.recv(count - len(found))
        if not piece:
            raise ConnectionError("closed")
        found += piece
    return found


def _hello(endpoint: str) -> ua.Hello:
    hello = ua.Hello()
    hello.EndpointUrl = ua.String(endpoint)
    hello.ReceiveBufferSize = hello.SendBufferSize = ua.UInt32(65_535)
    return hello


def _open_request() -> ua.OpenSecureChannelRequest:
    request = ua.OpenSecureChannelRequest()
    request.Parameters.SecurityMode = ua.MessageSecurityMode.None_
    request.Parameters.RequestType = ua.SecurityTokenRequestType.Issue
    request.Parameters.RequestedLifetime = ua.UInt32(3_600_000)
    return request


def _channel() -> SecureConnection:
    return SecureConnection(SecurityPolicyNone(), TransportLimits())


_BODIES = tuple(
    struct_to_binary(request())
    for request in (
        ua.GetEndpointsRequest,
        ua.FindServersRequest,
        ua.CreateSessionRequest,
        ua.ActivateSessionRequest,
        ua.ReadRequest,
        ua.BrowseRequest,
        ua.CallRequest,
        ua.CreateSubscriptionRequest,
        ua.PublishRequest,
        ua.HistoryReadRequest,
    )
)
_SEEDS = (
    uatcp_to_binary(_HELLO, _hello("opc.tcp://127.0.0.1:4840")),
    _channel().message_to_binary(struct_to_binary(_open_request()), _OPEN),
    *(_channel().message_to_binary(body) for body in _BODIES),
)
