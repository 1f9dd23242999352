"""A connection on which a statement that somebody else wrote can read one database and do nothing else."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final
from urllib.parse import quote

MAX_QUERY_BYTES: Final = 64 * 1024
MAX_VALUE_BYTES: Final = 256 * 1024
"""Longest text or blob; it also bounds what one call of a function like `instr` can cost between two looks at
the clock."""
MAX_COLUMNS: Final = 100
MAX_LIKE_PATTERN_BYTES: Final = 500
STEPS_BETWEEN_LOOKS: Final = 1000
"""Instructions of SQLite's virtual machine between two looks at the clock."""

READING: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
REFUSED_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
READING_PRAGMAS: Final = frozenset(
    {"data_version", "foreign_key_list", "index_info", "index_list", "index_xinfo", "table_info", "table_xinfo"}
)
"""Pragmas that only tell; `data_version` is what full-text tables ask for by themselves."""

LIMITS: Final = (
    (sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, MAX_QUERY_BYTES),
    (sqlite3.SQLITE_LIMIT_COLUMN, MAX_COLUMNS),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_LIKE_PATTERN_BYTES),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
)


@contextmanager
def reading(path: str, *, timeout_ms: int) -> Iterator[sqlite3.Connection]:
    """A connection for one call, opened read-only and closed at the end.

    Statements are interrupted `timeout_ms` after it was opened, and a lock is waited for as long.

    Raises:
        sqlite3.Error: there is no database at `path`, or it cannot be read.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    # The empty authority keeps a path that begins with two slashes a path.
    uri = f"file://{quote(os.fsencode(path))}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=timeout_ms / 1000, isolation_level=None)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_LOOKS)
        _harden(connection)
        yield connection


def _harden(connection: sqlite3.Connection) -> None:
    connection.text_factory = _text
    for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    # Loads the schema while the limits are still wide: they would refuse a wide table or a long CREATE statement.
    connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    for limit, value in LIMITS:
        connection.setlimit(limit, value)
    connection.set_authorizer(_authorize)


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _by: str | None) -> int:
    if action in READING:
        allowed = True
    elif action == sqlite3.SQLITE_FUNCTION:
        allowed = (second or "").lower() not in REFUSED_FUNCTIONS
    elif action == sqlite3.SQLITE_PRAGMA:
        allowed = (first or "").lower() in READING_PRAGMAS
    else:
        # SQLite asks for this one when it connects a virtual table (json_each, full text). A statement that
        # really updates sqlite_master fails all the same: that needs writable_schema, and a writable file.
        allowed = action == sqlite3.SQLITE_UPDATE and first == "sqlite_master"
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
