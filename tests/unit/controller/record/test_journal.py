"""The journal: durable, never in the way, and well again by itself."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import Any

import pytest

from controller.drivers.record import schema
from controller.drivers.record.journal import SqliteJournal
from controller.drivers.record.query import JournalReader, PartFilter
from controller.errors import RecordError
from controller.ports import Record
from statemachines.commands import RecordEvent, RecordGate, RecordLate, RecordTrigger
from statemachines.vocabulary import Health, Ns, PartKey, Reason, Verdict
from tests.unit.controller.record.facts import HANGS_S, WALL, Told, ask, eventually, outcome, trigger


def make(path: Path, told: Told, **options: Any) -> SqliteJournal:
    return SqliteJournal(path, told.committed, told.reported, **options)


class Gated(sqlite3.Connection):
    """A connection whose disk hangs at COMMIT while the gate is closed."""

    gate = threading.Event()
    armed = False
    entered = threading.Event()

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT" and Gated.armed:
            Gated.entered.set()
            assert Gated.gate.wait(HANGS_S)
        return super().execute(sql, parameters)


@pytest.fixture(name="hang")
def _hang() -> Callable[[], None]:
    Gated.gate, Gated.entered, Gated.armed = threading.Event(), threading.Event(), False

    def arm() -> None:
        Gated.armed = True

    return arm


def gated(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=0.25, isolation_level=None, check_same_thread=False, factory=Gated)


def test_a_part_is_on_record_with_all_its_rows(tmp_path: Path) -> None:
    told, path = Told(), tmp_path / "journal.db"
    journal = make(path, told)
    assert journal.open().start_number == 1
    assert journal.append(trigger(1, 4711))
    told.wait(lambda: told.keys == [PartKey(7, "plc", 1)])
    assert ask(path, "SELECT part_id, recipe_hash, triggered_ns FROM triggers") == [(4711, "abcdef12", 100_000_000)]
    assert journal.append(outcome(1, Verdict.NG, 4711))
    assert journal.append(Record(WALL, RecordLate(PartKey(7, "plc", 1), Ns(5), "inferred top")))
    assert journal.append(Record(WALL, RecordGate(1, 7, 2, Ns(6))))
    assert journal.append(Record(WALL, RecordEvent(Ns(7), "mode", "anna", {"to": 3, "nan": float("nan")})))
    assert journal.close()
    columns = "verdict, answered, finding_count, defect_code, severity, captured_us, inferred_us, latency_us"
    assert ask(path, f"SELECT {columns} FROM outcomes") == [(2, 1, 2, 11, 2, 3000, None, 8000)]
    assert ask(path, "SELECT defect, x, height, length_mm FROM findings") == [
        ("dent", 5, 8, 0.4),
        ("scratch", 1, 4, 2.4),
    ]
    assert ask(path, "SELECT what FROM late") == [("inferred top",)]
    assert ask(path, "SELECT session_id, seq, outcome FROM gate") == [(7, 1, 2)]
    assert ask(path, "SELECT kind, who, detail FROM events") == [("mode", "anna", '{"to": 3, "nan": "nan"}')]
    assert told.health == []


def test_start_numbers_never_repeat_and_open_parts_are_closed_as_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = make(path, Told())
    first.open()
    for seq in (1, 2, 3):
        first.append(trigger(seq))
    first.append(outcome(2))
    assert first.close()
    told = Told()
    second = make(path, told)
    opened = second.open()
    assert (opened.start_number, opened.lost) == (2, 2)
    second.append(trigger(1, epoch=8))
    assert second.close()
    rows = ask(path, "SELECT seq, verdict, reason, action, answered, why FROM outcomes WHERE reason = ?", Reason.LOST)
    why = "station stopped before the answer was recorded"
    assert rows == [(1, 4, 21, 0, None, why), (3, 4, 21, 0, None, why)]
    assert ask(path, "SELECT kind, json_extract(detail, '$.lost') FROM events") == [("gap", 2)]
    third = make(path, Told())
    assert (third.open(at_least=50).start_number, third.close()) == (50, True)
    assert ask(path, "SELECT seq FROM outcomes WHERE epoch = 8") == [(1,)]
    fourth = make(path, Told())
    opened = fourth.open()
    assert (opened.start_number, opened.lost, fourth.close()) == (51, 0, True)


def test_rows_cannot_be_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = make(path, Told())
    journal.open()
    journal.append(trigger(1))
    journal.close()
    for sql in ("UPDATE triggers SET part_id = 9", "DELETE FROM triggers"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            ask(path, sql)


def test_append_does_little_more_than_to_queue(tmp_path: Path) -> None:
    journal = make(tmp_path / "journal.db", Told())
    journal.open()
    bare: SimpleQueue[Record] = SimpleQueue()
    appended, put = list[int](), list[int]()
    for record in [trigger(seq) for seq in range(1, 2001)]:
        began = time.perf_counter_ns()
        assert journal.append(record)
        between = time.perf_counter_ns()
        bare.put(record)
        appended.append(between - began)
        put.append(time.perf_counter_ns() - between)
    assert journal.close(20)
    # Medians, side by side: twice as long as a rule, and a commit would be a thousand times as long.
    assert median(appended) < 20 * median(put)


def test_a_hanging_disk_never_delays_append(tmp_path: Path, hang: Callable[[], None]) -> None:
    told, path = Told(), tmp_path / "journal.db"
    journal = make(path, told, opener=gated)
    journal.open()
    hang()
    journal.append(trigger(1))
    assert Gated.entered.wait(10)
    for seq in range(2, 502):
        assert journal.append(trigger(seq))
    told.wait(lambda: told.levels() == [Health.MAINTENANCE])
    assert "not answered" in told.health[0][1]
    # Whoever waited for the disk would not be here: it hangs still.
    assert told.keys == [] and journal.stats().queued == 501
    Gated.gate.set()
    told.wait(lambda: len(told.keys) == 501 and told.levels() == [Health.MAINTENANCE, Health.NORMAL])
    assert journal.close()
    assert ask(path, "SELECT count(*), max(id) FROM triggers") == [(501, 501)]


def test_close_does_not_wait_for_a_hanging_disk(tmp_path: Path, hang: Callable[[], None]) -> None:
    journal = make(tmp_path / "journal.db", Told(), opener=gated)
    journal.open()
    hang()
    journal.append(trigger(1))
    assert Gated.entered.wait(10)
    assert not journal.close(0.1)
    Gated.gate.set()


def test_a_full_queue_drops_events_first_and_raises_failure(tmp_path: Path, hang: Callable[[], None]) -> None:
    told, path = Told(), tmp_path / "journal.db"
    journal = make(path, told, opener=gated, queue_rows=20)
    journal.open()
    hang()
    journal.append(trigger(1))
    assert Gated.entered.wait(10)
    event = Record(WALL, RecordEvent(Ns(1), "session", "plc", {}))
    assert [journal.append(event) for _ in range(20)] == [True] * 18 + [False] * 2
    assert [journal.append(trigger(seq)) for seq in (2, 3, 4)] == [True, True, False]
    assert journal.stats().dropped == 3
    told.wait(lambda: Health.FAILURE in told.levels())
    Gated.gate.set()
    told.wait(lambda: told.levels()[-1] is Health.NORMAL)
    assert journal.close()
    assert ask(path, "SELECT seq FROM triggers") == [(1,), (2,), (3,)]
    assert told.levels().count(Health.FAILURE) == 1


def test_a_part_whose_trigger_was_dropped_is_listed_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = make(path, Told())
    journal.open()
    journal.append(outcome(5))
    assert journal.close()
    assert ask(path, "SELECT seq, from_outcome FROM triggers") == [(5, 1)]


def test_a_full_disk_keeps_rows_waiting_and_heals(tmp_path: Path) -> None:
    path, told = tmp_path / "journal.db", Told()
    made: list[sqlite3.Connection] = []

    def opener(where: Path) -> sqlite3.Connection:
        made.append(schema.connect(where))
        return made[-1]

    journal = make(path, told, opener=opener)
    journal.open()
    pages = made[0].execute("PRAGMA page_count").fetchone()[0]
    made[0].execute(f"PRAGMA max_page_count={pages + 1}")
    for seq in range(1, 401):
        assert journal.append(trigger(seq, "x" * 200))
    told.wait(lambda: told.levels() == [Health.MAINTENANCE])
    assert "full" in told.health[0][1] and "full" in journal.stats().last_error
    assert journal.append(outcome(1))
    made[0].execute("PRAGMA max_page_count=1000000")
    told.wait(lambda: told.levels() == [Health.MAINTENANCE, Health.NORMAL])
    assert journal.close()
    assert journal.stats().dropped == 0
    assert ask(path, "SELECT count(*), count(DISTINCT seq) FROM triggers") == [(400, 400)]
    assert len(told.keys) == 400


def test_another_process_holding_the_lock_only_delays(tmp_path: Path) -> None:
    path, told = tmp_path / "journal.db", Told()
    journal = make(path, told)
    journal.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    journal.append(trigger(1))
    told.wait(lambda: told.levels() == [Health.MAINTENANCE])
    assert "locked" in told.health[0][1]
    other.execute("ROLLBACK")
    other.close()
    told.wait(lambda: told.levels() == [Health.MAINTENANCE, Health.NORMAL] and len(told.keys) == 1)
    assert journal.close()


def test_after_io_errors_it_opens_the_file_anew(tmp_path: Path) -> None:
    path, told = tmp_path / "journal.db", Told()

    class Broken(Gated):
        broken = False

        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if Broken.broken and sql == "BEGIN IMMEDIATE":
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
                raise error
            return super().execute(sql, parameters)

    opens: list[int] = []

    def opener(where: Path) -> sqlite3.Connection:
        opens.append(1)
        if len(opens) > 1:
            Broken.broken = False
        return sqlite3.connect(where, isolation_level=None, check_same_thread=False, factory=Broken)

    journal = make(path, told, opener=opener)
    journal.open()
    Broken.broken = True
    journal.append(trigger(1))
    told.wait(lambda: len(told.keys) == 1)
    assert journal.close()
    assert len(opens) >= 2


def test_a_removed_file_is_a_failure(tmp_path: Path) -> None:
    path, told = tmp_path / "journal.db", Told()
    journal = make(path, told)
    journal.open()
    path.unlink()
    journal.append(trigger(1))
    told.wait(lambda: told.levels() == [Health.FAILURE])
    assert "put it back" in told.health[0][1]
    journal.close()


def test_unfit_facts_do_not_stand_in_the_way(tmp_path: Path) -> None:
    path, told = tmp_path / "journal.db", Told()
    journal = make(path, told)
    journal.open()
    journal.append(Record(WALL, RecordGate(2**80, 7, 2, Ns(6))))
    hostile = ["'; DROP TABLE triggers; --", "\ud800 half", "nul\0byte", "ü😀", "", "4711"]
    for seq, name in enumerate(hostile, 1):
        journal.append(trigger(seq, name))
    journal.append(trigger(7, 2**70))
    journal.append(outcome(1, score=float("nan")))
    assert journal.close()
    assert journal.stats().dropped == 1
    names = [row[0] for row in ask(path, "SELECT part_id FROM triggers ORDER BY id")]
    assert names == ["'; DROP TABLE triggers; --", "\\ud800 half", "nul\0byte", "ü😀", "", "4711", str(2**70)]
    assert ask(path, "SELECT score FROM outcomes") == [(None,)]
    assert ask(path, "SELECT kind FROM events") == [("unwritable",)]


def test_an_equal_key_loses_no_row_and_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = make(path, Told())
    journal.open()
    journal.append(trigger(1, "first"))
    journal.append(trigger(1, "second", wall=WALL - 10**15))
    assert journal.close()
    assert ask(path, "SELECT part_id FROM triggers ORDER BY id") == [("first",), ("second",)]
    assert ask(path, "SELECT kind FROM events") == [("duplicate_key",)]


def test_an_idle_journal_is_synced_checkpointed_and_settled(tmp_path: Path) -> None:
    path, told = tmp_path / "journal.db", Told()
    journal = make(path, told, fsync_ms=10)
    journal.open()
    for seq in (1, 2, 3):
        journal.append(trigger(seq))
    journal.append(outcome(1))
    eventually(lambda: ask(path, "SELECT value FROM meta WHERE name = 'settled'") == [(1,)])
    eventually(lambda: journal.stats().unsynced == 0)
    assert journal.close()
    again = make(path, Told())
    assert (again.open().lost, again.close()) == (2, True)


def test_a_newer_schema_is_refused_with_file_version_and_cure(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = make(path, Told())
    journal.open()
    journal.close()
    assert ask(path, "PRAGMA user_version") == [(schema.SCHEMA_VERSION,)]
    ask(path, f"PRAGMA user_version={schema.SCHEMA_VERSION + 1}")
    with pytest.raises(RecordError, match=rf"journal\.db.*version {schema.SCHEMA_VERSION + 1} is newer.*update"):
        make(path, Told()).open()


def test_migrations_are_applied_to_an_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    old = make(path, Told())
    old.open()
    old.append(trigger(1, "kept"))
    old.close()
    added = (*schema.MIGRATIONS, ("CREATE TABLE more (x)", "ALTER TABLE gate ADD COLUMN note TEXT"))
    monkeypatch.setattr(schema, "MIGRATIONS", added)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", len(schema.MIGRATIONS))
    new = make(path, Told())
    assert new.open().start_number == 2
    new.close()
    assert ask(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
    assert ask(path, "SELECT part_id, (SELECT count(*) FROM more) FROM triggers") == [("kept", 0)]


def test_a_journal_from_before_measurements_had_names_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        before.setattr(schema, "SCHEMA_VERSION", 1)
        old = make(path, Told())
        old.open()
        old.close()
        assert "meas_id" not in {row[1] for row in ask(path, "PRAGMA table_info(triggers)")}
    new = make(path, Told())
    new.open()
    named = trigger(1)
    assert isinstance(named.fact, RecordTrigger)
    new.append(replace(named, fact=replace(named.fact, meas_id="shift 2")))
    new.append(trigger(2))
    new.append(outcome(3))
    assert new.close()
    with JournalReader(path) as reader:
        assert [part["meas_id"] for part in reader.parts(PartFilter())] == [None, None, "shift 2"]


def test_a_failed_migration_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    old = make(path, Told())
    old.open()
    old.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE more (x)", "NO SUCH WORDS")))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", len(schema.MIGRATIONS))
    with pytest.raises(RecordError, match=r"journal\.db"):
        make(path, Told()).open()
    assert ask(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS) - 1,)]
    assert ask(path, "SELECT name FROM sqlite_master WHERE name = 'more'") == []


def test_damaged_foreign_and_unreachable_files_are_refused_with_a_cure(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"not a database at all" * 500)
    with pytest.raises(RecordError, match=r"damaged\.db.*move it"):
        make(damaged, Told()).open()
    foreign = tmp_path / "foreign.db"
    ask(foreign, "CREATE TABLE t (x)")
    with pytest.raises(RecordError, match=r"foreign\.db.*not a Linegate journal"):
        make(foreign, Told()).open()
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="check that the folder exists"):
        make(tmp_path / "file" / "journal.db", Told()).open()
