"""One open database: connections, and writes that happen as a whole or not at all."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pinocchio_core.errors import StoreReadOnly, StoreUnavailable
from pinocchio_core.store.sqlite import slow_reads
from pinocchio_core.store.sqlite.blocking import WouldBlock, no_blocking
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.sqlite.faults import faults
from pinocchio_core.store.sqlite.files import create_file
from pinocchio_core.store.sqlite.gate import gate_path
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.sqlite.write_ahead_log import LONG_FRAMES

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
connection.close()
"""


_COUNT_TO = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?) INSERT INTO t SELECT x FROM n"


@contextmanager
def locked(path: Path) -> Iterator[Callable[[], None]]:
    """Another process holds the write lock until the function is called."""
    command = [sys.executable, "-c", LOCK, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"

        def let_go() -> None:
            process.communicate("\n", timeout=30)

        try:
            yield let_go
        finally:
            if process.poll() is None:
                let_go()


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    create_file(path)
    opened = Database(parse_dsn(f"file:{path}?_journal_mode=WAL&_busy_timeout=100"))
    with opened.write():
        opened.run("CREATE TABLE t (x)")
    yield opened
    opened.close()


def values(database: Database) -> list[int]:
    return [row[0] for row in database.rows("SELECT x FROM t ORDER BY x")]


def test_write_commits_everything(database: Database) -> None:
    with database.write():
        assert database.run("INSERT INTO t VALUES (1), (2)") == 2
        assert values(database) == [1, 2]
    assert values(database) == [1, 2]


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, sqlite3.ProgrammingError])
def test_write_rolls_everything_back_when_its_block_raises(database: Database, kind: type[BaseException]) -> None:
    def fail() -> None:
        with database.write():
            database.run("INSERT INTO t VALUES (1)")
            database.run("CREATE TABLE u (x)")
            raise kind

    with pytest.raises(kind):
        fail()
    assert values(database) == []
    assert database.rows("SELECT name FROM sqlite_master") == [("t",)]
    with database.write():
        database.run("INSERT INTO t VALUES (2)")
    assert values(database) == [2]


def test_a_statement_that_is_wrong_is_our_own_fault_and_rolls_back(database: Database) -> None:
    def fail() -> None:
        with database.write():
            database.run("INSERT INTO t VALUES (1)")
            database.run("INSERT INTO missing VALUES (1)")

    with pytest.raises(faults(), match="no such table: missing"):
        fail()
    assert values(database) == []


def test_a_statement_that_is_wrong_is_not_its_own_cause(database: Database) -> None:
    """Whoever follows the chain of causes would follow it forever."""
    with pytest.raises(faults(), match="no such table: missing") as caught:
        database.rows("SELECT * FROM missing")
    assert caught.value.__cause__ is not caught.value


def test_only_the_thread_that_writes_sees_what_is_not_committed_yet(database: Database) -> None:
    seen: list[list[int]] = []

    def look() -> None:
        seen.append(values(database))

    with database.write():
        database.run("INSERT INTO t VALUES (1)")
        look()
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(30)
    look()
    assert seen == [[1], [], [1]]


def test_every_connection_has_the_pragmas_of_the_dsn(path: Path) -> None:
    create_file(path)
    database = Database(parse_dsn(f"file:{path}?_journal=WAL&_fk=1&_sync=FULL&_cache_size=-300"))
    names = ("journal_mode", "foreign_keys", "synchronous", "cache_size", "trusted_schema")
    seen: list[list[object]] = []

    def look() -> None:
        seen.append([database.rows(f"PRAGMA {name}")[0][0] for name in names])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(30)
    look()
    database.close()
    assert seen == [["wal", 1, 2, -300, 0]] * 2


