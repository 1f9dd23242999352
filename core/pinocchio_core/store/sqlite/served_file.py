"""The file that an open database serves: noticed when it is another one, and looked at before it is served again."""

from collections.abc import Callable
from pathlib import Path

from pinocchio_core.errors import DatabaseRefused, StoreUnavailable
from pinocchio_core.store.sqlite.gate import CLOSED, WriteGate
from pinocchio_core.store.sqlite.guard import UNKNOWN, Mark, mark_of
from pinocchio_core.store.sqlite.known_file import KnownFile
from pinocchio_core.store.sqlite.tally import Tally


class ServedFile:
    """The file at the path. Until `keep_watch` it may be any; from then on it is the one that was opened."""

    def __init__(
        self,
        path: Path | None,
        gate: WriteGate,
        tally: Tally,
        *,
        admit: Callable[[], None],
        make: Callable[[], None] | None,
        drop: Callable[[], None],
    ) -> None:
        """`admit` raises DatabaseRefused where the file at the path is not one to serve; `drop` closes the connections.

        `make` makes one that is gone, where that is not to be refused. `path` is `None` for a database in memory.
        """
        self._path = path
        self._gate = gate
        self._tally = tally
        self._admit = admit
        self._make = make
        self._drop = drop
        self._known = KnownFile(path, gate)
        self._at_first = None if path is None else mark_of(path)
        self._refusal: str | None = None
        """Why there are no connections to open now."""

    def keep_watch(self) -> None:
        """From now on notice when it is removed, replaced or written by anything but SQLite; inside the gate.

        Raises:
            StoreUnavailable: it was replaced while it was being opened.
        """
        if self._at_first is not None:
            self._known.open(self._at_first)
        self._known.note()

    def note(self) -> None:
        """Take it for what this process left; inside the gate.

        Raises:
            StoreUnavailable: it is another file than the one that was opened.
        """
        self._known.note()

    def note_own_work(self) -> None:
        """See `KnownFile`."""
        self._known.note_own_work()

    def doubt_unless(self, size: int) -> None:
        """See `KnownFile`."""
        self._known.doubt_unless(size)

    def looks_the_same(self) -> bool:
        """Whether the path still leads to the file that was opened; costs next to nothing."""
        return not self._known.is_watched or (self._refusal is None and self._known.is_as_left())

    def require_there(self) -> None:
        """Raise StoreUnavailable where a new connection would not be one to the file that was opened."""
        if self._refusal is not None:
            raise StoreUnavailable(self._refusal)
        if self._known.is_watched and not self._known.is_there(self._known.find()):
            raise StoreUnavailable(f"{self._path} was replaced and is being looked at")

    def require_same(self) -> None:
        """Go on with the file that was opened; inside the gate, and without the connection for writes.

        Raises:
            StoreUnavailable: it was replaced, and is open again for the next request, or cannot be.
        """
        if self._path is None or self.looks_the_same():
            return
        same = self._known.is_there(found := self._known.find())
        self._reopen(self._path, found)
        if not same:
            raise StoreUnavailable(f"{self._path} was replaced by another file, which is served from now on")

    def close(self) -> None:
        """Let nobody open a connection any more."""
        self._refusal = CLOSED

    def _reopen(self, path: Path, found: Mark | None) -> None:
        """Drop the connections to what was at the path, and serve what is there now, if it is sound."""
        self._refusal = f"{path} was replaced and is being looked at"
        self._drop()
        self._tally.reopened += 1
        if found is None and self._make is None:
            self._refusal = f"{path} is gone; put it back, or stop the server and restore a backup"
            raise StoreUnavailable(self._refusal, retry_after_s=5)
        try:
            if found is None or not (self._known.is_there(found) or self._gate.noted(found)):
                # they belong to the file that was there, and would be played over the new one; where another process
                # has noted the new one, it has done this before
                for suffix in ("-wal", "-shm"):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)
            if found is None and self._make is not None:
                self._make()
                found = self._known.find()
            self._known.open(found or UNKNOWN)
            self._admit()
        except (DatabaseRefused, StoreUnavailable, OSError) as error:
            self._refusal = f"{path} was replaced or written by another program, and cannot be served: {error}"
            raise StoreUnavailable(self._refusal, retry_after_s=5) from error
        self._known.note()
        self._refusal = None
