"""Which SQLite this process opens the databases of this program with: Python's own, or the newer one of `apsw`.

It is one for everything: SQLite keeps its locks on a file for each process and not for each of its libraries, so that
a second library in the process would not see those of the first, and would drop them when it closes the file.
"""

import functools
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import peewee

from pinocchio_core.errors import SettingsError
from pinocchio_core.store.sqlite.dsn import file_uri

VARIABLE: Final = "PINOCCHIO_SQLITE"
_CHOICES: Final = ("auto", "python", "apsw")


class Cursor(Protocol):
    """What a statement gives."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Them one by one."""


class Connection(Protocol):
    """What both libraries' connections have in common; each statement outside a transaction is one of its own."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement."""

    def close(self) -> None:
        """Close it, and end its statements."""


class Library(Protocol):
    """A SQLite library, where the two are different."""

    name: str
    """`python` or `apsw`."""
    version: tuple[int, ...]
    """SQLite's own."""
    errors: tuple[type[Exception], ...]
    """What it raises."""

    def open(self, uri: str, *, timeout_s: float) -> Connection:
        """A connection that has read nothing yet and that any thread may use, one at a time."""

    def peewee(self, connect: Callable[[], Connection], pragmas: Mapping[str, str | int]) -> peewee.SqliteDatabase:
        """Peewee over connections that `connect` opens; itself for one thread at a time."""

    def changed(self, connection: Connection, sql: str, parameters: Sequence[Any]) -> int:
        """Run a statement that gives no rows; returns how many it changed."""

    def progress(self, connection: Connection) -> tuple[bool, int]:
        """Whether a transaction is open, and how many rows were ever changed."""

    def copy(self, source: Connection, target: Connection) -> None:
        """Make one database a copy of another, in one step."""

    def error_name(self, error: BaseException) -> str | None:
        """SQLite's name of an error, such as `SQLITE_BUSY_SNAPSHOT`; `None` for what is not from SQLite."""

    def is_broken_text(self, error: BaseException) -> bool:
        """Whether an error says that a text in a row is no UTF-8."""

    def rows_of_broken_text(self, connection: Connection, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """All rows of a query, with escapes for what is no UTF-8."""


class OpenedElsewhere:
    """Lets a database of Peewee leave it to others how a connection is opened; stands before it in a class."""

    opened: Callable[[], Connection]

    def _connect(self) -> Connection:
        connection = self.opened()
        try:
            self._add_conn_hooks(connection)  # type: ignore[attr-defined]  # Peewee's, which sets the pragmas
        except BaseException:
            connection.close()
            raise
        return connection


class _Peewee(OpenedElsewhere, peewee.SqliteDatabase):
    pass


class PythonLibrary:
    """The module `sqlite3`."""

    name = "python"
    version: tuple[int, ...] = sqlite3.sqlite_version_info
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def open(self, uri: str, *, timeout_s: float) -> sqlite3.Connection:
        """See `Library`."""
        return sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)

    def peewee(self, connect: Callable[[], Connection], pragmas: Mapping[str, str | int]) -> peewee.SqliteDatabase:
        """See `Library`."""
        database = _Peewee("sqlite", pragmas=dict(pragmas), thread_safe=False)
        database.opened = connect
        return database

    def changed(self, connection: Any, sql: str, parameters: Sequence[Any]) -> int:
        """See `Library`."""
        return int(connection.execute(sql, parameters).rowcount)

    def progress(self, connection: Any) -> tuple[bool, int]:
        """See `Library`."""
        return connection.in_transaction, connection.total_changes

    def copy(self, source: Any, target: Any) -> None:
        """See `Library`."""
        source.backup(target, pages=-1, progress=_only_one_step)

    def error_name(self, error: BaseException) -> str | None:
        """See `Library`."""
        return getattr(error, "sqlite_errorname", None)

    def is_broken_text(self, error: BaseException) -> bool:
        """See `Library`."""
        return isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode to UTF-8")

    def rows_of_broken_text(self, connection: Any, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """See `Library`."""
        connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
        try:
            rows: list[Any] = connection.execute(sql, parameters).fetchall()
        finally:
            connection.text_factory = str
        return rows


def _only_one_step(status: int, _: int, __: int) -> None:
    """Give up where the lock did not come within the busy timeout; Python would try for ever."""
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorname = "SQLITE_BUSY"
        raise error


@functools.cache
def library() -> Library:
    """The library of this process: the variable's, else the one with the newer SQLite.

    Raises:
        SettingsError: the variable asks for one that is not there.
    """
    wanted = os.environ.get(VARIABLE) or "auto"
    if wanted not in _CHOICES:
        raise SettingsError(f"{VARIABLE} is {wanted!r}", next_step=f"set it to one of {', '.join(_CHOICES)}")
    python = PythonLibrary()
    if wanted == "python":
        return python
    try:
        from pinocchio_core.store.sqlite.apsw_library import ApswLibrary
    except ImportError as error:
        if wanted == "auto":
            return python
        raise SettingsError(
            f"{VARIABLE} asks for apsw, which is not installed", next_step="pip install 'pinocchio-webchat[apsw]'"
        ) from error
    apsw = ApswLibrary()
    return apsw if wanted == "apsw" or apsw.version > python.version else python


def sqlite_version() -> str:
    """SQLite's version in this process."""
    return ".".join(map(str, library().version))


def library_text() -> str:
    """The library of this process in words."""
    return f"SQLite {sqlite_version()}" + (" of apsw" if library().name == "apsw" else "")


@contextmanager
def connected(path: Path, *, mode: Literal["ro", "rw", "rwc"] = "ro", timeout_s: float = 5.0) -> Iterator[Connection]:
    """A connection to a file for as long as the block runs; see `Library.open`."""
    with closing(library().open(file_uri(path, mode), timeout_s=timeout_s)) as connection:
        yield connection
