"""Queries and the command line: the right parts, in the order in which they came."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import pytest

from controller import cli_parts
from controller.drivers.record.journal import SqliteJournal
from controller.drivers.record.query import PART_FIELDS, JournalReader, PartFilter
from controller.drivers.record.rows import ImageKept
from controller.errors import RecordError
from controller.ports import Record
from statemachines.commands import RecordEvent, RecordGate, RecordLate
from statemachines.vocabulary import Ns, PartKey, Reason, Verdict
from tests.unit.controller.record.facts import MS, WALL, Told, ask, outcome, trigger

SECOND = 10**9


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """A journal of five parts; before part 3 the wall clock was set back by an hour, part 5 has no outcome yet."""
    path, told = tmp_path / "journal.db", Told()
    journal = SqliteJournal(path, told.committed, told.reported)
    journal.open()
    ids = {1: 4711, 2: "4711", 3: "=1+1", 4: "[red]\x1b[31m", 5: 5}
    for seq, name in ids.items():
        wall = WALL + seq * SECOND - (3600 * SECOND if seq >= 3 else 0)
        journal.append(trigger(seq, name, wall=wall, recipe=9 if seq == 4 else 3))
        if seq < 5:
            verdict = {2: Verdict.NG, 3: Verdict.NO_DECISION}.get(seq, Verdict.OK)
            journal.append(outcome(seq, verdict, name))
    image = tmp_path / "there.png"
    image.write_bytes(b"x")
    for file in (image, tmp_path / "gone.png"):
        journal.image_kept(ImageKept(PartKey(7, "plc", 2), "top", str(file), 1, "00", "png", WALL))
    journal.append(Record(WALL, RecordLate(PartKey(7, "plc", 2), Ns(5), "inferred side")))
    journal.append(Record(WALL, RecordGate(2, 7, 3, Ns(6))))
    journal.append(Record(WALL, RecordEvent(Ns(200 * MS), "mode", "anna", {"to": 3})))
    journal.append(Record(WALL, RecordEvent(Ns(60_000 * MS), "mode", "much later", {})))
    assert journal.close()
    return path


def seqs(path: Path, wanted: PartFilter) -> list[int]:
    with JournalReader(path) as reader:
        return [part["seq"] for part in reader.parts(wanted)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (PartFilter(), [5, 4, 3, 2, 1]),
        (PartFilter(limit=2), [5, 4]),
        (PartFilter(part_id="4711"), [2, 1]),
        (PartFilter(part_id="=1+1"), [3]),
        (PartFilter(part_id="' OR 1=1 --"), []),
        (PartFilter(verdict=Verdict.OK), [4, 1]),
        (PartFilter(reason=Reason.DEADLINE), [3]),
        (PartFilter(recipe="9"), [4]),
        (PartFilter(recipe="abcdef"), [5, 4, 3, 2, 1]),
        (PartFilter(recipe="abd0"), []),
        (PartFilter(since_ns=WALL), [2, 1]),
        (PartFilter(until_ns=WALL + 2 * SECOND, since_ns=WALL), [1]),
    ],
)
def test_filters(path: Path, wanted: PartFilter, expected: list[int]) -> None:
    assert seqs(path, wanted) == expected


def test_all_about_one_part(path: Path) -> None:
    with JournalReader(path) as reader:
        (part,) = reader.details("7/plc/2")
        assert [found["part_id"] for found in reader.details("4711")] == ["4711", 4711]
        assert reader.details("7/plc/99") == []
        assert [event["who"] for event in reader.events("mode", limit=1)] == ["much later"]
    assert (part["verdict"], part["action"], part["severity"], part["answered"]) == ("NG", "REJECT", "MAJOR", True)
    assert [finding["why"] for finding in part["findings"]][1] == "scratch 2.4 mm > 2.0 mm: major"
    assert [finding["view"] for finding in part["findings"]] == ["", "top"]
    exposed = [(frame["view"], frame["begin_us"], frame["end_us"], frame["used"]) for frame in part["frames"]]
    assert exposed == [("top", 1000, 1200, 1), ("side", 0, None, 0)]
    assert [image["present"] for image in part["images"]] == [True, False]
    assert [late["what"] for late in part["late"]] == ["inferred side"]
    assert [gated["outcome"] for gated in part["gate"]] == [3]
    assert [(event["who"], event["detail"]) for event in part["events"]] == [("anna", {"to": 3})]


def test_it_reads_while_the_station_writes_and_never_writes(path: Path) -> None:
    told = Told()
    journal = SqliteJournal(path, told.committed, told.reported)
    journal.open()
    with JournalReader(path) as reader:
        listing = reader.parts(PartFilter())
        assert next(listing)["seq"] == 5
        journal.append(trigger(6))
        told.wait(lambda: len(told.keys) == 1)
        assert [part["seq"] for part in listing] == [4, 3, 2, 1]
        assert next(reader.parts(PartFilter()))["seq"] == 6
    assert journal.close()


def test_a_missing_or_newer_journal_is_refused(path: Path) -> None:
    with pytest.raises(RecordError, match="no such journal"):
        JournalReader(path.with_name("none.db"))
    ask(path, "PRAGMA user_version=99")
    with pytest.raises(RecordError, match="newer"):
        JournalReader(path)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in which no path is broken, however long the tests' folder is called."""
    monkeypatch.setenv("COLUMNS", "1000")


