"""Which server processes live that have a database open, known by numbers that none ever had before.

Process ids would not do: in containers they begin at 1 again with each start, and those of one container mean nothing
in another. So each process makes a number, and locks the byte at that number of a file beside the database, which
stays empty. The kernel drops the lock when the process ends, however it does, and any other process can ask for it.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from pinocchio_core.store.sqlite.files import create_file
from pinocchio_core.store.sqlite.presence import presence_path

try:
    import fcntl
except ImportError:  # Windows: nobody can be asked
    fcntl = None  # type: ignore[assignment]  # every use asks first

_RANDOM_BITS: Final = 61
"""Numbers have one bit more, so that none is a process id; and are places in a file, and integers of SQLite."""


class Living:
    """This process lives, until `close`; it makes one of these for a file, after it was forked.

    Such locks belong to a process: one that made two would drop both where it closes one.
    """

    def __init__(self, database: Path | None) -> None:
        """`database` is `None` where no other process can open it; OSError where the file cannot be made or locked."""
        self.number = 1 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        self._shared = database is not None
        self._file: int | None = None
        if database is not None and fcntl is not None:
            path = presence_path(database)
            create_file(path)
            self._file = os.open(path, os.O_RDWR)
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self.number)

    def another(self, number: int) -> bool:
        """Whether another process lives that has this number; also where nobody can be asked."""
        if number == self.number or not self._shared:
            return False
        return self._file is None or _is_locked(self._file, number)

    def close(self) -> None:
        """From now on this process counts as one that does not live."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _is_locked(file: int, place: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):  # which of them is for each system to choose
        return True
    fcntl.lockf(file, fcntl.LOCK_UN, 1, place)
    return False
