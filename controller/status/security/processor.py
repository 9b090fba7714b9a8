"""One connection's requests: which of them are served, before and after somebody logged in.

asyncua 2.1 serves an unencrypted channel even where none is configured, serves all requests between CreateSession and
ActivateSession and after CloseSession, hands out session tokens that can be guessed, and lets a client answer with
"Acknowledge" to widen the server's own limits. Here is where that ends; tests hold each of these.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import struct_from_binary
from cryptography import x509

from controller import certificates
from controller.status.security import limits
from controller.status.security.audit import Act
from controller.status.security.caller import PROVEN, Person
from controller.status.security.session import GuardedSession

if TYPE_CHECKING:
    from controller.status.security.server import GuardedInternalServer


def _service(name: str) -> int:
    return int(getattr(ObjectIds, f"{name}Request_Encoding_DefaultBinary"))


CREATE, ACTIVATE, CLOSE = _service("CreateSession"), _service("ActivateSession"), _service("CloseSession")
CLOSE_CHANNEL = _service("CloseSecureChannel")
DISCOVERY = frozenset({_service("GetEndpoints"), _service("FindServers"), CLOSE_CHANNEL})
"""Served to everyone, also over a channel without encryption."""
IN_SESSION = frozenset(
    _service(name)
    for name in (
        "Read",
        "Write",
        "HistoryRead",
        "Browse",
        "TranslateBrowsePathsToNodeIds",
        "Call",
        "CreateSubscription",
        "ModifySubscription",
        "DeleteSubscriptions",
        "TransferSubscriptions",
        "SetPublishingMode",
        "CreateMonitoredItems",
        "ModifyMonitoredItems",
        "DeleteMonitoredItems",
        "SetMonitoringMode",
        "Publish",
        "Republish",
        "RegisterNodes",
        "UnregisterNodes",
        "AddNodes",
        "DeleteNodes",
        "AddReferences",
        "DeleteReferences",
    )
)
"""Served to whoever logged in; what each may do there is the session's affair."""
NONE_URI = "http://opcfoundation.org/UA/SecurityPolicy#None"
_UNPROTECTED = (
    ua.MessageType.Hello,
    ua.MessageType.SecureOpen,
    ua.MessageType.SecureMessage,
    ua.MessageType.SecureClose,
)


class Refusal(Exception):
    """The connection ends here."""


