"""Backups that the server makes by itself, one server of all those on a database.

Who makes the next one holds a lease in the database, and renews it while it works; the lease of one that died runs
out. When the last one was made is in the database too, so that a restart makes none too many.
"""

import logging
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pinocchio_core.errors import PinocchioError
from pinocchio_core.service.upkeep.leases import Lease
from pinocchio_core.service.upkeep.schedule import Schedule
from pinocchio_core.store.copies.backup import backup_name, make_backup
from pinocchio_core.store.copies.kept import prune
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.facts import Facts

LAST_BACKUP: Final = "last_backup"
"""The fact: `at_ms`, `path` and `profiles` of the newest verified one."""
BACKUP_FAILURE: Final = "backup_failure"
"""The fact: `at_ms` and `reason` of an attempt since then, `null` where none failed."""
BACKUP_LEASE: Final = "backup_lease"
"""The fact: who is making one, and until when nobody else does."""

_RETRY_MS: Final = 60_000
_LONGEST_PAUSE_S: Final = 30.0
_LATE: Final = 2
"""How many times its interval a backup may be old before the server says that it is too old."""

log = logging.getLogger("pinocchio.backup")


class _Stopped(Exception):
    """The server ends, or another one may be making backups now, so the backup is given up."""


class ScheduledBackups:
    """A thread that makes the backups of a schedule; `start` it when the program serves, `stop` it before the store."""

    def __init__(self, store: Store, schedule: Schedule, *, database: Path, plugins: Mapping[str, str]) -> None:
        """`plugins` are the distributions and their versions, for the manifests."""
        self._store = store
        self._schedule = schedule
        self._database = database
        self._plugins = plugins
        self._facts = Facts(store.database)
        self._lease = Lease(store, BACKUP_LEASE)
        self._began_ms = store.now_ms()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backups", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a backup that is being made is given up and leaves nothing behind."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def age_s(self) -> float | None:
        """The age of the newest verified backup, `None` where there is none.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        last = self._facts.read(LAST_BACKUP)
        return None if last is None else max(0, self._store.now_ms() - last["at_ms"]) / 1000

    def reasons(self) -> list[str]:
        """What is wrong with the backups; StoreUnavailable where the database cannot be read now."""
        failure, age_s = self._facts.read(BACKUP_FAILURE), self.age_s()
        since_s = (self._store.now_ms() - self._began_ms) / 1000 if age_s is None else age_s
        reasons = [f"the last backup failed: {failure['reason']}"] if failure else []
        if since_s > _LATE * self._schedule.every_s:
            old = "there is no verified backup" if age_s is None else f"the last verified backup is {age_s:.0f} s old"
            reasons.append(f"{old}; there should be one every {self._schedule.every_s:.0f} s")
        return reasons

    def turn(self) -> bool:
        """Make a backup where one is due and no other server makes it; True where one was made.

        Raises:
            StoreUnavailable: the database cannot be read or written now.
        """
        if not self._due() or not self._lease.take(self._due):
            return False
        try:
            made = self._make()
        except PinocchioError as error:
            log.error("no backup was made: %s", error)  # noqa: TRY400  the text says all that there is to know
            self._settle({BACKUP_FAILURE: {"at_ms": self._store.now_ms(), "reason": str(error)}})
            return False
        except _Stopped:
            self._settle({})
            return False
        except Exception as error:  # a fault of ours is no reason to try again at once either
            self._settle(
                {BACKUP_FAILURE: {"at_ms": self._store.now_ms(), "reason": f"{type(error).__name__}: {error}"}}
            )
            raise
        self._settle({LAST_BACKUP: made, BACKUP_FAILURE: None})
        self._prune(Path(made["path"]))
        return True

    def _run(self) -> None:
        pause_s = min(_LONGEST_PAUSE_S, self._schedule.every_s / 4)
        while not self._stopping.is_set():
            try:
                self.turn()
            except PinocchioError as error:
                log.warning("the backups have to wait: %s", error)
            except Exception:  # the server goes on, and the next attempt may go well
                log.exception("making a backup failed")
            self._stopping.wait(pause_s)

    def _due(self) -> bool:
        now_ms, last, failure = self._store.now_ms(), self._facts.read(LAST_BACKUP), self._facts.read(BACKUP_FAILURE)
        if failure and 0 <= now_ms - failure["at_ms"] < min(_RETRY_MS, self._schedule.every_s * 1000):
            return False
        return last is None or not 0 <= now_ms - last["at_ms"] < self._schedule.every_s * 1000  # or of the future

    def _make(self) -> dict[str, Any]:
        now, at_ms = datetime.now().astimezone(), self._store.now_ms()
        destination = backup_name(self._database, now, self._schedule.folder)
        manifest = make_backup(
            self._database, destination, plugins=self._plugins, now=now, progress=lambda _, __: self._go_on()
        )
        log.info("backup %s: %d profiles, verified", destination, manifest.profiles)
        return {"at_ms": at_ms, "path": str(destination), "profiles": manifest.profiles}

    def _prune(self, made: Path) -> None:
        """Remove older ones, when the new one counts already."""
        pruned = prune(
            self._database,
            self._schedule.folder,
            keep=self._schedule.keep,
            max_age_s=self._schedule.max_age_s,
            now=datetime.now().astimezone(),
            made=made,
        )
        log.info("backup %s is the newest; %d older removed", made, len(pruned.removed))
        for failure in pruned.failures:
            log.warning("%s", failure)

    def _go_on(self) -> None:
        """While a copy is verified: end where the server does, and keep the lease or end where it is lost."""
        if self._stopping.is_set() or not self._lease.keep():
            raise _Stopped

    def _settle(self, facts: Mapping[str, Any]) -> None:
        """Write what came of it, and give the lease back."""
        now_ms = self._store.now_ms()
        with self._store.write():
            for name, value in facts.items():
                self._facts.write(name, value, now_ms)
            self._lease.give_back()
