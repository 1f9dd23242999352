"""The troubleshooting table of docs/operate.md as checks on one database; nothing is changed by them."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.upgrades.config_migration import ConfigMigration
from pinocchio_core.store.copies.checks import Inspection, Progress, inspect_database
from pinocchio_core.store.copies.documents import stored_documents
from pinocchio_core.store.copies.kept import list_backups
from pinocchio_core.store.layouts.migrations import FIRST_WITH_LABELS
from pinocchio_core.store.sqlite.dsn import Dsn
from pinocchio_core.store.sqlite.files import loose_permissions, real_path, require_plain_file
from pinocchio_core.store.sqlite.keeper import wal_bytes
from pinocchio_core.store.sqlite.library import Connection, connected, library, library_text
from pinocchio_core.store.sqlite.presence import servers_with
from pinocchio_core.store.tables.labels import LOST_LABELS
from pinocchio_core.store.tables.rows import readable

State = Literal["ok", "warning", "wrong"]

_LEAST_FREE_BYTES: Final = 64 << 20
_SHORT_WAIT_MS: Final = 1000
"""A busy timeout below it refuses writes that would soon get in."""
_LOCK_PATIENCE_S: Final = 1.0
_SAFE_SQLITE: Final = (3, 51, 3)
"""The first without a fault of its write-ahead log that checkpoints of several processes can bring on."""
_NAMED = 5


@dataclass(frozen=True)
class Check:
    """What one look at a database came to."""

    name: str
    state: State
    detail: str
    next_step: str | None = None


def diagnose(
    dsn: Dsn,
    path: Path,
    host: Host,
    *,
    registry: str,
    backups: Path,
    max_backup_age_s: float,
    now: datetime,
    progress: Progress = lambda _, __: None,
) -> Iterator[Check]:
    """Look at the database at `path`, one check after another; the last ones only where it can be read.

    `backups` is the folder that they are in.
    """
    yield _plugins(host)
    try:
        require_plain_file(path)
        real = real_path(path)
        wal, servers = wal_bytes(f"{real}-wal"), servers_with(real)
        found = inspect_database(path, progress=progress, judge=Validation(host).stored_problems)
    except DatabaseRefused as error:
        yield Check("database", "wrong", str(error), error.next_step)
        return
    yield _database(found)
    yield _rows(found)
    yield _refused(found)
    yield _configs(path if found.layout else None, host)
    yield from _readings(dsn, path, registry)
    yield _servers(servers)
    yield _log(real, wal, servers)
    yield _permissions(path, backups)
    yield _space(path, found)
    yield _backups(path, backups, max_backup_age_s, now)


def _plugins(host: Host) -> Check:
    faults = [record.line() for record in host.faults]
    if faults:
        return Check("plugins", "wrong", _several(faults), "repair or remove them; `pinocchio plugins` lists all")
    return Check("plugins", "ok", ", ".join(sorted(record.source for record in host.records)) or "none")


def _database(found: Inspection) -> Check:
    text = f"{found.profiles} profiles in {found.registries} registries, {found.size_bytes:,} bytes"
    return Check("database", "ok", f"{text}, layout {found.layout}")


def _rows(found: Inspection) -> Check:
    if found.problems:
        step = "replace or delete what is named, or restore a backup; everything else is served"
        return Check("rows", "wrong", _several(found.problems), step)
    if found.lost:
        step = "go by other versions; an older backup may still have these"
        return Check("rows", "warning", "of the history is broken: " + _several(found.lost), step)
    return Check("rows", "ok", "every page and document is what was written")


def _refused(found: Inspection) -> Check:
    if found.refused:
        step = "install the missing plugin, or change the profile; it is served as it is"
        return Check("profiles", "warning", "would be refused: " + _several(found.refused), step)
    return Check("profiles", "ok", "the installed plugins accept all of them")


def _configs(path: Path | None, host: Host) -> Check:
    migration, outdated = ConfigMigration(host.catalog), []
    for document in stored_documents(path) if path else ():
        profile = None if document.label else readable(document.row)
        found = migration.of(profile) if profile else None
        if found and (found.reason or found.failures or found.left_behind):
            outdated.append(f'profile "{document.row.slug}" in registry "{document.row.registry}"')
    if outdated:
        step = "`pinocchio plugins check` says more, `pinocchio plugins migrate` carries them over"
        return Check("configs", "warning", "for another version of their middleware: " + _several(outdated), step)
    return Check("configs", "ok", "all are for the installed versions of their middlewares")


def _readings(dsn: Dsn, path: Path, registry: str) -> Iterator[Check]:
    """What takes a connection. This one stays open until the end, so that no other is the last and tidies up."""
    with connected(path) as connection:
        yield _default(connection, registry)
        yield _labels(connection)
        yield from _webhooks(connection)
        yield _journal(dsn, str(connection.execute("PRAGMA journal_mode").fetchall()[0][0]))
        yield _lock(path)


def _default(connection: Connection, registry: str) -> Check:
    if connection.execute("PRAGMA user_version").fetchall()[0][0] == 0:
        return Check("default", "ok", "layout of the original program; the first start brings it into this one's")
    sql = "SELECT default_profile_slug FROM profile_registries WHERE slug = ?"
    rows = connection.execute(sql, (registry,)).fetchall()
    if not rows:
        step = "name another with --default-registry; the next start creates this one"
        return Check("default", "warning", f'there is no registry "{registry}"', step)
    if rows[0][0] is None:
        step = "POST /api/chat/profiles/{slug}/default chooses one"
        return Check("default", "warning", f'registry "{registry}" has no default profile', step)
    return Check("default", "ok", f'profile "{rows[0][0]}" in registry "{registry}"')


def _labels(connection: Connection) -> Check:
    if connection.execute("PRAGMA user_version").fetchall()[0][0] < FIRST_WITH_LABELS:
        return Check("labels", "ok", "an older layout, which has none")
    lost = [
        f"{slug}@{label} of registry {registry}" for registry, slug, label in connection.execute(LOST_LABELS).fetchall()
    ]
    if lost:
        step = "point each at a version that is there, or remove it"
        return Check("labels", "wrong", "these point at no version that can be used: " + _several(lost), step)
    return Check("labels", "ok", "each points at a version that is there")


def _webhooks(connection: Connection) -> Iterator[Check]:
    """Those that fail; nothing in a database of an older layout."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'webhook_cursors'").fetchall():
        return
    sql = "SELECT name, last_error, attempts FROM webhook_cursors ORDER BY name"
    found = connection.execute(sql).fetchall()
    failing = [f"{name} fails: {error}" for name, error, attempts in found if attempts]
    if failing:
        step = "repair its receiver; it goes on where it was, after it was given up once a server was started again"
        yield Check("webhooks", "warning", _several(failing), step)
    else:
        yield Check("webhooks", "ok", ", ".join(name for name, _, __ in found) or "none")