def test_a_closed_database_is_not_opened_again_by_a_thread_that_comes_late(database: Database) -> None:
    inside, closing = threading.Event(), threading.Event()

    def write() -> None:
        with database.write():
            inside.set()
            closing.wait(60)
            database.run("INSERT INTO t VALUES (1)")

    thread = threading.Thread(target=write)
    thread.start()
    assert inside.wait(60)
    closing.set()
    database.close()
    thread.join(60)
    for use in (lambda: values(database), lambda: database.group.run(lambda: database.run("DELETE FROM t"))):
        with pytest.raises(StoreUnavailable, match="was closed"):
            use()
    with connected(database.dsn.path, mode="ro") as other:
        assert other.execute("SELECT x FROM t").fetchall() == [(1,)]


@pytest.mark.parametrize("parameter", ["mode=ro", "mode=rw"])
def test_reads_of_one_moment_see_no_later_writes_and_hold_nobody(database: Database, parameter: str) -> None:
    reading = Database(parse_dsn(f"file:{database.dsn.path}?{parameter}"))
    try:
        with reading.one_moment():
            before = values(reading)
            with database.write():
                database.run("INSERT INTO t VALUES (77)")
            assert values(reading) == before
        assert values(reading) == [*before, 77]
        with pytest.raises(LookupError), reading.one_moment():
            raise LookupError
        assert values(reading) == [*before, 77]
    finally:
        reading.close()


@pytest.mark.parametrize("parameter", ["mode=ro", "immutable=1", "_query_only=1"])
def test_there_is_no_stillness_of_a_database_that_is_only_read(database: Database, parameter: str) -> None:
    reading, ran = Database(parse_dsn(f"file:{database.dsn.path}?{parameter}")), []
    try:
        with pytest.raises(StoreReadOnly, match="nobody can be kept from writing it"), reading.stillness():
            ran.append(1)
    finally:
        reading.close()
    assert not ran


def test_stillness_waits_for_readers(path: Path) -> None:
    create_file(path)
    database, done = Database(parse_dsn(f"file:{path}?_journal=WAL&_busy_timeout=60000")), []

    def be_still() -> None:
        with database.stillness():
            done.append(path.with_name(f"{path.name}-wal").stat().st_size)

    with database.write():
        database.run("CREATE TABLE t (x)")
    with connected(path) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
        with database.write():
            database.run("INSERT INTO t VALUES (1)")
        thread = threading.Thread(target=be_still)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        reader.execute("COMMIT")
        thread.join(60)
    assert done == [0]
    database.close()


def test_a_read_that_finds_the_database_locked_waits_for_the_busy_timeout_or_not_at_all(path: Path) -> None:
    create_file(path)
    database = Database(parse_dsn(f"file:{path}?_journal=DELETE&_busy_timeout=70"))
    with pytest.raises(WouldBlock), no_blocking():
        database.rows("SELECT 1")
    assert database.rows("SELECT 1") == [(1,)]
    with no_blocking():
        assert database.rows("SELECT 1") == [(1,)]
    with connected(path, mode="rw") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(WouldBlock), no_blocking():
            database.rows("SELECT name FROM sqlite_master")
        with pytest.raises(StoreUnavailable, match="locked"):
            database.rows("SELECT name FROM sqlite_master")
        other.execute("ROLLBACK")
    assert database.rows("SELECT name FROM sqlite_master") == []
    database.close()


def test_a_read_that_had_to_wait_shows_broken_text_with_escapes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_file(path)
    with connected(path, mode="rw") as other:
        other.execute("CREATE TABLE t AS SELECT CAST(x'61ff' AS TEXT) AS broken")
    database = Database(parse_dsn(f"file:{path}?_journal=DELETE"))
    assert database.rows("SELECT 1") == [(1,)]
    with connected(path, mode="rw") as other:
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(slow_reads, "about_to_block", lambda: other.execute("ROLLBACK"))
        assert database.rows("SELECT broken FROM t") == [("a\\xff",)]
    database.close()


def test_a_change_for_which_the_disk_is_too_small_is_told_so_and_leaves_nothing(database: Database) -> None:
    pages = database.rows("PRAGMA page_count")[0][0]
    database.connect().execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        database.group.run(lambda: database.run(_COUNT_TO, (10_000,)))
    assert database.group.run(lambda: database.run("INSERT INTO t VALUES (1)")) == 1
    assert values(database) == [1]


