"""The gate that every write transaction passes, one at a time across threads and processes.

SQLite's own busy wait starves: with 8 writers the slowest waits 200 times the median (storage contract, "Rules").
Queueing in front of it keeps waits short and even. Correctness does not rest on the gate but on `BEGIN IMMEDIATE`
and the version check; a process that dies in it blocks nobody, because the kernel drops its lock.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.store.sqlite.files import create_file
from pinocchio_core.store.sqlite.guard import MARK_BYTES, Mark

try:
    import fcntl
except ImportError:  # Windows: writers of several processes meet in SQLite's own lock
    fcntl = None  # type: ignore[assignment]  # the branch that uses it asks first


CLOSED: Final = "the database was closed"
_EAGER_S = 0.05
"""How long a writer that waits for other processes asks for the lock often."""


class WriteGate:
    """A lock among the threads of this process, then one on a file beside the database among processes."""

    def __init__(self, path: Path | None, *, timeout_ms: int) -> None:
        """`path` is the file to lock, `None` for a database that no other process can open."""
        self.timeout_s = timeout_ms / 1000
        """How long a writer waits, the busy timeout."""
        self.waits = 0
        """How many writers had to wait and got in."""
        self.wait_s = 0.0
        self.timeouts = 0
        """How many did not get in."""
        self._lock = threading.Lock()
        self._closed = False
        self._file = None if path is None or fcntl is None else _opened(path)

    @contextmanager
    def hold(self, *, timeout_ms: int | None = None) -> Iterator[None]:
        """Be the only writer; waits for the busy timeout unless told otherwise.

        Raises:
            StoreUnavailable: another writer did not let go in time, or the gate is closed.
        """
        began = time.monotonic()
        timeout_s = self.timeout_s if timeout_ms is None else timeout_ms / 1000
        waited = not self._lock.acquire(blocking=False)
        if waited and not self._lock.acquire(timeout=timeout_s):
            raise self.gave_up()
        try:
            if self._closed:
                raise StoreUnavailable(CLOSED)
            waited |= self._lock_file(began + timeout_s)
            try:
                if waited:
                    self.has_waited(time.monotonic() - began)
                yield
            finally:
                self._unlock_file()
        finally:
            self._lock.release()

    def has_waited(self, seconds: float) -> None:
        """Count a writer that had to wait and got in; inside `hold`."""
        self.waits += 1
        self.wait_s += seconds

    def gave_up(self) -> StoreUnavailable:
        """Count a writer for which another one of this process did not let go in time; returns what it raises."""
        self.timeouts += 1
        return StoreUnavailable("another write of this server did not end within the busy timeout")

    def noted(self, mark: Mark) -> bool:
        """Whether this is what the database file looked like after the last write or checkpoint through the gate.

        Where no file is locked, nobody else is known, and every mark is.
        """
        return self._file is None or os.pread(self._file, MARK_BYTES, 0) == mark.text()

    def note(self, mark: Mark | None) -> None:
        """Remember what the database file looks like now, for every process; inside `hold`.

        Where the disk fails, the others look at the database file once more.
        """
        if self._file is not None and mark is not None:
            with suppress(OSError):
                os.pwrite(self._file, mark.text(), 0)

    def close(self) -> None:
        """Let nobody in any more, once the writer of this process that is in has let go."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _lock_file(self, deadline: float) -> bool:
        """Lock the file; True where that had to wait.

        Asks again often at first: a holder that writes again at once would otherwise get in before those who wait.
        """
        waited, eager_until = False, time.monotonic() + _EAGER_S
        while self._file is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    self.timeouts += 1
                    reason = "another process did not end its write within the busy timeout"
                    raise StoreUnavailable(reason) from None
                waited = True
                longest_s = 0.0002 if time.monotonic() < eager_until else 0.002
                time.sleep(random.uniform(longest_s / 4, longest_s))  # noqa: S311  jitter, no secret
            else:
                break
        return waited

    def _unlock_file(self) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def _opened(path: Path) -> int:
    create_file(path)
    return os.open(path, os.O_RDWR)


def gate_path(path: Path) -> Path:
    """The file beside the database that writers lock."""
    return path.with_name(path.name + ".lock")
