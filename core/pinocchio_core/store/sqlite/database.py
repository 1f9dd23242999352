"""One open database: the way of every read and of every write."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import Any, Final

from pinocchio_core.errors import PinocchioError, StoreReadOnly, StoreUnavailable
from pinocchio_core.store.sqlite.connections import Connections
from pinocchio_core.store.sqlite.dsn import Dsn
from pinocchio_core.store.sqlite.faults import fault_of, faults, is_locked, mapped
from pinocchio_core.store.sqlite.gate import WriteGate, gate_path
from pinocchio_core.store.sqlite.group_commit import GroupCommit
from pinocchio_core.store.sqlite.library import Connection, library
from pinocchio_core.store.sqlite.other_writers import OtherWriters
from pinocchio_core.store.sqlite.served_file import ServedFile
from pinocchio_core.store.sqlite.slow_reads import NO_WAITING, rows_in_time, rows_of_broken_text
from pinocchio_core.store.sqlite.tally import Tally
from pinocchio_core.store.sqlite.write_ahead_log import LONG_FRAMES, WriteAheadLog

_CACHE_KIB: Final = 12000
"""What a connection keeps of the file: all of a database with 3,000 profiles, and what leads to each of 100,000."""


class Database:
    """An open database; close it when the program stops.

    Peewee opens the connections, with their pragmas, and runs the transactions; they are kept until the end, because
    opening one for each read costs more than ten reads. Statements are fixed texts run on the connection itself:
    building one with Peewee costs ten times the read, and a model object fifteen times.
    """

    def __init__(
        self, dsn: Dsn, *, admit: Callable[[], None] = lambda: None, make: Callable[[], None] | None = None
    ) -> None:
        """`admit` raises DatabaseRefused where the file at the DSN's path is not one to serve.

        `make` makes a file that was removed under the open database; without it that is refused.
        """
        self.dsn = dsn
        self.tally = Tally()
        self.written = threading.Event()
        """Set by every write."""
        pragmas = dict(dsn.pragmas)
        if dsn.read_only or dsn.path is None:
            pragmas.pop("journal_mode", None)  # a change of mode is a write, and memory has none
        pragmas = {"cache_size": -_CACHE_KIB, **pragmas, "wal_autocheckpoint": LONG_FRAMES}
        self._library = library()
        self.peewee = self._library.peewee(self._new_connection, pragmas)
        self._connections = Connections(for_writes=self._open_for_writes, for_reads=self._open_for_reads)
        self._writing: int | None = None
        """The thread that has the connection for writes, and reads through it too."""
        self.gate = WriteGate(
            None if dsn.path is None or dsn.read_only else gate_path(dsn.path), timeout_ms=dsn.busy_timeout_ms
        )
        self.group = GroupCommit(
            self.write,
            self.gate,
            faults=lambda: mapped(self._fault_of),
            progress=lambda: self._library.progress(self._connections.writer.open()),
        )
        """Short changes, which may share a transaction."""
        self._file = ServedFile(dsn.path, self.gate, self.tally, admit=admit, make=make, drop=self._connections.close)
        self.endings: dict[object, Callable[[], None]] = {}
        """What was put off to the end of the transaction that is open, by who did."""
        self.others = OtherWriters()
        self._log = WriteAheadLog(self._library)

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self.dsn.read_only

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement; none is left unread, which would keep checkpoints from finishing."""
        connections, writing = self._connections, self._writing == get_ident()
        slot = connections.writer if writing else connections.take()
        try:  # as `mapped`, without the cost of a context manager on every read
            with slot.lock:
                connection = slot.connection or slot.open()
                return connection.execute(sql, parameters).fetchall()
        except faults() as error:
            if self._library.is_broken_text(error):
                return rows_of_broken_text(slot, sql, parameters)
            if not writing and is_locked(error):
                with mapped(self._fault_of):
                    return rows_in_time(slot, sql, parameters, timeout_ms=self.dsn.busy_timeout_ms)
            if fault := self._fault_of(error):
                raise fault from error
            raise
        finally:
            if not writing:
                connections.put_back(slot)

    @contextmanager
    def write(self) -> Iterator[None]:
        """One write transaction: all of it is committed when the block ends, or nothing when it raises.

        Raises:
            StoreReadOnly: the database was opened read-only.
            StoreUnavailable: it stayed locked beyond the busy timeout, the disk failed, or the file is another one.
        """
        if self.read_only:
            raise StoreReadOnly("it was opened with mode=ro, immutable or query_only")
        with self.gate.hold(), mapped(self._fault_of):
            self._file.require_same()
            with self._writer(), self._noting():
                self._log.shorten(self.connect())
                with self.peewee.atomic("IMMEDIATE"):
                    self.others.look(self.connect())
                    self.endings.clear()
                    yield
                    for ending in self.endings.values():
                        ending()
        if not self.written.is_set():
            self.written.set()

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement inside `write`, whose thread holds the connection; returns the number of rows it changed."""
        return self._library.changed(self._connections.writer.open(), sql, parameters)

    def connect(self) -> Connection:
        """The connection for writes, opened when it is first asked for."""
        with self._connections.writer.lock:
            return self._connections.writer.open()

    def keep_watch(self) -> None:
        """From now on notice when the file is removed, replaced, or written by anything but SQLite; see `watch`.

        Raises:
            StoreUnavailable: it was replaced since this object was made, or the gate stays shut.
        """
        if self.dsn.path is not None and not self.read_only:
            with self.gate.hold():
                self._file.keep_watch()

    def keep_note(self) -> None:
        """Take the file for what this process left; inside the gate. StoreUnavailable where it is another one."""
        self._file.note()

    def looks_the_same(self) -> bool:
        """Whether the path still leads to the file that was opened; costs next to nothing."""
        return self._file.looks_the_same()

    def watch(self) -> None:
        """Look whether the file is still the one that was opened; each write does so too.

        Raises:
            StoreUnavailable: it was replaced, and is open again for the next request, or cannot be.
        """
        with self.gate.hold(timeout_ms=100), mapped():
            self._file.require_same()

    def checkpoint(self, *, wait_ms: int) -> bool:
        """Bring everything into the main file and empty the write-ahead log; False where a reader was in the way.

        Waits for other writers, and then for readers, for `wait_ms` each.

        Raises:
            StoreUnavailable: a writer did not end in time, the disk failed, or the file is another one.
        """
        with self.gate.hold(timeout_ms=wait_ms), mapped():
            self._file.require_same()
            began = time.perf_counter()
            with self._writer():
                self.rows(f"PRAGMA busy_timeout = {wait_ms}")
                try:
                    with self._noting():
                        blocked = bool(self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0])
                    if not blocked:  # the main file alone is complete, with as many pages as our connection counts
                        self._file.doubt_unless(self._pages_bytes())
                finally:
                    self.rows(f"PRAGMA busy_timeout = {self.dsn.busy_timeout_ms}")
        self.tally.checkpoints += 1
        self.tally.checkpoint_s += time.perf_counter() - began
        self.tally.checkpoints_blocked += blocked
        return not blocked

    @contextmanager
    def stillness(self) -> Iterator[None]:
        """Nobody writes, and the main file alone is complete, as long as the block runs.

        Raises:
            StoreReadOnly: the database was opened read-only, which holds nobody.
            StoreUnavailable: a writer or a reader did not let go within the busy timeout.
        """
        if self.read_only:
            raise StoreReadOnly(
                "nobody can be kept from writing it", next_step="name it without mode=ro, as a user who may write it"
            )
        with self.gate.hold(), mapped():
            self._file.require_same()
            with self._writer():
                with self._noting():
                    blocked = self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]
                if blocked:
                    raise StoreUnavailable("a reader did not end, so the write-ahead log could not be emptied")
                with self.peewee.atomic("IMMEDIATE"):  # other programs do not know the gate
                    yield
            self.keep_note()

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """What this thread reads is all of one moment, as long as the block runs; others go on writing."""
        with mapped(self._fault_of), self._writer():
            self.rows("BEGIN")
            try:
                yield
            finally:
                self.rows("ROLLBACK")

    def close(self) -> None:
        """Close the connections, each when nobody uses it any more; who comes later gets StoreUnavailable."""
        self.gate.close()
        self._file.close()
        self._connections.close()

    @contextmanager
    def _writer(self) -> Iterator[None]:
        """The connection for writes is this thread's while the block runs; inside the gate."""
        slot = self._connections.writer
        with slot.lock:
            slot.open()
            self._writing = get_ident()
            try:
                yield
            finally:
                self._writing = None

    def _fault_of(self, error: BaseException) -> PinocchioError | None:
        """As `fault_of`; where the file is being written by others, a table that is not there is no fault of ours."""
        fault = fault_of(error)
        if fault or self.looks_the_same():
            return fault
        return StoreUnavailable(f"{self.dsn.path} was written by another program and is being looked at")

    def _open_for_writes(self) -> Connection:
        if not self.peewee.is_closed():
            self.peewee.close()  # it does not know that its connection was closed
        self.peewee.connect()
        return self.peewee.connection()  # type: ignore[no-any-return, no-untyped-call]  # stubs

    def _open_for_reads(self) -> Connection:
        connection: Connection = self.peewee._connect()  # type: ignore[attr-defined]  # noqa: SLF001  as its pools do
        connection.execute(NO_WAITING)  # which would also block a thread that must not; see `rows_in_time`
        return connection

    def _new_connection(self) -> Connection:
        """A connection that has read nothing yet, to the file that was opened and to no other.

        A first statement on another file would play the write-ahead log of this one over it. And where there is no
        file any more, opening it would make one.
        """
        self._file.require_there()
        connection = self._library.open(self.dsn.uri, timeout_s=self.dsn.busy_timeout_ms / 1000)
        try:
            self._file.require_there()
        except StoreUnavailable:
            connection.close()
            raise
        return connection

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """What the block does to the file is ours, also where the disk fails in the middle of it; inside the gate."""
        try:
            yield
        except BaseException:
            with suppress(StoreUnavailable):
                self._file.note_own_work()
            raise
        self._file.note_own_work()

    def _pages_bytes(self) -> int:
        return int(self.rows("PRAGMA page_count")[0][0]) * int(self.rows("PRAGMA page_size")[0][0])
