"""`linegate users` and `linegate trust`, as a person at a terminal uses them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from controller.certificates import make_certificate, thumbprint
from controller.check import check_station
from controller.cli import main
from controller.config import load_station
from controller.sim.workspace import make_workspace
from controller.status.security.pki import Pki
from controller.status.security.users import UsersFile, matches


@pytest.fixture
def station(tmp_path: Path) -> Path:
    return make_workspace(
        tmp_path / "s", name="s1", belt="b", plc_address="opc.tcp://127.0.0.1:4840/plc", image_budget_mb=10
    ).station


def users(station: Path, *arguments: str) -> int:
    return main(["users", *arguments, "--station", str(station)])


def trust(station: Path, *arguments: str) -> int:
    return main(["trust", *arguments, "--station", str(station)])


def test_people_are_added_listed_changed_and_removed(
    station: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def typed(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    typed("a long enough one\n")
    assert users(station, "add", "anna", "--role", "engineer", "--role", "maintenance", "--password-stdin") == 0
    typed("a long enough one\n")
    assert users(station, "add", "anna", "--role", "engineer", "--password-stdin") == 2
    typed("short\n")
    assert users(station, "add", "bert", "--role", "operator", "--password-stdin") == 2
    capsys.readouterr()
    assert users(station, "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "anna", "roles": ["engineer", "maintenance"]}]
    typed("quite another one\n")
    assert users(station, "passwd", "anna", "--password-stdin") == 0
    account = UsersFile(load_station(station).users_path).accounts()["anna"]
    assert matches(account, "quite another one")
    assert users(station, "remove", "anna") == 0
    assert users(station, "remove", "anna") == 1
    assert users(station, "list") == 0


def test_no_command_takes_a_password_as_an_argument(station: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        users(station, "add", "anna", "--role", "engineer", "--password", "visible to all")
    assert refused.value.code == 2


def test_certificates_are_trusted_listed_and_rejected(
    station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pki = Pki(load_station(station).pki_path)
    pki.open()
    der, _ = make_certificate("urn:scada", "scada", server=False)
    (pki.rejected / f"{thumbprint(der)}.der").write_bytes(der)
    assert trust(station, "add", thumbprint(der)[:6]) == 0
    assert trust(station, "add", "abcdef") == 1
    assert trust(station, "reject", thumbprint(der)) == 0
    assert trust(station, "reject", thumbprint(der)) == 1
    file = tmp_path / "scada.der"
    file.write_bytes(der)
    assert trust(station, "add", str(file)) == 0
    file.write_bytes(b"no certificate")
    assert trust(station, "add", str(file)) == 2
    capsys.readouterr()
    assert trust(station, "list", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["thumbprint"], row["uris"], row["trusted"]) == (thumbprint(der), ["urn:scada"], True)


@pytest.mark.parametrize("command", ["users", "trust"])
def test_the_commands_help_with_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "example" in text
    assert "exit codes" in text


@pytest.mark.parametrize(
    ("old", "new", "key", "cure"),
    [
        ("opc.tcp://127.0.0.1:", "opc.tcp://0.0.0.0:", "status.allow_unsecured_loopback", "127.0.0.1"),
        ("allow_unsecured_loopback = true", "policies = []", "status", "at least one of"),
        ('anonymous = "read"', 'anonymous = "write"', "status.anonymous", "off"),
        ('anonymous = "read"', 'certificate = "cert.der"', "status", "belong together"),
        ('anonymous = "read"', 'policies = ["None"]', "status.policies.0", "Basic256Sha256"),
        ('anonymous = "read"', "limits = { sessions = 0 }", "status.limits.sessions", "greater than or equal"),
        ('anonymous = "read"', 'certificate = "c.der"\nprivate_key = "k.pem"', "status.certificate", "no such file"),
    ],
)
def test_what_would_open_the_station_is_refused(station: Path, old: str, new: str, key: str, cure: str) -> None:
    text = station.read_text()
    head, _, status = text.partition("[status]")
    assert old in status
    station.write_text(head + "[status]" + status.replace(old, new, 1))
    problems = list(check_station(station))
    assert [p for p in problems if p.key == key and cure in p.cure], problems


def test_a_users_file_that_others_can_read_is_a_problem(station: Path) -> None:
    path = load_station(station).users_path
    path.parent.mkdir(parents=True)
    path.write_text('{"users": {}}')
    path.chmod(0o644)
    (problem,) = check_station(station)
    assert problem.key == "status.users_file"
