"""One query of a model on one database, answered with text of bounded size in bounded time."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from pinocchio_plugins.sqlite_connection import MAX_QUERY_BYTES, reading

MAX_ERROR_CHARACTERS: Final = 300
MAX_SCHEMA_CHARACTERS: Final = 8192
MAX_BLOB_BYTES: Final = 32
"""Bytes of a blob that an answer shows."""
READ_ONLY: Final = (
    "refused: only SELECT statements are allowed (WITH, EXPLAIN and PRAGMA table_info too);"
    " the database is open for reading"
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one answer; the note that something was cut comes on top of lines and bytes."""

    max_rows: int = 100
    execution_timeout_ms: int = 5_000
    max_output_lines: int = 200
    max_output_bytes: int = 16_384

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The bounds in the config of a use: absent ones have their default, none exceeds `CEILING`."""
        return cls(**{name: min(config[name], most) for name, most in vars(CEILING).items() if name in config})


CEILING: Final = Limits(
    max_rows=10_000, execution_timeout_ms=60_000, max_output_lines=10_000, max_output_bytes=1024 * 1024
)
"""What a profile can raise the bounds to."""


def answer(path: str, query: str, *, limits: Limits) -> str:
    """The rows of a query as text, one line each below a line of column names, or why there are none."""
    try:
        if len(query.encode()) > MAX_QUERY_BYTES:
            return f"refused: the query is longer than {MAX_QUERY_BYTES} bytes"
        with reading(path, timeout_ms=limits.execution_timeout_ms) as connection:
            return _rows_as_text(connection.execute(query), limits)
    except UnicodeEncodeError:
        return "error: the query has characters that are not valid Unicode"
    # Python 3.11 raises sqlite3.Warning, which is no sqlite3.Error, for a second statement in some releases.
    except (sqlite3.Error, sqlite3.Warning) as error:
        return _explanation(error, limits)


def schema_of(path: str, *, limits: Limits) -> str:
    """The CREATE statements of tables and views, at most `MAX_SCHEMA_CHARACTERS` of them.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    with reading(path, timeout_ms=limits.execution_timeout_ms) as connection:
        statements = connection.execute(
            "SELECT sql FROM sqlite_master WHERE type IN ('table', 'view') AND sql IS NOT NULL"
            " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid LIMIT 1000"
        ).fetchall()
    text = "\n".join(f"{sql};" for (sql,) in statements)
    return text if len(text) <= MAX_SCHEMA_CHARACTERS else text[:MAX_SCHEMA_CHARACTERS] + "\n… truncated"


def _rows_as_text(cursor: sqlite3.Cursor, limits: Limits) -> str:
    if cursor.description is None:
        return READ_ONLY
    lines: list[str] = []
    left_bytes = limits.max_output_bytes
    for count, line in enumerate(_lines(cursor)):
        size = len(line.encode(errors="replace")) + 1
        if note := _note(count, limits, too_long=size > left_bytes):
            if size > left_bytes:
                lines.append(line.encode(errors="replace")[:left_bytes].decode(errors="ignore"))
            return "\n".join([*filter(None, lines), note])
        lines.append(line)
        left_bytes -= size
    return "\n".join(lines if len(lines) > 1 else [*lines, "(no rows)"])


def _note(count: int, limits: Limits, *, too_long: bool) -> str | None:
    """What to say when the line after `count` others is not to be shown; the first of them names the columns."""
    if count > limits.max_rows:
        return f"… truncated at {limits.max_rows} rows"
    if count >= limits.max_output_lines:
        return f"… truncated at {limits.max_output_lines} lines"
    return f"… truncated at {limits.max_output_bytes} bytes" if too_long else None


def _lines(cursor: sqlite3.Cursor) -> Iterator[str]:
    yield " | ".join(_cell(column[0]) for column in cursor.description)
    for row in cursor:
        yield " | ".join(map(_cell, row))


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value[:MAX_BLOB_BYTES].hex()}'" + ("…" if len(value) > MAX_BLOB_BYTES else "")
    # A row stays on one line.
    return str(value).replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")


def _explanation(error: Exception, limits: Limits) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY}:
        return READ_ONLY
    if code == sqlite3.SQLITE_INTERRUPT:
        return f"error: stopped after {limits.execution_timeout_ms} ms; ask for less, with WHERE or LIMIT"
    if code == sqlite3.SQLITE_CANTOPEN:
        return "error: there is no database that can be opened at the configured dsn"
    return f"error: {str(error)[:MAX_ERROR_CHARACTERS]}"
