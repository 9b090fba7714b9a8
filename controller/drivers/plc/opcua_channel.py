"""One OPC UA connection: channel, session and requests with deadlines, without background tasks of asyncua's own.

asyncua's `Client.connect` starts a supervisor, a watchdog and a renewal task that read behind the caller's back; the
same steps are done here one by one, and the channel is renewed by whoever waits for the next poll.
With a security policy the server's endpoints are asked for first, so that a certificate that nobody trusts is refused
by name before anything is said to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UASocketProtocol
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary
from cryptography.exceptions import InvalidSignature

from controller.drivers.plc import opcua_wire as wire
from controller.drivers.plc.opcua_security import PRODUCT_URI, Credentials, SecuritySettings, load_credentials
from controller.errors import DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from statemachines.vocabulary import MS, Ns

_Reply = TypeVar("_Reply")

FLOOR_NS = 5 * MS
"""The least time that a request gets, so that an answer may still be tried after its deadline (rule f)."""

CHANNEL_LIFETIME_MS = 3_600_000
"""Asked for; three quarters of what the server grants are used."""

_SESSION_TIMEOUT_MS = 30_000
_GOODBYE_S = 0.3


def status_name(code: int) -> str:
    """ "BadTypeMismatch" for a status code."""
    return ua.StatusCode(ua.UInt32(code)).name


@contextmanager
def translated(device: str) -> Generator[None, None, None]:
    """asyncua's, the socket's and asyncio's exceptions as errors of the device."""
    try:
        yield
    except DeviceError:
        raise
    except TimeoutError as error:
        raise DeviceTimeout(device, "no answer in time") from error
    except ua.UaStatusCodeError as error:
        raise DeviceRefused(device, f"answered {status_name(error.code)}") from error
    except OSError as error:
        raise DeviceUnavailable(device, f"connection lost or refused ({error})") from error
    except InvalidSignature as error:
        raise DeviceRefused(device, "does not own the certificate that it shows") from error
    except (ua.UaError, ValueError) as error:
        raise DeviceRefused(device, f"answered something that is not OPC UA as agreed ({error})") from error