def _journal(dsn: Dsn, mode: str) -> Check:
    synchronous, wait_ms = str(dsn.pragmas["synchronous"]), dsn.busy_timeout_ms
    text = f"journal mode {mode}, synchronous {synchronous}, busy timeout {wait_ms} ms, {library_text()}"
    if mode in ("off", "memory"):
        return Check("journal", "wrong", text, "a crash can destroy the file: use _journal_mode=WAL")
    if synchronous in ("OFF", "NORMAL"):
        return Check("journal", "warning", text, "a loss of power may take acknowledged writes: use _synchronous=FULL")
    if wait_ms < _SHORT_WAIT_MS:
        return Check("journal", "warning", text, "writes are refused that would soon get in: use _busy_timeout=5000")
    if library().version < _SAFE_SQLITE:
        text += " (let no program but this one make checkpoints: before 3.51.3 two at a time can lose a write)"
    return Check("journal", "ok", text)


def _lock(path: Path) -> Check:
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        step = "set the permissions of the file and its folder, unless this is meant"
        return Check("writing", "warning", "this user may not write it, so writes are answered with 403", step)
    try:
        with connected(path, mode="rw", timeout_s=_LOCK_PATIENCE_S) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except library().errors as error:
        step = "end the program that holds the lock, a `sqlite3` shell perhaps; `lsof` names those that have it open"
        return Check("writing", "wrong", f"a write cannot begin: {error}", step)
    return Check("writing", "ok", "a write can begin")


def _servers(servers: list[int] | None) -> Check:
    if servers is None:
        return Check("servers", "ok", "none has it open")
    return Check("servers", "ok", f"open in process {', '.join(map(str, servers)) or 'unknown'}")


def _log(path: Path, wal: int, servers: list[int] | None) -> Check:
    if not wal:
        return Check("log", "ok", "the main file alone is complete")
    if servers is None:
        text = f"{path}-wal has {wal:,} bytes of a server that was killed"
        return Check("log", "warning", text, "start a server, which brings them in; until then copy and remove nothing")
    return Check("log", "ok", f"{wal:,} bytes are in {path}-wal; servers bring them in when writes pause")


def _permissions(path: Path, backups: Path) -> Check:
    loose = loose_permissions(path, backups)
    if loose:
        return Check("permissions", "warning", _several(loose), "run the commands")
    return Check("permissions", "ok", "nobody else can get at it")


def _space(path: Path, found: Inspection) -> Check:
    free, needed = shutil.disk_usage(path.parent).free, max(2 * found.size_bytes, _LEAST_FREE_BYTES)
    text = f"{free:,} bytes are free on its disk"
    if free < needed:
        return Check("space", "warning", text, f"make space: a backup and a restore need {needed:,} bytes")
    return Check("space", "ok", text)


def _backups(database: Path, folder: Path, max_age_s: float, now: datetime) -> Check:
    verified = [each for each in list_backups(database, folder, now=now) if each.verified]
    step = "`pinocchio profiles backup`, or have the server do it: --backup-dir, --backup-every"
    if not verified:
        return Check("backups", "warning", f"no verified backup is in {folder}", step)
    age_s = (now.astimezone() - datetime.fromisoformat(verified[0].created_at)).total_seconds()
    text = f"the newest verified one of {len(verified)} is of {verified[0].created_at}"
    if not 0 <= age_s <= max_age_s:  # or of a time that has not come
        return Check("backups", "warning", text, step)
    return Check("backups", "ok", text)


def _several(texts: tuple[str, ...] | list[str]) -> str:
    more = f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more
