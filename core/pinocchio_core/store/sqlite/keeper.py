"""Keeping the main file of a served database complete, so that a plain copy of a quiet server is a backup.

Once writes have been quiet for QUIET_S, everything is brought from the write-ahead log into the main file. After
every commit that would cost two thirds of the write rate; once a pause costs next to nothing.
"""

import logging
import os
import threading
from typing import Final

from pinocchio_core.errors import PinocchioError
from pinocchio_core.store.sqlite.database import Database

QUIET_S: Final = 0.25
_LOOK_S: Final = 1.0
"""How often to look for what other processes wrote, and whether the file is still the same."""
_PATIENCE_MS: Final = 100
"""How long a checkpoint may keep writers waiting for a reader to end."""
_LONGEST_PAUSE_S: Final = 10.0
_LARGE_WAL_BYTES: Final = 64 * 1024 * 1024

log = logging.getLogger("pinocchio.store")


class Keeper:
    """A thread that looks after an open, writable database file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wal = None if database.dsn.path is None else f"{database.dsn.path}-wal"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._said: str | None = None

    def start(self) -> None:
        """Begin, where there is something to look after."""
        if self._wal is not None and not self._database.read_only:
            self._thread.start()

    def stop(self) -> None:
        """End, and leave the main file complete where no other program keeps us from it."""
        self._stopping.set()
        self._database.written.set()  # wakes it
        if self._thread.ident is None:
            return
        self._thread.join()
        self._attempt(self._database.dsn.busy_timeout_ms)

    def _run(self) -> None:
        written, pause_s = self._database.written, _LOOK_S
        while not self._stopping.is_set():
            written.wait(pause_s)
            written.clear()
            try:
                self._watch()
                done = not wal_bytes(self._wal) or not self._quiet() or self._attempt(_PATIENCE_MS)
            except Exception:  # nobody else would look after the file until the next start
                log.exception("looking after %s failed", self._database.dsn)
                done = False
            pause_s = _LOOK_S if done else min(2 * pause_s, _LONGEST_PAUSE_S)

    def _quiet(self) -> bool:
        """Wait until nobody has written for QUIET_S; False where the end comes first."""
        seen, unchanged_s = _state(self._wal), 0.0
        while unchanged_s < QUIET_S:
            if self._stopping.wait(QUIET_S / 2):
                return False
            now = _state(self._wal)
            seen, unchanged_s = now, unchanged_s + QUIET_S / 2 if now == seen else 0.0
        return True

    def _attempt(self, wait_ms: int) -> bool:
        try:
            done = self._database.checkpoint(wait_ms=wait_ms)
        except PinocchioError as error:
            self._say(f"no checkpoint: {error}")
            return False
        size = wal_bytes(self._wal)
        if done or size < _LARGE_WAL_BYTES:
            self._say(None)
        else:
            self._say(f"the write-ahead log has {size:,} bytes: a program that reads {self._database.dsn} does not end")
        return done

    def _watch(self) -> None:
        if self._database.looks_the_same():
            return
        try:
            self._database.watch()
            self._say(None)
        except PinocchioError as error:
            self._say(str(error))

    def _say(self, text: str | None) -> None:
        """Log a warning once, not again until something else is true."""
        if text is not None and text != self._said:
            log.warning(text)
        self._said = text


def wal_bytes(path: str | None) -> int:
    """The size of a write-ahead log, 0 where there is none."""
    return (_state(path) or (0, 0))[0]


def _state(path: str | None) -> tuple[int, int] | None:
    try:
        found = os.stat(path or "")  # noqa: PTH116  several times a second
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
