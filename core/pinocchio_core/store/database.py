"""One open database: a connection for each thread, and the way every write goes."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee

from pinocchio_core.errors import StoreReadOnly
from pinocchio_core.store.dsn import Dsn
from pinocchio_core.store.faults import FAULTS, fault_of, mapped
from pinocchio_core.store.gate import WriteGate


class Database:
    """An open database; close it when the program stops.

    Peewee opens the connections, with their pragmas, and runs the transactions; there is one a thread, kept until the
    end, because opening one for each read costs more than ten reads. Statements are fixed texts run on the connection
    itself: building one with Peewee costs ten times the read, and a model object fifteen times.
    """

    def __init__(self, dsn: Dsn) -> None:
        self.dsn = dsn
        pragmas = dict(dsn.pragmas)
        if dsn.read_only or dsn.path is None:
            pragmas.pop("journal_mode", None)  # a change of mode is a write, and memory has none
        self.peewee = peewee.SqliteDatabase(
            dsn.uri, pragmas=pragmas, timeout=dsn.busy_timeout_ms / 1000, uri=True, check_same_thread=False
        )
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._connections_lock = threading.Lock()
        gate = None if dsn.path is None or dsn.read_only else gate_path(dsn.path)
        self._gate = WriteGate(gate, timeout_ms=dsn.busy_timeout_ms)

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self.dsn.read_only

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement; none is left unread, which would keep checkpoints from finishing."""
        try:  # as `mapped`, without the cost of a context manager on every read
            connection = getattr(self._own, "connection", None) or self.connect()
            return connection.execute(sql, parameters).fetchall()
        except FAULTS as error:
            fault = fault_of(error)
            if fault is None:
                raise
            raise fault from error

    @contextmanager
    def write(self) -> Iterator[None]:
        """One write transaction: all of it is committed when the block ends, or nothing when it raises.

        Raises:
            StoreReadOnly: the database was opened read-only.
            StoreUnavailable: it stayed locked beyond the busy timeout, or the disk failed.
        """
        if self.read_only:
            raise StoreReadOnly("it was opened with mode=ro, immutable or query_only")
        with self._gate.hold(), mapped():
            self.connect()
            with self.peewee.atomic("IMMEDIATE"):
                yield

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement inside `write`; returns the number of rows it changed."""
        return self.connect().execute(sql, parameters).rowcount

    def connect(self) -> sqlite3.Connection:
        """This thread's connection, opened when it is first asked for."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            self.peewee.connect(reuse_if_open=True)
            connection = self._own.connection = self.peewee.connection()  # type: ignore[no-untyped-call]  # stubs
            with self._connections_lock:
                self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Close the connections of all threads; the last one to close empties the write-ahead log."""
        with self._connections_lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._own = threading.local()
        if not self.peewee.is_closed():
            self.peewee.close()
        self._gate.close()


def gate_path(path: Path) -> Path:
    """The file beside the database that writers lock."""
    return path.with_name(path.name + ".lock")


def create_file(path: Path) -> bool:
    """Make the file and its missing folders for their owner alone; False where the file was there already.

    SQLite gives `-wal` and `-shm` the permissions of the database file.
    """
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True
