"""Whether anybody but this process's connection for writes has changed the database."""

import time

from pinocchio_core.store.sqlite.library import Connection

QUIET_S = 10.0
"""For so long after others have written, they are taken to go on."""


class OtherWriters:
    """What the connection for writes has seen of others; also where it is a new one, because the file is another."""

    def __init__(self) -> None:
        self.writes_seen = 0
        """How often there was something of theirs; it is up to date inside a transaction, see `look`."""
        self._seen: tuple[Connection, int] | None = None
        self._last_s = 0.0

    def look(self, connection: Connection) -> None:
        """Look for what they wrote; at the beginning of a transaction, in which they cannot write any more.

        SQLite counts the commits that came through other connections: https://sqlite.org/pragma.html#pragma_data_version.
        """
        seen = connection, int(connection.execute("PRAGMA data_version").fetchall()[0][0])
        if seen != self._seen:
            if self._seen is not None:
                self.writes_seen += 1
                self._last_s = time.monotonic()
            self._seen = seen

    @property
    def are_quiet(self) -> bool:
        """Whether nothing of theirs was seen for a while."""
        return not self._last_s or time.monotonic() - self._last_s > QUIET_S
