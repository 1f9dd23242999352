"""Putting a verified backup in the place of a database, stopped or served."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.copies.archive import is_archive
from pinocchio_core.store.copies.backup import copy_database, free_name, verify
from pinocchio_core.store.copies.checks import Inspection, Progress, inspect_database
from pinocchio_core.store.copies.unarchive import rebuild
from pinocchio_core.store.copies.unfinished import unfinished
from pinocchio_core.store.copies.versions import highest_version
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import Dsn, dsn_of_path
from pinocchio_core.store.sqlite.faults import fault_of, is_locked
from pinocchio_core.store.sqlite.files import require_plain_file, sync_folder
from pinocchio_core.store.sqlite.library import connected, library
from pinocchio_core.store.sqlite.presence import nobody_else
from pinocchio_core.store.tables.cursors import WebhookCursors
from pinocchio_core.store.tables.facts import VERSION_FLOOR, Facts

_SIDECARS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True)
class Restored:
    """What is in place now."""

    found: Inspection
    kept: Path | None
    """The database that was there before, `None` where there was none."""
    version_floor: int
    """Every later version is above it."""


def restore(backup: Path, dsn: Dsn, *, now: datetime, progress: Progress = lambda _, __: None) -> Restored:
    """Replace the database of stopped servers by a backup; it is one or the other at every moment.

    Raises:
        DatabaseRefused: the backup is not sound, a server or another program has the database open, or the place
            cannot be written; the database is then what it was.
    """
    database = _place(backup, dsn)
    _require_sound(backup, progress)
    with _ready(backup, database) as ready, nobody_else(database):
        floor = max(_settled(database), _highest(ready))
        _set_floor(ready, floor, now)
        kept = _keep(database, now) if database.exists() else None
        for suffix in _SIDECARS:
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        ready.replace(database)
        sync_folder(database.parent)
        found = inspect_database(database)
    return Restored(found, kept, floor)


def restore_live(backup: Path, dsn: Dsn, *, now: datetime, progress: Progress = lambda _, __: None) -> Restored:
    """Write a backup into the database that servers have open, in one transaction; they serve it at once.

    Raises:
        DatabaseRefused: as `restore`.
        StoreUnavailable: other writers did not let it in within the busy timeout.
    """
    database = _place(backup, dsn)
    _require_sound(backup, progress)
    with _ready(backup, database) as ready:
        opened = open_database(dsn)
        try:
            with opened.database.gate.hold():
                floor = max(highest_version(opened.database.connect()), _highest(ready))
                _set_floor(ready, floor, now)
                _give_pages_of(opened.database, ready)
                kept = _kept_name(database, now)
                with unfinished(kept, "restoring", database=database) as copy:
                    copy_database(database, copy)
                    os.link(copy, kept)
                try:
                    _overwrite(opened.database, ready)
                except BaseException:
                    kept.unlink()
                    raise
        finally:
            opened.database.close()
        return Restored(inspect_database(database), kept, floor)


def _place(backup: Path, dsn: Dsn) -> Path:
    if dsn.path is None:
        raise DatabaseRefused("a database in memory cannot be restored", next_step="name a database file")
    if dsn.read_only:
        raise DatabaseRefused(f"{dsn.path} is opened read-only", next_step="name it without mode=ro")
    require_plain_file(dsn.path)
    if dsn.path.exists() and backup.exists() and dsn.path.samefile(backup):
        raise DatabaseRefused(f"{backup} is the database itself", next_step="name a backup of it")
    return dsn.path.resolve()


def _require_sound(backup: Path, progress: Progress) -> None:
    found = verify(backup, progress=progress)
    if not found.sound:
        raise DatabaseRefused(
            f"{backup} is not sound: " + "; ".join(found.problems), next_step="restore another one; nothing was changed"
        )


@contextmanager
def _ready(backup: Path, database: Path) -> Iterator[Path]:
    """A copy of the backup beside the database, in the newest layout and complete in one file."""
    try:
        with unfinished(database, "restoring", database=database) as ready:
            (rebuild if is_archive(backup) else copy_database)(backup, ready)
            open_database(dsn_of_path(str(ready))).database.close()
            yield ready
    except OSError as error:
        raise DatabaseRefused(
            f"cannot write {database}: {error.strerror or error}", next_step="set its permissions, or make space"
        ) from error
    except library().errors as error:
        raise DatabaseRefused(
            f"cannot put {backup} in the place of {database}: {fault_of(error) or error}",
            next_step="end the programs that have it open, and check the free space; nothing was changed",
        ) from error


def _highest(path: Path) -> int:
    with connected(path) as connection:
        return highest_version(connection)


def _set_floor(ready: Path, floor: int, now: datetime) -> None:
    opened = open_database(dsn_of_path(str(ready)))
    try:
        with opened.database.write():
            facts = Facts(opened.database)
            facts.write(VERSION_FLOOR, floor, int(now.timestamp() * 1000))
            facts.keep_only(VERSION_FLOOR)  # what servers told each other before holds no more, such as who has a lease
            WebhookCursors(opened.database).lose()
        opened.database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        opened.database.close()


def _settled(database: Path) -> int:
    """Bring all of the old database into its main file; its highest version, 0 where it cannot be read.

    Raises:
        library().errors: another program has it open.
    """
    if not database.exists() or database.stat().st_size == 0:
        return 0
    try:
        with connected(database, mode="rw", timeout_s=1) as connection:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()  # only where nobody else has it open
            return highest_version(connection)
    except library().errors as error:
        if is_locked(error):
            raise
        return 0  # damaged, which is why it is replaced


def _keep(database: Path, now: datetime) -> Path:
    """Leave the old database under another name too, with what belongs to it."""
    kept = _kept_name(database, now)
    for suffix in ("", *_SIDECARS):
        with suppress(FileNotFoundError):
            os.link(f"{database}{suffix}", f"{kept}{suffix}")
    return kept


def _kept_name(database: Path, now: datetime) -> Path:
    return free_name(database.with_name(f"{database.name}.before-restore.{now:%Y%m%d-%H%M%S}"))


def _give_pages_of(target: Database, ready: Path) -> None:
    """Rewrite a file with pages as large as the database's, which SQLite does not change while that is open."""
    size = int(target.rows("PRAGMA page_size")[0][0])
    with connected(ready, mode="rw") as connection:
        if connection.execute("PRAGMA page_size").fetchall()[0][0] == size:
            return
        for statement in ("PRAGMA journal_mode = DELETE", f"PRAGMA page_size = {size}", "VACUUM"):
            connection.execute(statement).fetchall()


def _overwrite(target: Database, source: Path) -> None:
    with connected(source) as reader:
        library().copy(reader, target.connect())
    target.keep_note()
