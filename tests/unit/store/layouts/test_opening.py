"""Opening a database: a new one, ours, an older one; and what is refused stays as it was."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pinocchio_core.errors import DatabaseRefused, StoreReadOnly
from pinocchio_core.store.layouts.migrations import APPLICATION_ID, LATEST
from pinocchio_core.store.layouts.opening import Opened, journal_mode, open_database
from pinocchio_core.store.layouts.original import LAYOUT
from pinocchio_core.store.sqlite.dsn import dsn_of_path, parse_dsn
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.store import Store

OPEN = """
import sys
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.layouts.opening import open_database
print("ready", flush=True)
sys.stdin.readline()
opened = open_database(dsn_of_path(sys.argv[1]))
names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'profile_trigrams%' ORDER BY name"
print(opened.database.rows(names), flush=True)
opened.database.close()
"""
TABLES = (
    "[('profile_extends',), ('profile_label_moves',), ('profile_labels',), ('profile_registries',),"
    " ('profile_revisions',), ('profile_terms',), ('profile_texts',), ('profiles',), ('server_facts',),"
    " ('webhook_cursors',)]"
)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def digest(path: Path) -> str:
    """Of a file that nothing in this process has open."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_sql(path: Path, *statements: str) -> None:
    with connected(path, mode="rwc") as connection:
        for statement in statements:
            connection.execute(statement)


def opened_and_closed(text: str) -> Opened:
    opened = open_database(parse_dsn(text))
    opened.database.close()
    return opened


def ours(path: Path) -> None:
    opened_and_closed(str(path))


def test_a_new_file_and_its_folders_are_for_their_owner_alone_whatever_the_umask(
    tmp_path: Path, open_umask: None
) -> None:
    path = tmp_path / "a" / "b" / "profiles.db"
    opened = open_database(dsn_of_path(str(path)))
    files = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    opened.database.close()
    assert set(files) >= {"profiles.db", "profiles.db-wal", "profiles.db-shm"}
    assert set(files.values()) == {0o600}
    assert {each.stat().st_mode & 0o777 for each in (path.parent, path.parent.parent)} == {0o700}


def test_a_new_database_is_marked_as_ours(path: Path) -> None:
    opened = open_database(dsn_of_path(str(path)))
    assert opened.created
    assert opened.notices == ()
    assert opened.database.rows("PRAGMA application_id") == [(APPLICATION_ID,)]
    assert opened.database.rows("PRAGMA user_version") == [(LATEST,)]
    assert journal_mode(opened.database) == "wal"
    opened.database.close()


def test_a_database_that_is_opened_again_is_not_created_and_keeps_its_rows(path: Path) -> None:
    ours(path)
    run_sql(path, "INSERT INTO profile_registries (slug, payload_json) VALUES ('team', '{}')")
    opened = open_database(dsn_of_path(str(path)))
    assert not opened.created
    assert opened.notices == ()
    assert opened.database.rows("SELECT slug FROM profile_registries") == [("team",)]
    opened.database.close()


def test_a_file_of_no_bytes_becomes_a_new_store(path: Path) -> None:
    path.touch()
    opened = open_database(dsn_of_path(str(path)))
    assert opened.created
    assert Store(opened.database).registries.all() == []
    opened.database.close()


def test_an_open_umask_does_not_change_a_file_that_was_there(path: Path) -> None:
    path.touch(mode=0o640)
    path.chmod(0o640)
    ours(path)
    assert path.stat().st_mode & 0o777 == 0o640


def newer(path: Path) -> None:
    ours(path)
    run_sql(path, f"PRAGMA user_version = {LATEST + 1}")


def foreign_mark(path: Path) -> None:
    run_sql(path, "PRAGMA application_id = 0x12345678", "CREATE TABLE profile_registries (slug)")


def foreign_tables(path: Path) -> None:
    run_sql(path, "CREATE TABLE customers (id INTEGER PRIMARY KEY)", "INSERT INTO customers VALUES (1)")


def foreign_layout(path: Path) -> None:
    run_sql(path, LAYOUT, "PRAGMA user_version = 1")


def text(path: Path) -> None:
    path.write_text("slug: analyst\n" * 200)


def short_text(path: Path) -> None:
    path.write_text("hello\n")


def truncated(path: Path) -> None:
    ours(path)
    path.write_bytes(path.read_bytes()[:5000])


