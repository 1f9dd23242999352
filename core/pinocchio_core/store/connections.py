"""One SQLite connection for each thread, opened once; closed for all of them when the file behind them changes."""

import threading
from collections.abc import Callable

from pinocchio_core.store.library import Connection


class Slot:
    """A thread's connection. Only who holds its lock may use it, or close it."""

    __slots__ = ("connection", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.connection: Connection | None = None


class Connections:
    """The slots of all threads of one database."""

    def __init__(self, connect: Callable[[], Connection], disconnect: Callable[[], None]) -> None:
        """`connect` opens a connection for the calling thread, `disconnect` forgets what it has opened there."""
        self._connect = connect
        self._disconnect = disconnect
        self._own = threading.local()
        self._slots: list[Slot] = []
        self._lock = threading.Lock()

    def slot(self) -> Slot:
        """The calling thread's slot."""
        try:
            slot: Slot = self._own.slot
        except AttributeError:
            slot = self._own.slot = Slot()
            with self._lock:
                self._slots.append(slot)
        return slot

    def open(self, slot: Slot) -> Connection:
        """The slot's connection, opened where it has none; the slot is the calling thread's, and locked by it."""
        if slot.connection is None:
            self._disconnect()
            slot.connection = self._connect()
        return slot.connection

    def close(self) -> None:
        """Close every connection; each is opened again when its thread next asks for it."""
        with self._lock:
            slots = list(self._slots)
        for slot in slots:
            with slot.lock:
                if slot.connection is not None:
                    slot.connection.close()
                    slot.connection = None
