"""Accounts, certificates, penalties, roles, history ring: the parts of the status server's security by themselves."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.certificates import leaf, make_certificate, thumbprint
from controller.errors import ConfigError
from controller.status.access import Role, permits
from controller.status.history import HISTORIC, History, Ring
from controller.status.security import pki as pki_module
from controller.status.security.penalty import LONGEST_S, MOST_PLACES, Penalties
from controller.status.security.pki import MOST_REJECTED, PERIOD_S, PLENTY, Pki, Refused
from controller.status.security.users import NOBODY, UsersFile, make_account, matches

PASSWORD = "correct horse 42"
NOW = datetime.now(UTC)


def test_an_account_matches_its_password_and_nothing_else() -> None:
    account = make_account("anna", PASSWORD, frozenset({Role.ENGINEER}))
    assert matches(account, PASSWORD)
    assert not matches(account, PASSWORD + " ")
    assert not matches(account, "x" * 5000)
    assert not matches(NOBODY, "")
    other = make_account("bert", PASSWORD, frozenset({Role.ENGINEER}))
    assert other.digest != account.digest


@pytest.mark.parametrize(
    ("name", "password", "roles"),
    [
        ("", PASSWORD, {Role.OBSERVER}),
        ("a b", PASSWORD, {Role.OBSERVER}),
        ("a", "short", {Role.OBSERVER}),
        ("a", PASSWORD, set()),
    ],
)
def test_an_account_that_is_none_is_refused(name: str, password: str, roles: set[Role]) -> None:
    with pytest.raises(ValueError, match=r"name|password|role"):
        make_account(name, password, frozenset(roles))


def test_the_users_file_holds_no_password_is_its_owners_and_is_read_anew(tmp_path: Path) -> None:
    file, reader = UsersFile(tmp_path / "users.json"), UsersFile(tmp_path / "users.json")
    assert reader.accounts() == {}
    file.put(make_account("anna", PASSWORD, frozenset({Role.OPERATOR})))
    assert PASSWORD not in file.path.read_text()
    assert reader.accounts()["anna"].roles == {Role.OPERATOR}
    assert file.remove("anna")
    assert not file.remove("anna")
    assert reader.accounts() == {}


@pytest.mark.skipif(os.name != "posix", reason="rights of files are POSIX")
def test_a_users_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = UsersFile(tmp_path / "users.json")
    file.put(make_account("anna", PASSWORD, frozenset({Role.OPERATOR})))
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.path.chmod(0o640)
    with pytest.raises(ConfigError) as refused:
        UsersFile(file.path).accounts()
    assert refused.value.key == "status.users_file"


@pytest.mark.parametrize(
    "text", ["", "{}", '{"users": {"a": {}}}', '{"users": {"a": {"roles": ["king"], "salt": "", "scrypt": ""}}}']
)
def test_a_damaged_users_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as refused:
        UsersFile(path).accounts()
    assert "damaged" in refused.value.cure


def test_strangers_are_kept_for_a_person_to_look_at_but_not_without_end(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.open()
    der, _ = make_certificate("urn:a", "a", server=False)
    assert pki.refusal(der, NOW) is Refused.STRANGER
    assert [c.uris for c in pki.certificates()] == [("urn:a",)]
    pki.trust(der)
    assert pki.refusal(der, NOW) is None
    assert pki.refusal(der, NOW + timedelta(days=4000)) is Refused.EXPIRED
    assert pki.refusal(b"nonsense", NOW) is Refused.UNREADABLE
    assert pki.distrust(thumbprint(der)[:10]) is not None
    assert pki.refusal(der, NOW) is Refused.STRANGER
    for number in range(MOST_REJECTED + 20):
        (pki.rejected / f"{number:064x}.der").write_bytes(b"x")
    other, _ = make_certificate("urn:b", "b", server=False)
    pki.refusal(other, NOW)
    assert len(list(pki.rejected.glob("*.der"))) == MOST_REJECTED
    assert pki.find_rejected(thumbprint(other)) == other


def test_a_flood_of_strangers_does_not_keep_the_disk_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pki = Pki(tmp_path)
    pki.open()
    monkeypatch.setattr(pki_module, "thumbprint", lambda der: f"{next(counter):064x}")  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    now, counter = [1000.0], iter(range(10_000))
    monkeypatch.setattr(pki_module.time, "monotonic", lambda: now[0])
    der, _ = make_certificate("urn:a", "a", server=False)
    for _ in range(5 * PLENTY):
        assert pki.refusal(der, NOW) is Refused.STRANGER
    assert len(list(pki.rejected.glob("*.der"))) == PLENTY
    now[0] += PERIOD_S
    assert pki.refusal(der, NOW) is Refused.STRANGER
    assert len(list(pki.rejected.glob("*.der"))) == PLENTY + 1


def test_a_clients_own_certificate_lets_in_no_other(tmp_path: Path) -> None:
    # It says that it may sign certificates, as OPC UA wants of self-signed ones; that makes it no authority.
    pki = Pki(tmp_path)
    pki.open()
    trusted, _ = make_certificate("urn:a", "same name", server=False)
    other, _ = make_certificate("urn:a", "same name", server=False)
    pki.trust(trusted)
    assert pki.refusal(other, NOW) is Refused.STRANGER


def test_the_first_certificate_of_a_chain_is_the_clients() -> None:
    der, _ = make_certificate("urn:a", "a", server=False)
    assert leaf(der + der) == der
    assert leaf(b"") == b""


def test_failures_cost_more_and_more_for_this_place_only() -> None:
    penalties, place = Penalties(), ("10.0.0.1", "anna")
    waits = [penalties.failed(place, 100.0) for _ in range(12)]
    assert waits == sorted(waits)
    assert waits[0] == 1.0
    assert waits[-1] == LONGEST_S
    assert penalties.wait_s(place, 100.0 + LONGEST_S) == 0.0
    assert penalties.wait_s(place, 101.0) > 0
    assert penalties.wait_s(("10.0.0.2", "anna"), 100.0) == 0.0
    penalties.succeeded(place)
    assert penalties.wait_s(place, 100.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 1e6)), max_size=50))
def test_places_are_remembered_within_bounds(failures: list[tuple[int, float]]) -> None:
    penalties = Penalties()
    for number in range(MOST_PLACES + 10):
        penalties.failed((str(number), ""), 0.0)
    for number, at in failures:
        assert 1.0 <= penalties.failed((str(number), ""), at) <= LONGEST_S
    assert len(penalties._records) <= MOST_PLACES  # pyright: ignore[reportPrivateUsage]


def test_roles_include_what_they_need_and_no_more() -> None:
    assert all(permits({role}, Role.OBSERVER) for role in Role)
    assert not permits({Role.OBSERVER}, Role.OPERATOR)
    assert not permits({Role.MAINTENANCE}, Role.ENGINEER)
    assert not permits({Role.ENGINEER}, Role.MAINTENANCE)
    assert permits({Role.ENGINEER, Role.MAINTENANCE}, Role.MAINTENANCE)
    assert not permits(frozenset(), Role.OBSERVER)


@given(st.integers(1, 40), st.integers(1, 12))
def test_the_ring_keeps_the_newest_samples_in_order(count: int, size: int) -> None:
    ring = Ring(None, 1, "x", size)
    for number in range(count):
        ring.append(float(number + 1), [number * 2.0])
    times, values = ring.between(0, 0.0, 1e9)
    kept = list(range(max(0, count - size), count))
    assert list(times) == [number + 1.0 for number in kept]
    assert list(values) == [number * 2.0 for number in kept]


def test_a_clock_that_is_set_back_starts_the_ring_anew() -> None:
    ring = Ring(None, 1, "x", 4)
    for at in (10.0, 20.0, 5.0, 6.0):
        ring.append(at, [at])
    assert list(ring.between(0, 0.0, 1e9)[0]) == [5.0, 6.0]


def test_the_history_outlives_the_process_within_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "history.bin"
    first = History(path)
    first.ring.append(1000.0, [float(n) for n in range(len(HISTORIC))])
    del first
    assert path.stat().st_size == History(path).ring.bytes < 4_000_000
    times, values = History(path).ring.between(3, 0.0, 1e9)
    assert (list(times), list(values)) == ([1000.0], [3.0])
    # Another set of nodes must not read the old ones' columns.
    assert list(Ring(path, len(HISTORIC), "another layout").between(3, 0.0, 1e9)[0]) == []