def truncated_header(path: Path) -> None:
    ours(path)
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ("make", "reason", "next_step"),
    [
        (
            newer,
            f"was written by a newer version of this program (layout {LATEST + 1}",
            "install that version or a newer one",
        ),
        (foreign_mark, "is a database of another program (application_id 0x12345678)", "name another file"),
        (foreign_tables, "is a database of another program", "name another file"),
        (foreign_layout, "is a database of another program", "name another file"),
        (text, "the database file is not a database", "restore it from a backup, or name another file"),
        (short_text, "the database file is not a database", "restore it from a backup, or name another file"),
        (truncated, "the database file is damaged", "restore it from a backup"),
        (truncated_header, "the database file is", "restore it from a backup"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_not_ours_is_refused_and_stays_as_it_was(
    path: Path, make: Callable[[Path], None], reason: str, next_step: str
) -> None:
    make(path)
    before = digest(path)
    with pytest.raises(DatabaseRefused) as caught:
        opened_and_closed(f"file:{path}?_journal_mode=WAL")
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert caught.value.next_step
    assert next_step in caught.value.next_step
    assert digest(path) == before
    log = path.with_name("profiles.db-wal")  # SQLite makes one to read a database that has one
    assert not log.exists() or log.stat().st_size == 0


def test_a_table_that_only_shares_the_name_is_refused_and_its_rows_stay(path: Path) -> None:
    run_sql(path, "CREATE TABLE profile_registries (name TEXT)", "INSERT INTO profile_registries VALUES ('mine')")
    command = [sys.executable, "-c", OPEN, str(path)]  # elsewhere, with a deadline: this was an endless loop once
    answer = subprocess.run(command, input="\n", capture_output=True, text=True, timeout=10, check=False)
    assert "DatabaseRefused: cannot open the database" in answer.stderr
    with connected(path, mode="rwc") as connection:
        assert connection.execute("SELECT name FROM profile_registries").fetchall() == [("mine",)]
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchall() == [(1,)]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="is a folder") as caught:
        opened_and_closed(str(tmp_path))
    assert caught.value.next_step == "name a file in it, for example profiles.db"


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseRefused, match="cannot open the database") as caught:
        opened_and_closed(str(tmp_path / "file" / "profiles.db"))
    assert "choose a path that this user can write" in str(caught.value.next_step)


@pytest.mark.parametrize("parameter", ["mode=ro", "mode=rw", "immutable=1", "_query_only=1"])
def test_nothing_is_created_where_only_an_existing_database_was_asked_for(path: Path, parameter: str) -> None:
    with pytest.raises(DatabaseRefused, match="there is no database at") as caught:
        opened_and_closed(f"file:{path}?{parameter}")
    assert caught.value.next_step == "check the path"
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("parameter", ["mode=ro", "immutable=1", "_query_only=1"])
def test_the_current_layout_opened_read_only_is_read_and_not_written(path: Path, parameter: str) -> None:
    ours(path)
    run_sql(path, "INSERT INTO profile_registries (slug, payload_json) VALUES ('team', '{}')")
    before = digest(path)
    opened = open_database(parse_dsn(f"file:{path}?{parameter}"))
    assert [row.slug for row in Store(opened.database).registries.all()] == ["team"]
    with pytest.raises(StoreReadOnly), opened.database.write():
        pytest.fail("it let somebody write")
    opened.database.close()
    assert digest(path) == before


@pytest.mark.parametrize("statement", [LAYOUT, "PRAGMA user_version = 0"])
def test_an_older_layout_opened_read_only_is_refused(path: Path, statement: str) -> None:
    run_sql(path, statement, "VACUUM")
    before = digest(path)
    with pytest.raises(DatabaseRefused, match="has an older layout and is opened read-only") as caught:
        opened_and_closed(f"file:{path}?mode=ro")
    assert "open it once with `pinocchio web-chat`" in str(caught.value.next_step)
    assert digest(path) == before


def test_a_locked_database_is_refused_with_advice(path: Path) -> None:
    run_sql(path, LAYOUT)
    with connected(path, mode="rwc") as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseRefused, match="the database is locked") as caught:
            opened_and_closed(f"file:{path}?_busy_timeout=50")
    assert caught.value.next_step == "find the program that holds it, or wait until it is done"


def test_processes_that_open_a_new_path_at_once_all_succeed_on_one_layout(tmp_path: Path) -> None:
    path = tmp_path / "new" / "profiles.db"
    command = [sys.executable, "-c", OPEN, str(path)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert answers == [(f"{TABLES}\n", "")] * 3


def test_a_database_in_memory_is_new_each_time() -> None:
    for _ in range(2):
        opened = open_database(dsn_of_path(":memory:"))
        assert opened.created
        assert opened.database.rows("PRAGMA user_version") == [(LATEST,)]
        opened.database.close()
