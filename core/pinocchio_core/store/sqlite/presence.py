"""Which servers have a database open: they share a lock on a file beside it, and write their process ids into it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.sqlite.files import create_file

try:
    import fcntl
except ImportError:  # Windows: a file that is open cannot be replaced there anyway
    fcntl = None  # type: ignore[assignment]  # every use asks first

_WAIT_S: Final = 5.0
_PAUSE_S: Final = 0.02
_READ_BYTES: Final = 1 << 16
"""How much of the end of the file is read: it grows with each start, as long as some server runs."""


def presence_path(database: Path) -> Path:
    """The file whose lock says that servers have the database open."""
    return database.with_name(f"{database.name}.open")


class Presence:
    """This process has the database open; `close` when it has not any more."""

    def __init__(self, database: Path) -> None:
        """Raise DatabaseRefused where the database is being restored and stays so for some seconds."""
        path = presence_path(database)
        create_file(path)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND)
        if locked(self._file, shared=False):
            os.ftruncate(self._file, 0)  # of those who have ended
        deadline = time.monotonic() + _WAIT_S
        while not locked(self._file, shared=True):
            if time.monotonic() >= deadline:
                os.close(self._file)
                raise DatabaseRefused(f"{database} is being restored", next_step="start again when that is done")
            time.sleep(_PAUSE_S)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def close(self) -> None:
        """Say that it is closed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def servers_with(database: Path) -> list[int] | None:
    """The processes that have the database open, `None` where no server has; changes nothing."""
    try:
        file = os.open(presence_path(database), os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if locked(file, shared=False) else _processes(file)
    finally:
        os.close(file)


@contextmanager
def nobody_else(database: Path) -> Iterator[None]:
    """Keep servers from opening the database.

    Raises:
        DatabaseRefused: one has it open; the text names its process.
    """
    path = presence_path(database)
    create_file(path)
    file = os.open(path, os.O_RDWR)
    try:
        if not locked(file, shared=False):
            who = ", ".join(map(str, _processes(file))) or "unknown"
            raise DatabaseRefused(
                f"a server has {database} open (process {who})",
                next_step="stop it first, or restore into the running server with --live",
            )
        os.ftruncate(file, 0)
        yield
    finally:
        os.close(file)


def locked(file: int, *, shared: bool) -> bool:
    """Lock an open file until it is closed; False where another process has it locked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _processes(file: int) -> list[int]:
    """The processes in the file that still run."""
    beginning = max(0, os.fstat(file).st_size - _READ_BYTES)
    lines = os.pread(file, _READ_BYTES, beginning).split(b"\n")
    written = {int(line) for line in (lines[1:] if beginning else lines) if line.isdigit()}
    return sorted(process for process in written if runs(process))


def runs(process: int) -> bool:
    """Whether there is a process with this id."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