def call(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    cli_parts.add_parser(parser.add_subparsers(required=True))
    return cli_parts.run(parser.parse_args(["parts", *(str(word) for word in words)]))


def test_list_for_people_and_programs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list", "--journal", path) == 0
    text = capsys.readouterr().out
    assert "4711" in text and "\x1b[31m" not in text and "[red]" in text.replace("\n", "")
    assert call("list", "--journal", path, "--verdict", "ng", "--json") == 0
    (part,) = json.loads(capsys.readouterr().out)
    assert (part["part_id"], part["time"]) == ("4711", "2027-01-15T08:00:02.000+00:00")
    assert call("list", "--journal", path, "--verdict", "unsure") == 1
    assert call("list", "--journal", path, "--verdict", "unsure", "--json") == 1


def test_show(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("show", "--journal", path, "7/plc/2") == 0
    assert "there.png" in capsys.readouterr().out.replace("\n", "")
    assert call("show", "--journal", path, "7/plc/2", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["gate"][0]["outcome"] == 3
    assert call("show", "--journal", path, "unknown") == 1


def test_export(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "parts.csv"
    assert call("export", "--journal", path, "--format", "csv", "--out", out) == 0
    with out.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["part_id"] for row in table] == ["5", "[red]\x1b[31m", "'=1+1", "4711", "4711"]
    assert tuple(table[0]) == PART_FIELDS
    assert call("export", "--journal", path) == 0
    assert [part["part_id"] for part in json.loads(capsys.readouterr().out)] == [
        5,
        "[red]\x1b[31m",
        "=1+1",
        "4711",
        4711,
    ]
    assert call("export", "--journal", path, "--part", "none") == 1
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    "words",
    [("--since", "yesterday"), ("--verdict", "great"), ("--limit", "-1"), ("--limit", str(2**70)), ("--reason", "x")],
)
def test_bad_input(path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str]) -> None:
    assert call("list", "--journal", path, *words) == 2
    assert capsys.readouterr().err.startswith("linegate parts: ")


def test_a_missing_journal_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list", "--journal", tmp_path / "none.db") == 2
    assert "none.db" in capsys.readouterr().err


def test_times() -> None:
    assert cli_parts.parse_time("2h", 10_000.0) == 2_800 * SECOND
    assert cli_parts.parse_time("2027-01-15T08:00:00+00:00", 0.0) == WALL