@pytest.mark.parametrize(("parameter", "expected"), [("", -12000), ("?_cache_size=-100", -100), ("?_cache_size=7", 7)])
def test_every_connection_keeps_as_much_of_the_file_as_the_dsn_says(path: Path, parameter: str, expected: int) -> None:
    create_file(path)
    database = Database(parse_dsn(f"file:{path}{parameter}"))
    assert database.rows("PRAGMA cache_size") == [(expected,)]
    with database.write():
        assert database.rows("PRAGMA cache_size") == [(expected,)]
    database.close()


def test_a_long_log_is_brought_into_the_main_file_when_the_next_write_begins(database: Database, path: Path) -> None:
    with database.write():
        database.run(_COUNT_TO, (1000,))
    empty = path.stat().st_size
    with database.write():
        assert path.stat().st_size > empty
        assert len(values(database)) == 1000


def test_writes_without_a_pause_do_not_make_the_log_grow(database: Database, path: Path) -> None:
    with database.write():
        database.run(_COUNT_TO, (500,))
    for _ in range(2 * LONG_FRAMES):
        with database.write():
            database.run("UPDATE t SET x = x + 1 WHERE rowid = 1")
    assert path.with_name(f"{path.name}-wal").stat().st_size < 4096 * LONG_FRAMES


def test_a_reader_sees_what_another_connection_committed(database: Database, path: Path) -> None:
    other = Database(parse_dsn(f"file:{path}"))
    assert values(other) == []
    with database.write():
        database.run("INSERT INTO t VALUES (1)")
        assert values(other) == []
    assert values(other) == [1]
    other.close()


def test_write_gives_up_when_another_process_holds_the_lock_and_works_when_it_is_gone(
    database: Database, path: Path
) -> None:
    def insert() -> None:
        with database.write():
            database.run("INSERT INTO t VALUES (1)")

    with locked(path) as let_go:
        with pytest.raises(StoreUnavailable, match="the database is locked") as caught:
            insert()
        assert caught.value.retry_after_s >= 1
        assert values(database) == []
        let_go()
        insert()
    assert values(database) == [1]


@pytest.mark.parametrize("parameter", ["mode=ro", "immutable=1", "_query_only=1"])
def test_a_database_that_is_opened_read_only_refuses_writes_and_reads_on(
    database: Database, path: Path, parameter: str
) -> None:
    with database.write():
        database.run("INSERT INTO t VALUES (1)")
    database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    reader = Database(parse_dsn(f"file:{path}?{parameter}"))
    assert reader.read_only
    with pytest.raises(StoreReadOnly, match="the profile store is read-only"), reader.write():
        pytest.fail("it let somebody write")
    assert values(reader) == [1]
    reader.close()


def test_a_database_in_memory_is_one_for_all_threads_of_a_program() -> None:
    database, other = Database(parse_dsn(":memory:")), Database(parse_dsn(":memory:"))
    with database.write():
        database.run("CREATE TABLE t (x)")
    seen: list[list[int]] = []
    thread = threading.Thread(target=lambda: seen.append(values(database)))
    thread.start()
    thread.join(30)
    assert seen == [[]]
    assert other.rows("SELECT name FROM sqlite_master") == []
    database.close()
    other.close()


def test_close_closes_the_connections_of_all_threads_and_empties_the_log(database: Database, path: Path) -> None:
    thread = threading.Thread(target=lambda: values(database))
    thread.start()
    thread.join(30)
    with database.write():
        database.run("INSERT INTO t VALUES (1)")
    assert path.with_name("profiles.db-wal").stat().st_size > 0
    database.close()
    assert not path.with_name("profiles.db-wal").exists()
    assert not path.with_name("profiles.db-shm").exists()


def test_create_file_makes_file_and_folders_once(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "profiles.db"
    assert create_file(path) is True
    assert create_file(path) is False
    assert path.stat().st_size == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in (path.parent, path.parent.parent)} == {0o700}
    assert gate_path(path) == tmp_path / "a" / "b" / "profiles.db.lock"
