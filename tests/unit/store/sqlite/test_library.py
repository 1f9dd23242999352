"""Which SQLite a process uses, and that its two libraries are the same to the store."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pinocchio_core.store.sqlite.library import PythonLibrary, connected, library

CHOSEN = "from pinocchio_core.store.sqlite.library import library; print(library().name)"
WITHOUT_APSW = f"import sys; sys.modules['apsw'] = None; {CHOSEN}"


def chosen(variable: str | None, code: str = CHOSEN) -> tuple[int, str]:
    """What a new process chooses: its exit code and what it said last."""
    environment = {} if variable is None else {"PINOCCHIO_SQLITE": variable}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout or done.stderr).splitlines()[-1]


def newer() -> str:
    """The library with the newer SQLite of those that are installed."""
    try:
        from pinocchio_core.store.sqlite.apsw_library import ApswLibrary
    except ImportError:
        return "python"
    return "apsw" if ApswLibrary.version > PythonLibrary.version else "python"


@pytest.mark.parametrize("variable", [None, "", "auto"])
def test_unless_told_otherwise_the_newer_sqlite_is_used(variable):
    assert chosen(variable) == (0, newer())


def test_without_apsw_pythons_own_is_used():
    assert chosen("auto", WITHOUT_APSW) == chosen("python") == (0, "python")


def test_apsw_that_is_asked_for_and_not_there_is_an_error_and_not_python():
    code, said = chosen("apsw", WITHOUT_APSW)
    assert code == 1
    assert said.endswith("PINOCCHIO_SQLITE asks for apsw, which is not installed")


def test_a_value_that_is_none_is_an_error():
    code, said = chosen("newest")
    assert code == 1
    assert said.endswith("PINOCCHIO_SQLITE is 'newest'")


def test_rows_with_text_that_is_none_are_read_with_escapes_and_blobs_stay(path: Path) -> None:
    with connected(path, mode="rwc") as connection:
        connection.execute("CREATE TABLE t (a, b)")
        connection.execute("INSERT INTO t VALUES (CAST(x'ff61' AS TEXT), x'ff'), (NULL, 7), (2.5, 'é')")
        sql = "SELECT a, b, a FROM t WHERE b != ? ORDER BY rowid"
        with pytest.raises(Exception, match=r"decode") as caught:
            connection.execute(sql, ("",)).fetchall()
        assert library().is_broken_text(caught.value)
        rows = library().rows_of_broken_text(connection, sql, ("",))
        assert rows == [("\\xffa", b"\xff", "\\xffa"), (None, 7, None), (2.5, "é", 2.5)]
        assert connection.execute("SELECT b FROM t WHERE a IS NULL").fetchall() == [(7,)]


def test_changed_counts_the_rows_of_the_statement(path: Path) -> None:
    with connected(path, mode="rwc") as connection:
        connection.execute("CREATE TABLE t (a)")
        assert library().changed(connection, "INSERT INTO t VALUES (?), (?)", (1, 2)) == 2
        assert library().changed(connection, "UPDATE t SET a = 3 WHERE a = ?", (9,)) == 0


def test_errors_have_sqlites_names(path: Path) -> None:
    with connected(path, mode="rwc") as one, connected(path, mode="rw", timeout_s=0) as two:
        one.execute("CREATE TABLE t (a UNIQUE)")
        one.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(library().errors) as caught:
            one.execute("INSERT INTO t VALUES (1)")
        assert library().error_name(caught.value) == "SQLITE_CONSTRAINT_UNIQUE"
        one.execute("BEGIN EXCLUSIVE")
        with pytest.raises(library().errors) as caught:
            two.execute("SELECT * FROM t").fetchall()
        assert library().error_name(caught.value) == "SQLITE_BUSY"
    assert library().error_name(ValueError("x")) is None


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_file_that_is_not_there_is_made_only_where_that_is_asked_for(tmp_path: Path, mode) -> None:
    def look() -> None:
        with connected(tmp_path / "é?#%.db", mode=mode) as connection:
            connection.execute("PRAGMA user_version").fetchall()

    with pytest.raises(library().errors):
        look()
    assert not list(tmp_path.iterdir())


def test_a_copy_into_a_database_that_stays_locked_is_given_up_and_changes_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    with connected(source, mode="rwc") as connection:
        connection.execute("CREATE TABLE new (a)")
    with connected(target, mode="rwc") as other:
        other.execute("CREATE TABLE old (a)")
        other.execute("BEGIN IMMEDIATE")
        with connected(source) as reader, connected(target, mode="rw", timeout_s=0.05) as writer:
            with pytest.raises(library().errors) as caught:
                library().copy(reader, writer)
            assert library().error_name(caught.value) == "SQLITE_BUSY"
        other.execute("ROLLBACK")
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("old",)]


def test_a_connection_may_be_closed_by_another_thread(path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    connection = library().open(f"file:{path}", timeout_s=1)
    with ThreadPoolExecutor(1) as threads, closing(connection):
        threads.submit(connection.execute, "CREATE TABLE t (a)").result()
        threads.submit(connection.execute, "INSERT INTO t VALUES (1)").result()
    with pytest.raises(Exception, match="closed"):
        connection.execute("SELECT 1")
