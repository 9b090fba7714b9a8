"""The OPC UA link and servers that ask for certificates, names and passwords."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from asyncua import ua

from controller.certificates import make_certificate, thumbprint, write_pair
from controller.drivers.plc import opcua_channel
from controller.drivers.plc.opcua import OpcUaPlc, OpcUaPlcSettings
from controller.drivers.plc.opcua_security import SecuritySettings
from controller.errors import ConfigError, DeviceTimeout
from statemachines.vocabulary import MS, Action, Answer, Mode, Ns, Reason, Severity, Verdict
from tests.contract.secured_server import Gate, SecuredTagServer, plc_certificate, trust
from tests.contract.tag_server import FreezingProxy, TagServerSettings, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = TagServerSettings(depth=2)
ANSWER = Answer(2, 17, 1, 2, Action.PASS, Verdict.OK, Reason.DECIDED, 0, Severity.NONE, 0, 0.5, 900, Mode.ALERT)
PASSWORD = "größer als ein Wort"


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


@pytest.fixture(scope="module")
def plc_pair() -> tuple[bytes, bytes]:
    return plc_certificate()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The station's certificate and key, made once for all tests here."""
    folder = tmp_path_factory.mktemp("own")
    der, pem = make_certificate("urn:test:station", "Linegate", server=False)
    write_pair(folder / "cert.der", der, folder / "key.pem", pem)
    return folder / "cert.der", folder / "key.pem"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def plc(plc_pair: tuple[bytes, bytes], own: tuple[Path, Path]) -> AsyncIterator[SecuredTagServer]:
    """A PLC that offers everything and trusts this station, its user and its user's certificate."""
    certificate = own[0].read_bytes()
    gate = Gate(
        certificate=plc_pair,
        users={"linegate": PASSWORD},
        user_certificates=[certificate],
        stations=[certificate],
    )
    async with SecuredTagServer(gate, SMALL) as made:
        yield made


@pytest.fixture
def pki(tmp_path: Path, plc_pair: tuple[bytes, bytes]) -> Path:
    """A PKI folder in which the PLC is trusted."""
    trust(tmp_path, plc_pair[0])
    return tmp_path


def link(server: SecuredTagServer, security: SecuritySettings, **changes: Any) -> OpcUaPlc:
    return OpcUaPlc(OpcUaPlcSettings(server.endpoint, depth=2, security=security, **changes))


def secured(pki: Path, own: tuple[Path, Path], **changes: Any) -> SecuritySettings:
    usual: dict[str, Any] = {"policy": "Basic256Sha256", "pki_dir": pki, "certificate": own[0], "private_key": own[1]}
    return SecuritySettings(**(usual | changes))


async def refusal(made: OpcUaPlc) -> ConfigError:
    """Why it does not connect; and it must not be connected then."""
    with pytest.raises(ConfigError) as caught:
        await made.connect(within(5000))
    return caught.value


async def works(made: OpcUaPlc, server: SecuredTagServer) -> None:
    """Read, answer and see the answer on the PLC."""
    await made.connect(within(5000))
    await server.set("TriggerSeq", 7)
    assert (await made.read([2], within(1000))).head.trigger_seq == 7
    await server.set("Result[1].ResultSeq", 0)
    await made.write_answer(ANSWER, within(1000))
    assert await server.get("Result[1].ResultSeq") == 2
    assert await server.get("Result[1].Score") == 0.5
    await made.close()


@pytest.mark.parametrize("mode", ["sign", "sign_and_encrypt"])
@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"])
async def test_every_policy_carries_the_prepared_requests(
    plc: SecuredTagServer, pki: Path, own: tuple[Path, Path], policy: str, mode: str
) -> None:
    await works(link(plc, secured(pki, own, policy=policy, mode=mode)), plc)


@pytest.mark.parametrize(
    ("policy", "mode"), [("none", "sign"), ("Basic256Sha256", "sign"), ("Basic256Sha256", "sign_and_encrypt")]
)
async def test_a_user_with_a_password(
    plc: SecuredTagServer, pki: Path, own: tuple[Path, Path], policy: str, mode: str
) -> None:
    password = pki / "password"
    password.write_text(PASSWORD + "\n", encoding="utf-8")
    plc.gate.anonymous = False
    try:
        user = secured(pki, own, policy=policy, mode=mode, user_name="linegate", password_file=password)
        await works(link(plc, user), plc)
    finally:
        plc.gate.anonymous = True


