"""What this process knows of the file of its open database: which it is, and what it looked like when it was done."""

from pathlib import Path

from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.store.sqlite.gate import WriteGate
from pinocchio_core.store.sqlite.guard import UNKNOWN, Mark, mark_of


class KnownFile:
    """The file at the path; nothing is known of it before the first `note`, and nothing missed."""

    def __init__(self, path: Path | None, gate: WriteGate) -> None:
        """`path` is `None` for a database in memory."""
        self._path = path
        self._gate = gate
        self._opened: Mark | None = None
        """The file that was opened."""
        self._own: Mark | None = None
        """What it looked like when this process was last done with it."""

    @property
    def is_watched(self) -> bool:
        """Whether there is anything to notice."""
        return self._opened is not None

    def find(self) -> Mark | None:
        """What is at the path now, `None` where nothing is."""
        return None if self._path is None else mark_of(self._path)

    def is_there(self, found: Mark | None) -> bool:
        """Whether what was found at the path is the file that was opened."""
        return found is not None and self._opened is not None and found.same_file(self._opened)

    def is_as_left(self) -> bool:
        """Whether the path leads to the file that was opened, and nobody wrote it but through the gate."""
        found = self.find()
        return found is not None and self.is_there(found) and self._is_noted(found)

    def open(self, found: Mark) -> None:
        """From now on this is the file that was opened."""
        self._opened = found

    def note(self) -> None:
        """Take the file for what this process left, and the first time for the one that is open; inside the gate.

        Raises:
            StoreUnavailable: it is another file than the one that was opened.
        """
        found = self.find()
        if self._opened is not None and not self.is_there(found):
            raise StoreUnavailable(f"{self._path} was removed or replaced while it was looked at")
        self._opened = self._own = found
        self._gate.note(found)

    def note_own_work(self) -> None:
        """Remember what the file looks like after what we did to it; inside the gate.

        Raises:
            StoreUnavailable: what was written went into another file than the one at the path.
        """
        if self._opened is None:
            return
        found = self.find()
        if found is None or not self.is_there(found):
            raise StoreUnavailable(f"{self._path} was removed or replaced while it was written")
        if found != self._own:
            self._own = found  # also where another process has noted the same: what is own is as it is now
            if not self._gate.noted(found):
                self._gate.note(found)

    def doubt_unless(self, size: int) -> None:
        """Forget the last note where the file had another size then: another program wrote it just before."""
        if self._own is not None and self._own.size != size:
            self._own = UNKNOWN
            self._gate.note(UNKNOWN)

    def _is_noted(self, found: Mark) -> bool:
        return found == self._own or self._gate.noted(found)
