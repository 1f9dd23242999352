"""The SQLite connections of one database, opened once; closed all together when the file behind them changes.

There is one for writes, and as many for reads as are in use at the same time. Who reads gets the one that was given
back last: its pages are still in the processor's cache, where one for each thread would go round all of them.
"""

import threading
from collections.abc import Callable

from pinocchio_core.store.sqlite.blocking import about_to_block
from pinocchio_core.store.sqlite.library import Connection


class Slot:
    """The place of a connection. Only who holds its lock may use the connection, or close it."""

    __slots__ = ("_connect", "connection", "lock")

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self.lock = threading.RLock()
        self.connection: Connection | None = None
        self._connect = connect

    def open(self) -> Connection:
        """Its connection, opened where there is none; the slot is locked by the caller."""
        if self.connection is None:
            about_to_block()
            self.connection = self._connect()
        return self.connection

    def close(self) -> None:
        """Close the connection, when nobody uses it any more; the next `open` makes another."""
        with self.lock:
            if self.connection is not None:
                self.connection.close()
                self.connection = None


class Connections:
    """The slots of one database."""

    def __init__(self, *, for_writes: Callable[[], Connection], for_reads: Callable[[], Connection]) -> None:
        """Both open a connection."""
        self.writer = Slot(for_writes)
        self._for_reads = for_reads
        self._readers: list[Slot] = []
        self._idle: list[Slot] = []
        """Those of them that nobody uses, the one that was used last at the end."""
        self._lock = threading.Lock()

    def take(self) -> Slot:
        """A slot to read with, for the caller alone until it is put back."""
        try:
            return self._idle.pop()
        except IndexError:
            slot = Slot(self._for_reads)
            with self._lock:
                self._readers.append(slot)
            return slot

    def put_back(self, slot: Slot) -> None:
        """Let others have a slot."""
        self._idle.append(slot)

    def close(self) -> None:
        """Close every connection, each when nobody uses it any more; it is opened again when it is next needed."""
        with self._lock:
            slots = [self.writer, *self._readers]
        for slot in slots:
            slot.close()
