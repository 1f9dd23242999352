"""Opening the store that options name, to look at it or to change it."""

import getpass
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from msgspec import structs

from pinocchio_core.bootstrap import version
from pinocchio_core.errors import DatabaseRefused, SettingsError
from pinocchio_core.host.host import Host
from pinocchio_core.plugin.types import StartupInfo
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.upkeep.health import RowHealth
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.settings import DEFAULT_REGISTRY, conversations_beside, parse_store
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import Dsn
from pinocchio_core.store.sqlite.presence import Presence
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import Author

SOURCE: Final = "cli"


@contextmanager
def opened_store(profile_registry_db: str | None, profile_registry_dsn: str | None) -> Iterator[Store]:
    """The store, read-only; SettingsError where it is one that no other program can see."""
    dsn = _dsn(profile_registry_db, profile_registry_dsn)
    with _closed(structs.replace(dsn, uri_parameters={**dsn.uri_parameters, "mode": "ro"})) as store:
        yield store


@contextmanager
def writable_store(profile_registry_db: str | None, profile_registry_dsn: str | None) -> Iterator[Store]:
    """The store to write to, which must be there already; as `opened_store` otherwise.

    Servers may have it open, and nobody restores it meanwhile. An empty file is none, and does not become one here.
    """
    dsn = _dsn(profile_registry_db, profile_registry_dsn)
    writable = dsn if dsn.read_only else structs.replace(dsn, uri_parameters={**dsn.uri_parameters, "mode": "rw"})
    _require_content(dsn.path)
    with _closed(writable) as store, ExitStack() as present:
        path = store.database.dsn.path
        if path is not None and not store.database.read_only:
            present.enter_context(closing(Presence(path)))
        yield store


@contextmanager
def plugins_told(host: Host, store: Store, default_registry: str = DEFAULT_REGISTRY) -> Iterator[None]:
    """Plugins are told of the database, as when a server starts and stops, by who then asks them about profiles.

    Raises:
        StartupError: a plugin is at fault, or fails.
    """
    host.require_sound(serving=False)
    with told(host, store.database.dsn.path, default_registry):
        host.require_sound(serving=False)
        yield


@contextmanager
def told(host: Host, path: Path | None, default_registry: str = DEFAULT_REGISTRY) -> Iterator[None]:
    """As `plugins_told`, of a database at a path or in memory; those that fail are among the host's faults."""
    try:
        host.startup(
            StartupInfo(
                version=version(),
                default_registry=default_registry,
                database_path=path,
                conversations_path=None if path is None else conversations_beside(path),
            )
        )
        yield
    finally:
        host.shutdown()


@contextmanager
def writable_profiles(host: Host, default_registry: str, **where: str | None) -> Iterator[tuple[Store, ProfileWrites]]:
    """The store, to be written the way that requests are.

    Raises:
        StartupError: there is no such database, or it cannot be opened, or a plugin fails.
    """
    host.require_sound(serving=False)
    with writable_store(**where) as store, plugins_told(host, store, default_registry):
        health = RowHealth(store, Validation(host))
        yield store, ProfileWrites(store, host, health, default_registry=default_registry)


def cli_author() -> Author:
    """Who writes from the command line: the user that is logged in."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())  # a user without a name, as in containers
    return Author(actor=f"cli:{name}", source=SOURCE)


def _dsn(profile_registry_db: str | None, profile_registry_dsn: str | None) -> Dsn:
    dsn = parse_store(profile_registry_db, profile_registry_dsn)
    if dsn.path is None:
        raise SettingsError("a database in memory is another one for each program", next_step="name a database file")
    return dsn


def _require_content(path: Path | None) -> None:
    if path is not None and path.is_file() and not path.stat().st_size:
        raise DatabaseRefused(f"{path} is empty, which is no database", next_step="name another file")


@contextmanager
def _closed(dsn: Dsn) -> Iterator[Store]:
    store = Store(open_database(dsn).database)
    try:
        yield store
    finally:
        store.close()
