"""A database from a portable archive, line by line; whatever is wrong with a line is said with its number."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeVar

import msgspec

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.copies.archive import (
    CHECK_BYTES,
    FORMAT,
    FORMAT_VERSION,
    LEGACY,
    MAX_LINE_BYTES,
    TABLES,
    Header,
    Record,
    check_of,
    columns_of,
    is_archive,
    sealed,
    value_of,
)
from pinocchio_core.store.layouts.migrations import LATEST, migrate
from pinocchio_core.store.layouts.original import LAYOUT
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.faults import faults
from pinocchio_core.store.sqlite.files import create_file
from pinocchio_core.store.sqlite.library import connected

T = TypeVar("T")
_INDEXES = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%fts5%'"


class _Lines:
    """The lines of an archive, each checked."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._check = b""
        self.number = 0

    def next(self, kind: type[T]) -> T | None:
        """The next line as a document; `None` at the end."""
        line = self._file.readline(MAX_LINE_BYTES + 1)
        if not line:
            return None
        self.number += 1
        body = line[:-CHECK_BYTES] + b"}"
        if len(line) > MAX_LINE_BYTES or sealed(body, self._check) != line:
            self.refuse("it is not what was written there: it was changed, moved or cut off, or one before it is lost")
        self._check = check_of(line)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, RecursionError) as error:
            self.refuse(f"it is no part of an archive: {error}", cause=error)

    def refuse(self, reason: str, *, cause: BaseException | None = None) -> NoReturn:
        """Raise DatabaseRefused for the line that was read last."""
        raise DatabaseRefused(
            f"{self._path} cannot be read as an archive, line {max(self.number, 1)}: {reason}",
            next_step="take another backup; nothing was changed",
        ) from cause


@contextmanager
def as_database(path: Path) -> Iterator[Path]:
    """A database or a copy of one as it is; for an archive the database that it comes to, while the block runs.

    Raises:
        DatabaseRefused: as `rebuild`.
    """
    if not is_archive(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="pinocchio-archive-") as folder:
        rebuilt = Path(folder) / "profiles.db"
        create_file(rebuilt)
        rebuild(path, rebuilt)
        yield rebuilt


def rebuild(archive: Path, database: Path) -> None:
    """Make the database that an archive was made from, with the layout that it had, in an empty file.

    Raises:
        DatabaseRefused: the archive is not whole, or of a newer version of this program; the text names the line.
    """
    with archive.open("rb") as file, _new(database) as made:
        lines = _Lines(archive, file)
        header = lines.next(Header)
        if header is None or header.format != FORMAT:
            lines.refuse("it does not say that this is one")
        if header.format_version > FORMAT_VERSION or not 0 < header.layout <= LATEST:
            lines.refuse(
                f"it is of a newer version of this program (format {header.format_version}, layout {header.layout};"
                f" this one knows {FORMAT_VERSION} and {LATEST})"
            )
        migrate(made, upto=header.layout)
        with made.write():
            _prepare(made, header, lines)
            for name, head in header.tables.items():
                _fill(made, name, head.columns, head.rows, lines)
            if lines.next(Record):
                lines.refuse("there are more rows than the first line says")
            make_indexes_again(made)


@contextmanager
def _new(path: Path) -> Iterator[Database]:
    """An empty database at a path, and in the end all of it in that one file."""
    database = Database(dsn_of_path(str(path)))
    try:
        yield database
    finally:
        database.close()
        Path(f"{path}.lock").unlink(missing_ok=True)
    with connected(path, mode="rw") as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()


def _prepare(database: Database, header: Header, lines: _Lines) -> None:
    """Make sure that there is a place for every row."""
    if LEGACY in header.tables:
        database.run(LAYOUT.replace("profile_registries", LEGACY))
    for name, head in header.tables.items():
        if name not in {table.name for table in TABLES}:
            lines.refuse(f'there is no table "{name}"')
        expected = columns_of(database.connect(), name)
        if head.columns != expected:
            lines.refuse(f'table "{name}" has columns {head.columns}, not {expected}')


def _fill(database: Database, table: str, columns: list[str], rows: int, lines: _Lines) -> None:
    sql = f'INSERT INTO "{table}" ({", ".join(columns)}) VALUES ({", ".join("?" * len(columns))})'
    for done in range(rows):
        record = lines.next(Record)
        if record is None:
            lines.number += 1
            lines.refuse(f'it is not there: table "{table}" has {rows} rows, and {done} of them are here')
        if record.table != table or list(record.row) != columns:
            lines.refuse(f'it is no row of table "{table}"')
        try:
            database.run(sql, [value_of(each) for each in record.row.values()])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            lines.refuse(f'it is no row of table "{table}": {error}', cause=error)
        except faults() as error:
            lines.refuse(f'it cannot be put into table "{table}": {error}', cause=error)


def make_indexes_again(database: Database) -> None:
    """Fill the full-text indexes from the tables that they are of; inside `Database.write`."""
    for (name,) in database.rows(_INDEXES):
        database.run(f'INSERT INTO "{name}" ("{name}") VALUES (\'rebuild\')')
