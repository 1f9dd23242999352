"""Opening a database: make it, or make sure it is ours, before anything in it is touched."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, structs

from pinocchio_core.errors import DatabaseRefused, StoreReadOnly, StoreUnavailable
from pinocchio_core.store.layouts import migrations
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import Dsn, dsn_of_path
from pinocchio_core.store.sqlite.faults import faults, is_locked
from pinocchio_core.store.sqlite.files import create_file, real_path, require_plain_file
from pinocchio_core.store.sqlite.library import connected, library, sqlite_version
from pinocchio_core.store.tables.search import SHADOWS

_PAUSE_S = 0.01
OLDEST_SQLITE = (3, 35, 0)
"""The first with RETURNING."""


class Opened(Struct, frozen=True):
    """An open database and what is to be told about opening it."""

    database: Database
    created: bool
    notices: tuple[str, ...]


def open_database(dsn: Dsn) -> Opened:
    """Open the database, creating it or bringing its layout up to date where needed.

    Raises:
        DatabaseRefused: it cannot be opened, or is not ours to touch; the text says what to do.
    """
    if library().version < OLDEST_SQLITE:
        raise DatabaseRefused(
            f"SQLite {sqlite_version()} is too old",
            next_step="pip install 'pinocchio-webchat[apsw]', which brings a newer one",
        )
    created = dsn.path is None
    if dsn.path is not None:
        with _refused(dsn.path):
            created = _prepare(dsn, dsn.path)
        path = real_path(dsn.path)
        dsn = _as_writable(structs.replace(dsn, path=path), path)
        if not created:
            _require_ours(dsn, path)
    database = Database(dsn, admit=lambda: _require_current(dsn))
    try:
        with _refused(dsn.path):
            _connect(database)
            notices = () if dsn.read_only else tuple(migrations.migrate(database))
            database.keep_watch()
    except BaseException:
        database.close()
        raise
    return Opened(database, created, notices)


def journal_mode(database: Database) -> str:
    """How the database is journalled, for example `wal`."""
    return str(database.rows("PRAGMA journal_mode")[0][0])


def _connect(database: Database) -> None:
    """Open the first connection, which puts a new file into its journal mode.

    SQLite does not wait for that: it fails at once while another process looks at the file.
    """
    deadline = time.monotonic() + database.dsn.busy_timeout_ms / 1000
    while True:
        try:
            database.connect()
        except faults() as error:
            if not is_locked(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _prepare(dsn: Dsn, path: Path) -> bool:
    """Make sure that there is a file; True where the database is new."""
    require_plain_file(path)
    if dsn.read_only or dsn.uri_parameters.get("mode") == "rw":
        if not path.exists():
            raise DatabaseRefused(f"there is no database at {path}", next_step="check the path")
        return False
    return create_file(path) or path.stat().st_size == 0


def _as_writable(dsn: Dsn, path: Path) -> Dsn:
    """The DSN, read-only where the file or its folder cannot be written."""
    if dsn.read_only or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return dsn
    # a write-ahead log cannot be opened in a folder that cannot be written, unless nobody else writes either
    sealed = {} if os.access(path.parent, os.W_OK) else {"immutable": "1"}
    return structs.replace(dsn, uri_parameters={**dsn.uri_parameters, "mode": "ro", **sealed})


def _require_ours(dsn: Dsn, path: Path) -> None:
    """Raise DatabaseRefused, with the file untouched, where it is not a database of ours or of the original program."""
    sealed = {"immutable": "1"} if dsn.uri_parameters.get("immutable") == "1" else {}
    probe = Database(structs.replace(dsn, pragmas={}, uri_parameters={"mode": "ro", **sealed}))
    try:
        with _refused(path):
            if not dsn.read_only:
                _roll_back(probe, dsn, path)
            application_id = probe.rows("PRAGMA application_id")[0][0]
            version = migrations.version_of(probe)
            tables = _tables(probe)
    finally:
        probe.close()
    theirs = application_id == 0 and (version != 0 or (tables and "profile_registries" not in tables))
    if application_id not in (0, migrations.APPLICATION_ID) or theirs:
        raise DatabaseRefused(
            f"{path} is a database of another program (application_id {application_id:#x})",
            next_step="name another file; this one was not touched",
        )
    if version > migrations.LATEST:
        raise DatabaseRefused(
            f"{path} was written by a newer version of this program (layout {version}, this one knows"
            f" {migrations.LATEST})",
            next_step="install that version or a newer one; the file was not touched",
        )
    damaged = sorted(name for name, sql in _expected_tables().items() if tables.get(name) != sql)
    if version == migrations.LATEST and damaged:
        raise DatabaseRefused(
            f"{path} is damaged: its table {damaged[0]} is not as this program makes it",
            next_step="restore it from a backup, or name another file; this one was not touched",
        )
    if dsn.read_only and version < migrations.LATEST:
        raise DatabaseRefused(
            f"{path} has an older layout and is opened read-only",
            next_step="open it once with `pinocchio web-chat` where it can be written",
        )


def _roll_back(probe: Database, dsn: Dsn, path: Path) -> None:
    """Where a writer was ended in a transaction and left a rollback journal, let SQLite take back what it did.

    Until then nobody can read the database who may not write it.
    """
    try:
        migrations.version_of(probe)
    except StoreReadOnly:
        with connected(path, mode="rw", timeout_s=dsn.busy_timeout_ms / 1000) as writer:
            writer.execute("PRAGMA user_version").fetchall()


def _tables(database: Database) -> dict[str, str]:
    """The statement that made each table."""
    rows = database.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    return {name: sql for name, sql in rows if not name.startswith(SHADOWS)}


def _expected_tables() -> dict[str, str]:
    """The tables of a database of the newest layout."""
    example = Database(dsn_of_path(":memory:"))
    try:
        migrations.migrate(example)
        return _tables(example)
    finally:
        example.close()


def _require_current(dsn: Dsn) -> None:
    """Raise DatabaseRefused where a file that replaced the open one cannot be served without a new start."""
    if dsn.path is None:
        return
    _require_ours(dsn, dsn.path)
    with sound_probe(dsn) as probe:
        version = migrations.version_of(probe)
    if version != migrations.LATEST:
        raise DatabaseRefused(
            f"{dsn.path} has layout {version}, this program {migrations.LATEST}",
            next_step="start the server again, which brings it up to date",
        )


@contextmanager
def sound_probe(dsn: Dsn) -> Iterator[Database]:
    """The database opened read-only for the block, after SQLite has looked at every page of it.

    Raises:
        DatabaseRefused: it is damaged, or cannot be read.
    """
    probe = Database(structs.replace(dsn, pragmas={}, uri_parameters={"mode": "ro"}))
    try:
        with _refused(dsn.path):
            damage = str(probe.rows("PRAGMA quick_check(1)")[0][0])
            if damage != "ok":
                raise DatabaseRefused(f"it is damaged: {damage}", next_step="restore it from a backup")
            yield probe
    finally:
        probe.close()


@contextmanager
def _refused(path: Path | None) -> Iterator[None]:
    """Turn what goes wrong while opening into one line for the operator."""
    try:
        yield
    except DatabaseRefused:
        raise
    except OSError as error:
        raise DatabaseRefused(
            f"cannot open the database {path}: {error.strerror or error}",
            next_step="choose a path that this user can write, or set its permissions",
        ) from error
    except (StoreUnavailable, StoreReadOnly) as error:
        raise _cannot_open(path, error) from error
    except faults() as error:
        raise _cannot_open(path, error) from error


def _cannot_open(path: Path | None, error: Exception) -> DatabaseRefused:
    reason = error.reason if isinstance(error, StoreUnavailable) else str(error)
    return DatabaseRefused(f"cannot open the database {path}: {reason}", next_step=_advice(error))


def _advice(error: Exception) -> str:
    text = str(error)
    if "NOTADB" in text or "damaged" in text:
        return "restore it from a backup, or name another file; this one was not touched"
    if "fts5" in text:
        return "run it with a Python whose SQLite has FTS5"
    if "locked" in text:
        return "find the program that holds it, or wait until it is done"
    return "check the path, its permissions and the free space"
