"""The library's server with everything guarded: joined here, nowhere else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from struct import unpack_from
from typing import Any

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.crypto.permission_rules import User
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from controller.errors import ConfigError
from controller.status.messages import Noted
from controller.status.process import StatusSettings
from controller.status.security import decoding, limits
from controller.status.security.audit import Audit
from controller.status.security.caller import ProvenUsers
from controller.status.security.connection import GuardedBinaryServer
from controller.status.security.logins import Logins
from controller.status.security.pki import Pki
from controller.status.security.processor import GuardedProcessor
from controller.status.security.rights import Rights
from controller.status.security.session import GuardedSession
from controller.status.security.subscriptions import GuardedSubscriptions
from controller.status.security.users import UsersFile
from controller.status.vision.packing import Nodes

_POLICY_TYPES = {
    "Basic256Sha256": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    "Aes128_Sha256_RsaOaep": ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    "Aes256_Sha256_RsaPss": ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
}
_OAEP = {
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep": uacrypto.decrypt_rsa_oaep,
    "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256": uacrypto.decrypt_rsa_oaep_sha256,
}
"""How a password may be encrypted. RSA 1.5 is not: its padding tells too much."""


class GuardedInternalServer(InternalServer):
    """The inside of the server: sessions within limits, rights, log-ins, the audit trail.

    nodes: the address space, where it is there already.
    """

    def __init__(self, settings: StatusSettings, note: Callable[[Noted], object], nodes: Nodes | None = None) -> None:
        super().__init__(user_manager=ProvenUsers())  # pyright: ignore[reportArgumentType]
        self._nodes = nodes
        self.unsecured, self.limits = settings.unsecured, settings.limits
        self.rights = Rights()
        self.historic: frozenset[ua.NodeId] = frozenset()
        """Nodes with a history."""
        self.pki = Pki(settings.pki)
        self.audit = Audit(note, time.monotonic)
        self.logins = Logins(UsersFile(settings.users), settings.anonymous, self.audit)
        self.subscription_service: GuardedSubscriptions = GuardedSubscriptions(  # pyright: ignore[reportIncompatibleVariableOverride]
            self.aspace, iserver=self
        )
        self.isession.subscription_service = self.subscription_service
        # asyncua gives every client that calls itself "admin" all rights otherwise, without a password.
        self.allow_remote_admin = False
        self.bind_condition_methods = True
        self.max_connections = settings.limits.sessions + limits.CONNECTIONS_BEYOND_SESSIONS
        self.max_subscriptions = settings.limits.sessions * settings.limits.subscriptions_per_session
        self.max_monitored_item_queue_size = limits.QUEUED
        self.max_unacked_messages_per_subscription = limits.QUEUED
        self.max_session_timeout_ms = limits.SESSION_S * 1000
        self.max_pending_messages_per_connection = limits.PENDING
        self.max_lifetime_count = limits.LONGEST_LIFETIME

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        """Take the nodes given, or build the standard ones."""
        if self._nodes is None:
            await super().load_standard_address_space(shelf_file)
        else:
            # The library itself puts another mapping there, when it reads its nodes from a shelf.
            nodes: Any = self._nodes
            self.aspace._nodes, self._nodes = nodes, None  # pyright: ignore[reportPrivateUsage]

    def create_session(self, name: str, user: User = User(), external: bool = False) -> InternalSession:
        """A session of a client is guarded, the station's own is not."""
        if not external:
            return super().create_session(name, user, external)
        return GuardedSession(self, self.aspace, self.subscription_service, name, user=user, external=True)

    def sessions(self) -> list[GuardedSession]:
        """All sessions of clients."""
        return [s for s in self._external_sessions.values() if isinstance(s, GuardedSession)]

    def session_of(self, session_id: ua.NodeId) -> GuardedSession | None:
        """A client's session by its id."""
        return next((session for session in self.sessions() if session.session_id == session_id), None)

    def require_room(self, *, logged_in: bool, session: GuardedSession | None = None) -> None:
        """Raise ServiceError when there is no place for one session more; anonymous ones leave some for people."""
        held = [other for other in self.sessions() if other is not session]
        most = self.limits.sessions
        if logged_in:
            held = [other for other in held if other.is_activated() and not other.person.name]
            most = max(1, most - limits.KEPT_FOR_PEOPLE)
        if len(held) >= most:
            raise ServiceError(StatusCodes.BadTooManySessions)

    def welcome(self, processor: GuardedProcessor) -> bool:
        """This client's certificate and account are still good."""
        session, certificate = processor.session, processor.certificate
        if session is not None and not self.logins.still_welcome(session.person):
            return False
        return certificate is None or self.pki.refusal(certificate, datetime.now(UTC)) is None

    def decrypt_user_token(self, isession: Any, token: ua.UserNameIdentityToken) -> tuple[str, str]:
        """Name and password. Raises ValueError; the library takes a recorded one a second time."""
        name, secret = str(token.UserName or ""), token.Password or b""
        if token.EncryptionAlgorithm:
            decrypt = _OAEP.get(token.EncryptionAlgorithm)
            if decrypt is None or self.private_key is None:
                raise ValueError("how the password is encrypted is not accepted")
            plain = decrypt(self.private_key, secret)
            length, nonce = unpack_from("<I", plain)[0], isession.nonce
            if plain[4 + length - len(nonce) : 4 + length] != nonce:
                raise ValueError("the password was not encrypted for this session")
            secret = plain[4 : 4 + length - len(nonce)]
        return name, secret.decode("utf-8") if isinstance(secret, bytes) else str(secret)