class Channel:
    """A connection to one server. Not to be used again once closed or after an error."""

    def __init__(self, endpoint: str, request_timeout_ns: int, security: SecuritySettings | None = None) -> None:
        self.endpoint = self._endpoint = endpoint
        self._request_timeout_ns = request_timeout_ns
        self._security = security or SecuritySettings()
        self._client: Client | None = None
        self._protocol: UASocketProtocol | None = None
        self._token = b""
        self._renew_at = 0
        self._silent = False

    @property
    def token_id(self) -> int:
        """Number of the key that the channel is secured with; another after each renewal, 0 when closed."""
        if self._protocol is None:
            return 0
        return int(self._protocol._connection.security_token.TokenId)  # pyright: ignore[reportPrivateUsage]

    async def open(self, deadline: Ns) -> None:
        """Connect socket, secure channel and session, all before the deadline.

        Raises ConfigError where certificate, user or policy are not accepted on either side, else DeviceError.
        """
        remaining = self._seconds(deadline, limited=False)
        with translated(self._endpoint):
            async with asyncio.timeout(remaining):
                # Reading files and making keys would hold up the loop that decides.
                credentials = await asyncio.to_thread(load_credentials, self._security)
                with self._explained(credentials):
                    await self._connect(credentials, remaining)
        client = self._client
        if client is None or self._protocol is None:
            raise DeviceUnavailable(self._endpoint, "connection lost while connecting")
        self._token = nodeid_to_binary(client.uaclient.session.authentication_token)
        self._schedule_renewal(client)

    async def _connect(self, credentials: Credentials, seconds: float) -> None:
        server = None
        if self._security.secured:
            server = credentials.choose(await self._endpoints(seconds), self._endpoint)
        client = self._client = self._new_client(seconds)
        client.application_uri = credentials.application_uri
        if server is not None:
            client.security_policy = credentials.policy_for(server)
            client.uaclient.set_security(client.security_policy)
        await client.connect_socket()
        self._protocol = client.uaclient.protocol
        await client.send_hello()
        await client.open_secure_channel()
        await client.create_session()
        self._check_password_stays_secret(client, credentials)
        client.user_private_key = credentials.user_key
        await client.activate_session(self._security.user_name, credentials.password, credentials.user_certificate)

    async def _endpoints(self, seconds: float) -> list[ua.EndpointDescription]:
        """What the server offers, asked for without security on a connection of its own."""
        client = self._new_client(seconds)
        try:
            await client.connect_socket()
            await client.send_hello()
            await client.open_secure_channel()
            return await client.get_endpoints()
        finally:
            protocol = client.uaclient.protocol
            if protocol is not None and protocol.transport is not None:
                protocol.transport.abort()
                await asyncio.sleep(0)

    def _new_client(self, seconds: float) -> Client:
        client = Client(self._endpoint, timeout=seconds)
        client.name = client.description = "Linegate"
        client.product_uri = PRODUCT_URI
        client.secure_channel_timeout = CHANNEL_LIFETIME_MS
        # Small PLCs have room for few sessions: one that nobody closed must not occupy its place for an hour.
        client.session_timeout = _SESSION_TIMEOUT_MS
        return client

    def _check_password_stays_secret(self, client: Client, credentials: Credentials) -> None:
        """A password leaves encrypted for a trusted server, or not at all. Raises ConfigError."""
        security = self._security
        if security.user_name is None or security.message_mode is ua.MessageSecurityMode.SignAndEncrypt:
            return
        policy = client.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri
        if not policy or policy.endswith("#None"):
            cure = f'{self._endpoint} takes the password in the clear only: use mode = "sign_and_encrypt"'
            raise security.wrong("user_name", security.user_name, cure)
        credentials.believe(client.security_policy.peer_certificate or b"", self._endpoint)

    @contextmanager
    def _explained(self, credentials: Credentials) -> Generator[None, None, None]:
        """A server's refusal for reasons of security as what a person must mend."""
        try:
            yield
        except ua.UaStatusCodeError as error:
            explained = credentials.explain(error.code, self._endpoint)
            if explained is None:
                raise
            raise explained from error

    async def read(self, payload: bytes, count: int, deadline: Ns) -> list[wire.WireValue | wire.BadStatus]:
        """One Read request; `count` values come back. Raises DeviceError."""
        body = await self._exchange(wire.READ_REQUEST, payload, deadline)
        try:
            values = wire.read_reply(body)
        except wire.UnusualReply:
            values = self._decode_read(body)
        if len(values) != count:
            raise self._wrong_length(values[0] if values else None, len(values), count)
        return values

    async def write(self, payload: bytes, count: int, deadline: Ns) -> list[int]:
        """One Write request; `count` status codes come back. Raises DeviceError."""
        body = await self._exchange(wire.WRITE_REQUEST, payload, deadline)
        try:
            codes = wire.write_reply(body)
        except wire.UnusualReply:
            reply = self._decode(body, ua.WriteResponse)
            codes = [int(code.value) for code in reply.Results]
        if len(codes) != count:
            raise self._wrong_length(wire.BadStatus(codes[0]) if codes else None, len(codes), count)
        return codes

    async def call(self, request: Any, reply: type[_Reply], deadline: Ns | None) -> _Reply:
        """Any other service, by asyncua's own encoding, before the deadline alone: while connecting, a small PLC may
        need longer to look up a hundred tags than it may ever need for one of its cyclic requests.

        deadline None: wait for as long as the connection lives.
        """
        protocol = self._alive()
        seconds = 0.0 if deadline is None else self._seconds(deadline, limited=False)
        with translated(self._endpoint):
            async with asyncio.timeout(seconds or None):
                buffer = await protocol.send_request(request, seconds)
            return struct_from_binary(reply, buffer)

    async def renew_if_due(self) -> None:
        """Renew the secure channel when three quarters of its life are over. Raises DeviceError."""
        if time.monotonic_ns() < self._renew_at or self._client is None:
            return
        with translated(self._endpoint):
            async with asyncio.timeout(self._request_timeout_ns / 1e9):
                await self._client.open_secure_channel(renew=True)
            self._client.uaclient.revolve_security_token()
        self._schedule_renewal(self._client)

    async def close(self) -> None:
        """Say goodbye where the server still answers, else just drop the socket. Never raises, under half a second."""
        client, protocol = self._client, self._protocol
        self._client = self._protocol = None
        if client is None:
            return
        if protocol is not None and self._token and not self._silent and not protocol.is_closed:
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    await client.uaclient.close_session(True)
            except (TimeoutError, OSError, ua.UaError):
                pass  # the server forgets the session by itself
        protocol = protocol or client.uaclient.protocol
        if protocol is not None and protocol.transport is not None:
            # abort, not close: a frozen server never takes what is still in the send buffer.
            protocol.transport.abort()
            await asyncio.sleep(0)

    async def _exchange(self, kind: int, payload: bytes, deadline: Ns) -> bytes:
        protocol = self._alive()
        seconds = self._seconds(deadline)
        try:
            reply = self._send(protocol, kind, payload, int(seconds * 1000))
            async with asyncio.timeout(seconds):
                buffer = await reply
            return buffer.read(len(buffer))
        except TimeoutError as error:
            self._silent = True
            raise DeviceTimeout(self._endpoint, f"no answer within {seconds * 1000:.0f} ms") from error
        except OSError as error:
            raise DeviceUnavailable(self._endpoint, f"connection lost ({error})") from error
        except ua.UaError as error:
            raise DeviceRefused(self._endpoint, f"answered an error ({error})") from error

    def _send(self, protocol: UASocketProtocol, kind: int, payload: bytes, timeout_ms: int) -> asyncio.Future[Buffer]:
        """Send a request that is already in bytes; asyncua's `_send_request` with the encoding left out.

        It needs asyncua's own request table and secure channel, which have no public door.
        """
        transport = protocol.transport
        if transport is None:
            raise ConnectionError("connection is closed")
        number = protocol._request_id + 1  # pyright: ignore[reportPrivateUsage]
        body = wire.request_type(kind) + wire.request_header(self._token, number, timeout_ms) + payload
        protocol.revolve_security_token()
        message = protocol._connection.message_to_binary(body, request_id=number)  # pyright: ignore[reportPrivateUsage]
        protocol._request_id = number  # pyright: ignore[reportPrivateUsage]
        future: asyncio.Future[Buffer] = asyncio.get_running_loop().create_future()
        protocol._callbackmap[number] = future  # pyright: ignore[reportPrivateUsage]
        transport.write(message)
        return future

    def _alive(self) -> UASocketProtocol:
        if self._protocol is None or self._protocol.is_closed:
            raise DeviceUnavailable(self._endpoint, "not connected")
        return self._protocol

    def _seconds(self, deadline: Ns, *, limited: bool = True) -> float:
        left = max(deadline - time.monotonic_ns(), FLOOR_NS)
        return (min(left, self._request_timeout_ns) if limited else left) / 1e9

    def _schedule_renewal(self, client: Client) -> None:
        self._renew_at = time.monotonic_ns() + int(client.secure_channel_timeout * 0.75) * MS

    def _decode(self, body: bytes, reply: type[_Reply]) -> _Reply:
        with translated(self._endpoint):
            return struct_from_binary(reply, Buffer(body))

    def _decode_read(self, body: bytes) -> list[wire.WireValue | wire.BadStatus]:
        values: list[wire.WireValue | wire.BadStatus] = []
        for item in self._decode(body, ua.ReadResponse).Results:
            code = int(item.StatusCode.value) if item.StatusCode is not None else 0
            values.append(wire.BadStatus(code) if not wire.is_good(code) else item.Value and item.Value.Value)
        return values

    def _wrong_length(self, first: object, got: int, wanted: int) -> DeviceRefused:
        if isinstance(first, wire.BadStatus) and not wire.is_good(first.code):
            return DeviceRefused(self._endpoint, f"refused the request: {status_name(first.code)}")
        return DeviceRefused(self._endpoint, f"answered {got} values where {wanted} were asked for")
