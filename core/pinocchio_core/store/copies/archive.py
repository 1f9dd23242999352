"""The portable archive: everything of a database as one JSON document a line, which no engine has to be there to read.

The first line says which tables follow, with their columns and how many rows each has; every other line is a row.
Each ends with a check over itself and all lines before it, so that one that was changed, moved or lost is found where
that happened.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.sqlite.library import Connection, connected
from pinocchio_core.store.tables.facts import VERSION_FLOOR

FORMAT: Final = "pinocchio-archive"
FORMAT_VERSION: Final = 1
ENDING: Final = ".jsonl"
"""What the name of an archive ends with."""
MAX_LINE_BYTES: Final = 64 << 20
LEGACY: Final = "legacy_profile_registries"
"""The one table that no migration makes where there is nothing to be moved into others."""
_CHECK_DIGITS: Final = 16
CHECK_BYTES: Final = len(b',"check":""}\n') + _CHECK_DIGITS
"""How much of the end of a line is its check."""


class Table(Struct, frozen=True):
    """A table that archives hold."""

    name: str
    order: str
    """What its rows are sorted by."""
    where: str = "1"
    """Which of its rows are not of this machine alone."""


TABLES: Final = (
    Table("profile_registries", "slug"),
    Table("profiles", "registry_slug, slug"),
    Table("profile_revisions", "seq"),
    Table("profile_labels", "registry_slug, slug, label"),
    Table("profile_label_moves", "seq"),
    Table("profile_texts", "id"),
    Table("profile_terms", "registry_slug, slug, kind, term"),
    Table("webhook_cursors", "name"),
    Table("profile_extends", "registry_slug, slug, base_registry, base_slug, pin"),
    Table("server_facts", "name", where=f"name = '{VERSION_FLOOR}'"),
    Table(LEGACY, "slug"),
)
"""In this order, what is referred to first. Full-text indexes are none of them: they are made again."""


class TableHead(Struct, frozen=True):
    """What the first line says of a table."""

    columns: list[str]
    rows: int


class Header(Struct, frozen=True, kw_only=True):
    """The first line."""

    format: str
    format_version: int
    layout: int
    """The layout's version, as in `PRAGMA user_version`."""
    tables: dict[str, TableHead]


class Record(Struct, frozen=True):
    """Any other line."""

    table: str
    row: dict[str, Any]


def is_archive(path: Path) -> bool:
    """Whether this is an archive, by its name: a file that may be an open database is not opened to look."""
    return path.name.endswith(ENDING)


def write_archive(database: Path, destination: Path) -> None:
    """Write everything that is in a database now into a file, a row at a time, while others go on writing.

    Raises:
        DatabaseRefused: it has the layout of the original program, or a row that is too long for a line.
    """
    with connected(database, timeout_s=30) as connection, destination.open("wb") as file:
        connection.execute("BEGIN")  # one look at all tables
        header = _header(connection)
        if header.layout == 0:
            raise DatabaseRefused(
                f"{database} has the layout of the original program",
                next_step="start a server on it once, which brings it up to date, or leave out --format",
            )
        check = _put(file, header, b"")
        for table in TABLES:
            if table.name in header.tables:
                for record in _records(connection, table, header.tables[table.name].columns):
                    check = _put(file, record, check)


def sealed(body: bytes, before: bytes) -> bytes:
    """A line: a document with its check, which is over the check of the line before and the document."""
    digits = hashlib.sha256(before + body).hexdigest()[:_CHECK_DIGITS]
    return body[:-1] + f',"check":"{digits}"}}\n'.encode()


def check_of(line: bytes) -> bytes:
    """The end of a line that the check of the next one is over."""
    return line[-CHECK_BYTES:]


def columns_of(connection: Connection, table: str) -> list[str]:
    """The columns of a table; none where there is no such table."""
    return [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")').fetchall()]


def value_of(told: Any) -> Any:
    """A value from its JSON; see `_told`. KeyError, TypeError or ValueError where it is none."""
    if not isinstance(told, dict):
        return told
    if "blob" in told:
        return b64decode(told["blob"], validate=True)
    return float(told["real"])


def _put(file: Any, document: Struct, before: bytes) -> bytes:
    line = sealed(msgspec.json.encode(document), before)
    if len(line) > MAX_LINE_BYTES:
        raise _beyond(f"a row has {len(line):,} bytes")
    file.write(line)
    return check_of(line)


def _header(connection: Connection) -> Header:
    def number(sql: str) -> int:
        return int(connection.execute(sql).fetchall()[0][0])

    tables = {
        table.name: TableHead(columns, number(f'SELECT count(*) FROM "{table.name}" WHERE {table.where}'))
        for table in TABLES
        if (columns := columns_of(connection, table.name))
    }
    layout = number("PRAGMA user_version")
    return Header(format=FORMAT, format_version=FORMAT_VERSION, layout=layout, tables=tables)


def _records(connection: Connection, table: Table, columns: Sequence[str]) -> Iterator[Record]:
    # text as bytes: neither of SQLite's libraries reads one that is no UTF-8
    quoted = [f'"{column}"' for column in columns]
    values = ", ".join(f"typeof({it}), iif(typeof({it}) = 'text', CAST({it} AS BLOB), {it})" for it in quoted)
    sql = f'SELECT {values} FROM "{table.name}" WHERE {table.where} ORDER BY {table.order}'
    for row in connection.execute(sql):
        try:
            yield Record(table.name, dict(zip(columns, map(_told, row[::2], row[1::2]), strict=True)))
        except UnicodeDecodeError as error:
            raise _beyond(f'table "{table.name}" has a text that is none') from error


def _beyond(reason: str) -> DatabaseRefused:
    return DatabaseRefused(f"{reason}, which no archive can hold", next_step="copy the file: leave out --format")


def _told(kind: str, value: Any) -> Any:
    """A value as JSON: an object for what JSON has no form of."""
    if kind == "text":
        return value.decode()
    if kind == "blob":
        return {"blob": b64encode(value).decode()}
    if kind == "real" and not isfinite(value):
        return {"real": str(value)}
    return value