class GuardedServer(Server):
    """The server of the status process."""

    iserver: GuardedInternalServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, settings: StatusSettings, note: Callable[[Noted], object], nodes: Nodes | None = None) -> None:
        decoding.harden()
        super().__init__(iserver=GuardedInternalServer(settings, note, nodes))
        self._settings = settings
        self.limits = TransportLimits(
            limits.LARGEST_CHUNK, limits.LARGEST_CHUNK, limits.MOST_CHUNKS, limits.LARGEST_MESSAGE
        )

    async def init(self, shelf_file: Any = None) -> None:
        """Load the standard address space, the certificate, and say what is bounded. Raises ConfigError."""
        settings = self._settings
        await super().init(shelf_file)
        uri = application_uri(settings.station)
        await self.set_application_uri(uri)
        self.set_endpoint(settings.endpoint)
        self.set_server_name(f"Linegate {settings.station}")
        self.application_type = ua.ApplicationType.Server
        certificate, key = settings.certificate, settings.private_key
        if certificate is None or key is None:
            certificate, key = self.iserver.pki.own(uri, f"Linegate {settings.station}")
        try:
            await self.load_certificate(certificate)
            await self.load_private_key(key)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(str(certificate), "status.certificate", key.name, f"cannot be used: {error}") from error
        tokens: list[type] = [ua.UserNameIdentityToken]
        if settings.anonymous == "read":
            tokens.append(ua.AnonymousIdentityToken)
        self.set_identity_tokens(tokens)
        policies = [_POLICY_TYPES[name] for name in settings.policies]
        self.set_security_policy([*policies, *([ua.SecurityPolicyType.NoSecurity] if settings.unsecured else [])])
        await self._say_limits()
        await self.iserver.audit.build(self.iserver)

    async def start(self) -> None:
        """Listen, with guarded connections."""
        await self._setup_server_nodes()
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = GuardedBinaryServer(self.iserver, host or "", port or 0, self.limits)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()

    async def _say_limits(self) -> None:
        for name, most in (
            ("MaxNodesPerRead", limits.NODES_PER_READ),
            ("MaxNodesPerWrite", limits.NODES_PER_WRITE),
            ("MaxNodesPerBrowse", limits.NODES_PER_BROWSE),
            ("MaxNodesPerMethodCall", limits.METHODS_PER_CALL),
            ("MaxNodesPerHistoryReadData", limits.NODES_PER_HISTORY),
            ("MaxNodesPerTranslateBrowsePathsToNodeIds", limits.NODES_PER_TRANSLATE),
            ("MaxMonitoredItemsPerCall", limits.ITEMS_PER_CALL),
        ):
            number = getattr(ObjectIds, f"Server_ServerCapabilities_OperationLimits_{name}")
            await self.get_node(ua.NodeId(ua.Int32(number))).write_value(ua.Variant(most, ua.VariantType.UInt32))


def application_uri(station: str) -> str:
    """The station's name in the world of OPC UA; its certificate holds it."""
    return f"urn:linegate:{station.replace(' ', '-')}"


def quieten() -> None:
    """The library tells each odd packet as an error with a stack: under attack that would be the attack."""
    logging.getLogger("asyncua").setLevel(logging.WARNING)
    # A handler's filter also sees what the loggers below log; a logger's would not.
    handler = logging.StreamHandler()
    handler.addFilter(_Throttle())
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)


class _Throttle(logging.Filter):
    """At most PLENTY records in PERIOD_S; the first one after that says how many were left out."""

    PLENTY, PERIOD_S = 30, 10.0

    def __init__(self) -> None:
        super().__init__()
        self._period, self._count, self._left_out = -1, 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        period = int(time.monotonic() / self.PERIOD_S)
        if period != self._period:
            self._period, self._count = period, 0
        self._count += 1
        if self._count > self.PLENTY:
            self._left_out += 1
            return False
        if self._left_out:
            record.msg, self._left_out = f"{record.msg} ({self._left_out} more were left out before)", 0
        return True


class _OneLine(logging.Formatter):
    """No stacks: a hostile packet is not worth fifty lines."""

    def formatException(self, ei: Any) -> str:
        return f"{ei[0].__name__ if ei and ei[0] else ''}: {str(ei[1])[:200] if ei else ''}"
