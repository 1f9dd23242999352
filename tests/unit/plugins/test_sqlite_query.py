"""What a model's query gets back, and what it cannot do."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pinocchio_plugins.sqlite_connection import MAX_COLUMNS, MAX_QUERY_BYTES, MAX_VALUE_BYTES
from pinocchio_plugins.sqlite_query import CEILING, MAX_SCHEMA_CHARACTERS, READ_ONLY, Limits, answer, schema_of

LIMITS = Limits(execution_timeout_ms=60_000)
RUNAWAY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def write(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "shop %?#.db"
    write(
        path,
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, image BLOB);"
        "CREATE VIEW cheap AS SELECT name FROM item WHERE price < 2;"
        "CREATE INDEX item_name ON item (name);"
        "INSERT INTO item VALUES (1, 'tea', 1.5, x'00ff'), (2, 'two\nlines \\ é', NULL, NULL), (3, 'pot', 20, NULL);",
    )
    return str(path)


def test_rows_come_one_a_line_below_the_column_names(database: str) -> None:
    assert answer(database, "SELECT * FROM item ORDER BY id;", limits=LIMITS).splitlines() == [
        "id | name | price | image",
        "1 | tea | 1.5 | x'00ff'",
        "2 | two\\nlines \\\\ é | NULL | NULL",
        "3 | pot | 20.0 | NULL",
    ]


def test_no_rows_are_said_in_words(database: str) -> None:
    assert answer(database, "SELECT name FROM item WHERE id = 9", limits=LIMITS) == "name\n(no rows)"


@pytest.mark.parametrize(
    ("query", "last_line"),
    [
        ("WITH a AS (SELECT 7 AS x) SELECT x FROM a", "7"),
        ("VALUES (8)", "8"),
        ("SELECT name FROM cheap", "tea"),
        ("SELECT value FROM json_each('[5, 6]')", "6"),
        ("SELECT name FROM pragma_table_info('item')", "image"),
        ("PRAGMA table_info(item)", "3 | image | BLOB | 0 | NULL | 0"),
        ("SELECT count(*) FROM sqlite_master", "3"),
        ("SELECT x'" + "ab" * 40 + "'", "x'" + "ab" * 32 + "'…"),
        ("SELECT CAST(x'61ff62' AS TEXT)", "a\ufffdb"),
    ],
)
def test_reading_works_in_every_form(database: str, query: str, last_line: str) -> None:
    assert answer(database, query, limits=LIMITS).splitlines()[-1] == last_line


def test_query_plan_can_be_read(database: str) -> None:
    query = "EXPLAIN QUERY PLAN SELECT * FROM item WHERE id = 1"
    assert "SEARCH item USING INTEGER PRIMARY KEY" in answer(database, query, limits=LIMITS)


def test_full_text_tables_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    write(path, "CREATE VIRTUAL TABLE note USING fts5(body); INSERT INTO note VALUES ('tea time'), ('pot');")
    assert answer(str(path), "SELECT body FROM note WHERE note MATCH 'tea'", limits=LIMITS) == "body\ntea time"


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO item (id) VALUES (9)",
        "UPDATE item SET name = 'x'",
        "DELETE FROM item",
        "DROP TABLE item",
        "CREATE TABLE other (a)",
        "CREATE TEMP TABLE other (a)",
        "CREATE TEMP VIEW other AS SELECT 1",
        "ALTER TABLE item ADD COLUMN more",
        "REINDEX",
        "ANALYZE",
        "VACUUM",
        "BEGIN IMMEDIATE",
        "SAVEPOINT one",
        "DETACH main",
        "PRAGMA user_version = 7",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA temp_store_directory = '/'",
        "WITH a AS (SELECT 9 AS id) INSERT INTO item (id) SELECT id FROM a",
        "EXPLAIN DELETE FROM item",
        "",
        "-- nothing",
    ],
)
def test_anything_but_reading_is_refused(database: str, query: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        before = list(connection.iterdump())
        assert answer(database, query, limits=LIMITS) == READ_ONLY
        assert list(connection.iterdump()) == before


@pytest.mark.parametrize("query", ["ATTACH '{}' AS other", "VACUUM INTO '{}'"])
def test_no_other_file_is_opened_or_made(database: str, tmp_path: Path, query: str) -> None:
    other = tmp_path / "other.db"
    assert answer(database, query.format(other), limits=LIMITS) == READ_ONLY
    assert not other.exists()


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("SELECT load_extension('x')", "not authorized to use function: load_extension"),
        ("SELECT LOAD_EXTENSION('x')", "not authorized to use function"),
        ("UPDATE sqlite_master SET sql = ''", "may not be modified"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT 1; DROP TABLE item", "one statement at a time"),
        ("SELECT * FROM nope", "no such table: nope"),
        ("SELEC 1", "syntax error"),
        ("SELECT ?", "bindings"),
        ("SELECT '\0'", "null character"),
        ("SELECT '\ud800'", "not valid Unicode"),
        (f"SELECT length(randomblob({MAX_VALUE_BYTES + 1}))", "too big"),
        ("SELECT " + ",".join("1" * (MAX_COLUMNS + 1)), "too many columns"),
        ("SELECT 'a' LIKE '" + "%a" * 400 + "'", "pattern too complex"),
    ],
)
def test_errors_are_told_in_words(database: str, query: str, text: str) -> None:
    reply = answer(database, query, limits=LIMITS)
    assert reply.startswith("error: ")
    assert text in reply
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (3,)


def test_long_query_is_refused_and_long_errors_are_cut(database: str) -> None:
    assert answer(database, "SELECT 1 -- " + "x" * MAX_QUERY_BYTES, limits=LIMITS).startswith("refused: the query")
    assert len(answer(database, "SELECT " + "x" * 10_000, limits=LIMITS)) < 400


def test_wide_tables_do_not_stop_queries_on_others(tmp_path: Path) -> None:
    path = tmp_path / "wide.db"
    columns = ", ".join(f"c{number}" for number in range(300))
    write(path, f"CREATE TABLE wide ({columns}); CREATE TABLE slim (a); INSERT INTO slim VALUES (4);")
    assert answer(str(path), "SELECT a FROM slim", limits=LIMITS) == "a\n4"
    assert answer(str(path), "SELECT c299 FROM wide", limits=LIMITS) == "c299\n(no rows)"


@pytest.mark.parametrize("query", [RUNAWAY, RUNAWAY.replace("count(*)", "i") + " WHERE i < 0"])
def test_runaway_query_is_stopped_by_the_time_bound(database: str, query: str) -> None:
    reply = answer(database, query, limits=replace(LIMITS, execution_timeout_ms=50))
    assert reply == "error: stopped after 50 ms; ask for less, with WHERE or LIMIT"


def test_endless_rows_are_stopped_by_the_row_bound(database: str) -> None:
    query = RUNAWAY.replace("count(*)", "i")
    assert answer(database, query, limits=replace(LIMITS, max_rows=2)) == "i\n1\n2\n… truncated at 2 rows"


def test_as_many_rows_as_allowed_are_not_called_truncated(database: str) -> None:
    assert answer(database, "SELECT id FROM item ORDER BY id", limits=replace(LIMITS, max_rows=3)) == "id\n1\n2\n3"


def test_lines_are_bounded(database: str) -> None:
    reply = answer(database, "SELECT id FROM item ORDER BY id", limits=replace(LIMITS, max_output_lines=2))
    assert reply == "id\n1\n… truncated at 2 lines"


def test_bytes_are_bounded_and_characters_stay_whole(database: str) -> None:
    reply = answer(database, "SELECT 'éééé' AS a", limits=replace(LIMITS, max_output_bytes=5))
    assert reply == "a\né\n… truncated at 5 bytes"


@pytest.mark.parametrize("most", [1, 2, 20, 200])
def test_answer_without_its_note_fits_the_bytes(database: str, most: int) -> None:
    reply = answer(database, "SELECT * FROM item, cheap ORDER BY id", limits=replace(LIMITS, max_output_bytes=most))
    shown = reply.removesuffix(f"… truncated at {most} bytes").removesuffix("\n")
    assert len(shown.encode()) <= most


def test_missing_file_is_told_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    assert "no database that can be opened" in answer(str(path), "SELECT 1", limits=LIMITS)
    assert not path.exists()


def test_file_of_another_kind_is_told(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("no database, only a long enough text. " * 40)
    assert answer(str(path), "SELECT 1", limits=LIMITS) == "error: file is not a database"


def test_locked_database_is_told(database: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert (
            answer(database, "SELECT 1", limits=replace(LIMITS, execution_timeout_ms=1)) == "error: database is locked"
        )


def test_write_ahead_log_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (42);")
        assert answer(str(path), "SELECT a FROM t", limits=LIMITS) == "a\n42"


def test_calls_in_threads_do_not_disturb_one_another(database: str) -> None:
    replies: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: replies.append(answer(database, "SELECT id FROM item ORDER BY id", limits=LIMITS))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == ["id\n1\n2\n3"] * 8


def test_schema_lists_tables_and_views(database: str) -> None:
    assert schema_of(database, limits=LIMITS).splitlines() == [
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, image BLOB);",
        "CREATE VIEW cheap AS SELECT name FROM item WHERE price < 2;",
    ]


def test_schema_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "many.db"
    write(path, "".join(f"CREATE TABLE table_number_{number} (a, b, c);" for number in range(500)))
    schema = schema_of(str(path), limits=LIMITS)
    assert len(schema) <= MAX_SCHEMA_CHARACTERS + len("\n… truncated")
    assert schema.endswith("\n… truncated")


def test_absent_bounds_have_defaults_and_none_passes_the_ceiling() -> None:
    assert Limits.of({"dsn": "a.db"}) == Limits()
    assert Limits.of({"max_rows": 1, "max_output_bytes": 10**18}) == Limits(
        max_rows=1, max_output_bytes=CEILING.max_output_bytes
    )
