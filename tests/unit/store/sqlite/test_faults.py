"""What a failing database means: which failures pass by themselves, and which are ours."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import peewee
import pytest

from pinocchio_core.errors import StoreReadOnly, StoreUnavailable
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.sqlite.faults import fault_of, mapped
from pinocchio_core.store.sqlite.files import create_file
from pinocchio_core.store.sqlite.library import library


def sqlite_error(name: str) -> Exception:
    """An exception as the library of this process makes it."""
    if library().name == "apsw":
        import apsw

        return apsw.exception_for({**apsw.mapping_result_codes, **apsw.mapping_extended_result_codes}[name])
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    return error


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    create_file(path)
    opened = Database(parse_dsn(f"file:{path}?_journal_mode=WAL&_busy_timeout=100"))
    with opened.write():
        opened.run("CREATE TABLE t (x)")
        opened.run("INSERT INTO t VALUES ('before')")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("name", "words", "retry_after_s"),
    [
        ("SQLITE_BUSY", "the database is locked", 1),
        ("SQLITE_BUSY_SNAPSHOT", "the database is locked", 1),
        ("SQLITE_LOCKED_SHAREDCACHE", "the database is locked", 1),
        ("SQLITE_PROTOCOL", "the database is locked", 1),
        ("SQLITE_FULL", "the disk is full", 5),
        ("SQLITE_IOERR_WRITE", "the disk failed", 1),
        ("SQLITE_IOERR_SHMSIZE", "the disk failed", 1),
        ("SQLITE_CANTOPEN", "cannot be opened", 1),
        ("SQLITE_CORRUPT", "is damaged", 1),
        ("SQLITE_NOTADB", "is not a database", 1),
        ("SQLITE_INTERRUPT", "is being closed", 1),
    ],
)
def test_fault_of_says_what_may_work_later(name: str, words: str, retry_after_s: int) -> None:
    fault = fault_of(sqlite_error(name))
    assert isinstance(fault, StoreUnavailable)
    assert words in fault.reason
    assert name in fault.reason
    assert fault.retry_after_s == retry_after_s


@pytest.mark.parametrize("name", ["SQLITE_READONLY", "SQLITE_READONLY_DBMOVED", "SQLITE_READONLY_DIRECTORY"])
def test_fault_of_tells_a_database_that_cannot_be_written(name: str) -> None:
    assert isinstance(fault_of(sqlite_error(name)), StoreReadOnly)


@pytest.mark.parametrize("name", ["SQLITE_ERROR", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_MISUSE"])
def test_fault_of_leaves_our_own_faults_alone(name: str) -> None:
    assert fault_of(sqlite_error(name)) is None
    assert fault_of(ValueError("x")) is None


def test_fault_of_looks_through_peewees_exceptions() -> None:
    assert isinstance(fault_of(caused(peewee.OperationalError("x"), sqlite_error("SQLITE_BUSY"))), StoreUnavailable)


def test_fault_of_sees_a_failed_commit_behind_the_rollback_that_failed_too() -> None:
    full = caused(peewee.OperationalError("full"), sqlite_error("SQLITE_FULL"))
    rollback = peewee.OperationalError("cannot rollback - no transaction is active")
    rollback.__context__ = full
    fault = fault_of(rollback)
    assert isinstance(fault, StoreUnavailable)
    assert "SQLITE_FULL" in fault.reason


def test_mapped_keeps_the_cause_for_the_log() -> None:
    error = sqlite_error("SQLITE_BUSY")
    with pytest.raises(StoreUnavailable) as caught, mapped():
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [sqlite_error("SQLITE_ERROR"), ValueError("x")], ids=["sql", "other"])
def test_mapped_lets_everything_else_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, mapped():
        raise error
    assert caught.value is error
    assert error.__cause__ is not error


def test_a_full_disk_is_unavailable_and_leaves_nothing_half_written(database: Database) -> None:
    def write(pages: int) -> None:
        with database.write():
            database.run("UPDATE t SET x = 'after'")
            database.run("INSERT INTO t VALUES (zeroblob(?))", (pages * 4096,))

    used = database.rows("PRAGMA page_count")[0][0]
    database.connect().execute(f"PRAGMA max_page_count = {used + 4}").fetchall()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"the disk is full \(SQLITE_FULL\)") as caught:
            write(100)
        assert caught.value.retry_after_s == 5
        assert database.rows("SELECT x FROM t") == [("before",)]
    database.connect().execute("PRAGMA max_page_count = 1000000").fetchall()
    write(1)
    assert database.rows("SELECT count(*) FROM t WHERE typeof(x) = 'text' AND x = 'after'") == [(1,)]


def test_a_commit_that_fails_leaves_nothing_and_the_connection_usable(database: Database) -> None:
    with database.write():
        database.run("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        database.run("CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    database.connect().execute("PRAGMA foreign_keys = on")

    def orphan() -> None:
        with database.write():
            database.run("INSERT INTO child VALUES (1)")

    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
        orphan()
    assert database.rows("SELECT * FROM child") == []
    with database.write():
        database.run("INSERT INTO parent VALUES (1)")
    assert database.rows("SELECT * FROM parent") == [(1,)]
