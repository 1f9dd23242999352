"""Keeping the write-ahead log short while writes go on; see `keeper` for when they pause."""

from typing import Final

from pinocchio_core.store.sqlite.library import Connection, Library

LONG_FRAMES: Final = 2000
"""With so many pages in the log SQLite brings them into the main file itself, at the end of a commit."""
_LONG_ROWS: Final = 500
"""After so many changed rows, of about two pages each, we do, at the beginning of a write."""


class WriteAheadLog:
    """What the connection for writes has added to the log."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._rows_brought_home = 0

    def shorten(self, connection: Connection) -> None:
        """Bring the log into the main file where it is long; inside the gate, and before a transaction.

        At the end of a commit those would wait for it whose changes are on the disk already. Now they have their
        answers, and only who comes next waits. A log that a reader still needs grows on.
        """
        _, rows = self._library.progress(connection)
        if not 0 <= rows - self._rows_brought_home < _LONG_ROWS:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._rows_brought_home = rows