async def test_a_user_with_a_certificate(plc: SecuredTagServer, pki: Path, own: tuple[Path, Path]) -> None:
    plc.gate.anonymous = False
    try:
        certificate = plc.gate.user_certificates.pop()
        user = secured(pki, own, user_certificate=own[0], user_key=own[1])
        refused = await refusal(link(plc, user))
        assert refused.key == "plc.security.user_certificate"
        plc.gate.user_certificates.append(certificate)
        await works(link(plc, user), plc)
    finally:
        plc.gate.anonymous = True


async def test_nobody_without_a_name(plc: SecuredTagServer, pki: Path, own: tuple[Path, Path]) -> None:
    plc.gate.anonymous, plc.gate.user_certificates = False, []
    try:
        refused = await refusal(link(plc, secured(pki, own)))
        assert (refused.key, refused.value) == ("plc.security.user_name", "anonymous")
        assert "give a user_name" in refused.cure
    finally:
        plc.gate.anonymous, plc.gate.user_certificates = True, [own[0].read_bytes()]


async def test_a_wrong_password_is_named_and_not_tried_again_at_once(
    plc: SecuredTagServer, pki: Path, own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLC_PASSWORD", "wrong")
    made = link(plc, secured(pki, own, user_name="linegate", password_env="PLC_PASSWORD"))
    refused = await refusal(made)
    assert (refused.key, refused.value) == ("plc.security.user_name", "linegate")
    assert "check name and password" in refused.cure
    assert "wrong" not in str(refused).split()
    asked = plc.gate.attempts
    assert str(await refusal(made)) == str(refused)
    assert plc.gate.attempts == asked


@pytest.mark.parametrize(
    ("changes", "key", "cure"),
    [
        ({"password_file": Path("nowhere")}, "password_file", "cannot be read"),
        ({"password_env": "LINEGATE_NO_SUCH_VARIABLE"}, "password_env", "is not set"),
    ],
)
async def test_a_password_that_is_not_there(
    plc: SecuredTagServer, pki: Path, own: tuple[Path, Path], changes: dict[str, Any], key: str, cure: str
) -> None:
    refused = await refusal(link(plc, secured(pki, own, user_name="linegate", **changes)))
    assert refused.key == f"plc.security.{key}"
    assert cure in refused.cure


async def test_a_password_does_not_leave_in_the_clear(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret", encoding="utf-8")
    gate = Gate(policies=(ua.SecurityPolicyType.NoSecurity,), users={"linegate": "secret"})
    async with SecuredTagServer(gate, SMALL) as server:
        user = SecuritySettings(pki_dir=tmp_path, user_name="linegate", password_file=tmp_path / "password")
        refused = await refusal(link(server, user))
    assert "in the clear" in refused.cure
    assert gate.attempts == 0


async def test_a_password_does_not_go_to_a_stranger(
    plc: SecuredTagServer, tmp_path: Path, own: tuple[Path, Path]
) -> None:
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    asked = plc.gate.attempts
    user = SecuritySettings(pki_dir=tmp_path, user_name="linegate", password_file=tmp_path / "password")
    assert "nobody trusted" in (await refusal(link(plc, user))).cure
    assert plc.gate.attempts == asked


async def test_a_server_that_nobody_trusted_is_refused_until_a_person_trusts_it(
    plc: SecuredTagServer, plc_pair: tuple[bytes, bytes], tmp_path: Path, own: tuple[Path, Path]
) -> None:
    made = link(plc, secured(tmp_path, own))
    refused = await refusal(made)
    assert refused.value == thumbprint(plc_pair[0])
    assert refused.file == str(tmp_path / "trusted")
    kept = tmp_path / "rejected" / f"{thumbprint(plc_pair[0])}.der"
    assert kept.read_bytes() == plc_pair[0]
    assert str(kept) in refused.cure
    kept.rename(tmp_path / "trusted" / kept.name)
    await works(made, plc)


async def test_a_changed_server_certificate_is_refused(
    plc: SecuredTagServer, plc_pair: tuple[bytes, bytes], tmp_path: Path, own: tuple[Path, Path]
) -> None:
    before = trust(tmp_path, plc_certificate()[0], "before")
    refused = await refusal(link(plc, secured(tmp_path, own)))
    assert (refused.file, refused.key) == (str(before), "plc.security.trusted_dir")
    assert refused.value == thumbprint(plc_pair[0])
    assert "no longer shows the certificate that was trusted" in refused.cure


async def test_a_server_certificate_that_has_expired(tmp_path: Path, own: tuple[Path, Path]) -> None:
    now = datetime.now(UTC)
    pair = plc_certificate(valid=(now - timedelta(days=10), now - timedelta(days=1)))
    path = trust(tmp_path, pair[0])
    async with SecuredTagServer(Gate(certificate=pair), SMALL) as server:
        refused = await refusal(link(server, secured(tmp_path, own)))
    assert refused.file == str(path)
    assert "expired on" in refused.cure


@pytest.mark.parametrize(("begin", "end", "why"), [(-10, -1, "expired on"), (1, 10, "is valid from")])
async def test_own_certificate_at_the_wrong_time(tmp_path: Path, begin: int, end: int, why: str) -> None:
    now = datetime.now(UTC)
    valid = (now + timedelta(days=begin), now + timedelta(days=end))
    mine, key = tmp_path / "mine.der", tmp_path / "mine.pem"
    der, pem = make_certificate("urn:x", "x", server=False, valid=valid)
    write_pair(mine, der, key, pem)
    endpoint = f"opc.tcp://127.0.0.1:{free_port()}"
    refused = await refusal(OpcUaPlc(OpcUaPlcSettings(endpoint, security=secured(tmp_path, (mine, key)))))
    assert (refused.key, refused.value) == ("plc.security.certificate", str(mine))
    assert why in refused.cure


async def test_a_station_that_the_plc_does_not_trust(plc: SecuredTagServer, pki: Path) -> None:
    """The first connect: the certificate is made, kept, and named with its thumbprint for the PLC's trust list."""
    made = link(plc, SecuritySettings(policy="Basic256Sha256", pki_dir=pki))
    refused = await refusal(made)
    certificate, key = pki / "own" / "cert.der", pki / "own" / "key.pem"
    der = certificate.read_bytes()
    assert (refused.key, refused.value) == ("plc.security.certificate", str(certificate))
    assert thumbprint(der) in refused.cure
    assert os.name == "nt" or key.stat().st_mode & 0o777 == 0o600
    cast("list[bytes]", plc.gate.stations).append(der)
    await works(made, plc)
    assert certificate.read_bytes() == der


async def test_a_policy_that_the_server_does_not_offer(
    tmp_path: Path, plc_pair: tuple[bytes, bytes], own: tuple[Path, Path]
) -> None:
    trust(tmp_path, plc_pair[0])
    gate = Gate(policies=(ua.SecurityPolicyType.Basic256Sha256_Sign,), certificate=plc_pair)
    async with SecuredTagServer(gate, SMALL) as server:
        refused = await refusal(link(server, secured(tmp_path, own)))
        assert "offers Basic256Sha256 Sign" in refused.cure
        assert (refused.key, refused.value) == ("plc.security.policy", "Basic256Sha256 SignAndEncrypt")
        await works(link(server, secured(tmp_path, own, mode="sign")), server)


async def test_a_secured_channel_is_renewed_while_it_works(
    plc: SecuredTagServer, pki: Path, own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opcua_channel, "CHANNEL_LIFETIME_MS", 400)
    made = link(plc, secured(pki, own))
    await made.connect(within(5000))
    tokens: set[int] = set()
    number = 0
    async with asyncio.timeout(20):
        while len(tokens) < 4:
            number += 1
            await made.changed(within(100))
            await made.write_status({"Heartbeat": number}, within(1000))
            await made.read([1], within(1000))
            assert await plc.get("Heartbeat") == number
            channel = made._channel  # pyright: ignore[reportPrivateUsage]
            tokens.add(channel.token_id if channel is not None else 0)
    await made.close()


async def test_a_frozen_server_on_a_secured_channel(plc: SecuredTagServer, pki: Path, own: tuple[Path, Path]) -> None:
    async with FreezingProxy(plc.port) as proxy:
        made = OpcUaPlc(OpcUaPlcSettings(proxy.endpoint, depth=2, security=secured(pki, own)))
        await made.connect(within(5000))
        proxy.freeze()
        async with asyncio.timeout(2):
            with pytest.raises(DeviceTimeout):
                await made.read([1], within(50))
            await made.close()


@pytest.mark.parametrize("broken", ["certificate", "private_key"])
async def test_files_that_are_no_certificate(pki: Path, own: tuple[Path, Path], broken: str) -> None:
    rubbish = pki / "rubbish"
    rubbish.write_bytes(b"-----BEGIN nothing")
    made = OpcUaPlc(
        OpcUaPlcSettings(f"opc.tcp://127.0.0.1:{free_port()}", security=secured(pki, own, **{broken: rubbish}))
    )
    refused = await refusal(made)
    assert (refused.key, refused.value) == (f"plc.security.{broken}", str(rubbish))


async def test_a_trusted_file_that_is_no_certificate(plc: SecuredTagServer, pki: Path, own: tuple[Path, Path]) -> None:
    (pki / "trusted" / "readme.txt").write_text("no certificate", encoding="utf-8")
    refused = await refusal(link(plc, secured(pki, own)))
    assert refused.file == str(pki / "trusted" / "readme.txt")