class GuardedProcessor(UaProcessor):
    """The library's processor behind a gate."""

    iserver: GuardedInternalServer  # pyright: ignore[reportIncompatibleVariableOverride]
    session: GuardedSession | None  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, iserver: GuardedInternalServer, transport: Any, transport_limits: Any) -> None:
        super().__init__(iserver, transport, transport_limits)
        self._greeted = False

    @property
    def address(self) -> str:
        """Where the client is."""
        return str(self.name[0]) if isinstance(self.name, tuple) and self.name else ""

    @property
    def secured(self) -> bool:
        """Signed and encrypted."""
        return self._connection.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt

    @property
    def certificate(self) -> bytes | None:
        """The client's, on an encrypted channel."""
        return self._connection.security_policy.peer_certificate if self.secured else None

    @property
    def logged_in(self) -> bool:
        """Somebody, with or without a name, came through."""
        return self.session is not None and self.session.is_activated()

    async def process(self, header: Any, body: Buffer) -> bool:
        """One message. Raises Refusal, or what the library raises, when the connection must end for it."""
        if header.MessageType not in _UNPROTECTED:
            raise Refusal(f"a client does not send {header.MessageType!r}")
        if (header.MessageType == ua.MessageType.Hello) == self._greeted:
            raise Refusal("Hello comes first, and once")
        if header.MessageType == ua.MessageType.Hello:
            self._greeted = True
            hello = struct_from_binary(ua.Hello, body.copy())
            if min(hello.ReceiveBufferSize, hello.SendBufferSize) < limits.SMALLEST_BUFFER:
                raise Refusal("buffers below what the protocol allows")
        elif header.MessageType == ua.MessageType.SecureOpen:
            await self._admit(struct_from_binary(ua.AsymmetricAlgorithmHeader, body.copy(header.body_size)))
        elif not self._connection.is_open():
            raise Refusal("no channel yet")
        return bool(await super().process(header, body))

    async def _admit(self, algorithms: ua.AsymmetricAlgorithmHeader) -> None:
        """Look at the certificate before any key is used for it."""
        if algorithms.SecurityPolicyURI == NONE_URI:
            if self._connection.is_open() and self.secured:
                raise Refusal("an encrypted channel stays one")
            return
        der = certificates.leaf(algorithms.SenderCertificate or b"")
        if self._connection.is_open() and der != self.certificate:
            raise Refusal("a channel keeps its certificate")
        why = self.iserver.pki.refusal(der, datetime.now(UTC))
        if why is not None:
            person = Person(name="", address=self.address)
            await self.iserver.audit.tell(
                Act.CERTIFICATE_REFUSED, person, f"{certificates.thumbprint(der)} {why.value}"
            )
            raise Refusal(f"certificate {certificates.thumbprint(der)[:16]} {why.value}")

    async def _process_message(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Buffer) -> bool:
        service = typeid.Identifier if typeid.NamespaceIndex == 0 else None
        if service in DISCOVERY:
            return await super()._process_message(typeid, requesthdr, seqhdr, body)
        if not self.secured and not self.iserver.unsecured:
            raise ServiceError(StatusCodes.BadSecurityModeInsufficient)
        if service == CREATE:
            await self._before_create(struct_from_binary(ua.CreateSessionParameters, body.copy()))
            served = bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
            if self.session is not None:
                self.session.processor, self.session.certificate = self, self.certificate
            return served
        if service == ACTIVATE:
            return await self._activate(typeid, requesthdr, seqhdr, body)
        if service in IN_SESSION or service == CLOSE:
            self._require_session(requesthdr)
        else:
            raise ServiceError(StatusCodes.BadServiceUnsupported)
        return await super()._process_message(typeid, requesthdr, seqhdr, body)

    def _require_session(self, requesthdr: Any) -> None:
        session = self.session
        if session is None or requesthdr.AuthenticationToken != session.auth_token:
            raise ServiceError(StatusCodes.BadSessionIdInvalid)
        if not session.is_activated():
            raise ServiceError(StatusCodes.BadSessionNotActivated)

    async def _before_create(self, params: ua.CreateSessionParameters) -> None:
        if not math.isfinite(params.RequestedSessionTimeout or 0.0):
            raise ServiceError(StatusCodes.BadInvalidArgument)
        if self.certificate is not None:
            if certificates.leaf(params.ClientCertificate or b"") != self.certificate:
                raise ServiceError(StatusCodes.BadSecurityChecksFailed)
            if params.ClientDescription.ApplicationUri not in certificates.uris(
                x509.load_der_x509_certificate(self.certificate)
            ):
                raise ServiceError(StatusCodes.BadCertificateUriInvalid)
            if not 32 <= len(params.ClientNonce or b"") <= 128:
                raise ServiceError(StatusCodes.BadNonceInvalid)
        if self.session is not None:
            # One channel, one session: the library would keep the one before for good.
            await self.session.close_session(True)
        if self._session_watchdog_task is not None:
            self._session_watchdog_task.cancel()
        self.iserver.require_room(logged_in=False)

    async def _activate(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Buffer) -> bool:
        params = struct_from_binary(ua.ActivateSessionParameters, body.copy())
        session = self._session_of(requesthdr)
        person = await self._identify(session, params)
        if not person.name:
            self.iserver.require_room(logged_in=True, session=session)
        moved = session.processor is not None and session.processor is not self
        token = PROVEN.set(person)
        try:
            served = await super()._process_message(typeid, requesthdr, seqhdr, body)
        finally:
            PROVEN.reset(token)
        if moved and session.processor is not None:
            # Two channels that share a session would share its rights.
            session.processor.session = None
        session.processor = self
        return served

    def _session_of(self, requesthdr: Any) -> GuardedSession:
        """The session that this request means, if it may have it: its own, or one of the same client that lost its
        connection."""
        wanted = self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
        if self.session is not None:
            if wanted is not self.session:
                raise ServiceError(StatusCodes.BadSessionIdInvalid)
            return self.session
        if not isinstance(wanted, GuardedSession) or self.certificate is None:
            raise ServiceError(StatusCodes.BadSessionIdInvalid)
        if wanted.certificate != self.certificate or not wanted.is_activated():
            raise ServiceError(StatusCodes.BadSessionIdInvalid)
        return wanted

    async def _identify(self, session: GuardedSession, params: ua.ActivateSessionParameters) -> Person:
        token: Any = params.UserIdentityToken
        logins, secured = self.iserver.logins, self.secured
        if isinstance(token, ua.UserNameIdentityToken):
            if not secured and not token.EncryptionAlgorithm:
                raise ServiceError(StatusCodes.BadIdentityTokenRejected)
            name, password = self._unpacked(session, token)
            person = await logins.prove(name, password, self.address, secured=secured)
        elif token is None or isinstance(token, (ua.AnonymousIdentityToken, ua.ExtensionObject)):
            person = logins.nobody(self.address, secured=secured)
        else:
            raise ServiceError(StatusCodes.BadIdentityTokenRejected)
        if session.is_activated() and session.processor is not self and session.person.name != person.name:
            # On a new channel a session stays its person's.
            raise ServiceError(StatusCodes.BadIdentityChangeNotSupported)
        return person

    def _unpacked(self, session: GuardedSession, token: ua.UserNameIdentityToken) -> tuple[str, str]:
        try:
            name, password = self.iserver.decrypt_user_token(session, token)
        except Exception as error:
            raise ServiceError(StatusCodes.BadIdentityTokenInvalid) from error
        return str(name or ""), str(password or "")
