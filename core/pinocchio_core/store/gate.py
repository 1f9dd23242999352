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
from contextlib import contextmanager
from pathlib import Path

from pinocchio_core.errors import StoreUnavailable

try:
    import fcntl
except ImportError:  # Windows: writers of several processes meet in SQLite's own lock
    fcntl = None  # type: ignore[assignment]  # the branch that uses it asks first


class WriteGate:
    """A lock among the threads of this process, then one on a file beside the database among processes."""

    def __init__(self, path: Path | None, *, timeout_ms: int) -> None:
        """`path` is the file to lock, `None` for a database that no other process can open."""
        self._timeout_s = timeout_ms / 1000
        self._lock = threading.Lock()
        self._file = None if path is None or fcntl is None else os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Be the only writer.

        Raises:
            StoreUnavailable: another writer did not let go within the busy timeout.
        """
        deadline = time.monotonic() + self._timeout_s
        if not self._lock.acquire(timeout=self._timeout_s):
            raise StoreUnavailable("another write of this server did not end within the busy timeout")
        try:
            self._lock_file(deadline)
            try:
                yield
            finally:
                self._unlock_file()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lock_file(self, deadline: float) -> None:
        if self._file is None:
            return
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    reason = "another process did not end its write within the busy timeout"
                    raise StoreUnavailable(reason) from None
                time.sleep(random.uniform(0.0002, 0.002))  # noqa: S311  jitter, no secret
            else:
                return

    def _unlock_file(self) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
