"""Opening the store that options name, to look at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pinocchio_core.errors import SettingsError
from pinocchio_core.settings import parse_store
from pinocchio_core.store.opening import open_database
from pinocchio_core.store.store import Store


@contextmanager
def opened_store(profile_registry_db: str | None, profile_registry_dsn: str | None) -> Iterator[Store]:
    """The store, read-only; SettingsError where it is one that no other program can see."""
    dsn = parse_store(profile_registry_db, profile_registry_dsn)
    if dsn.path is None:
        raise SettingsError("a database in memory is another one for each program", next_step="name a database file")
    store = Store(open_database(replace(dsn, uri_parameters={**dsn.uri_parameters, "mode": "ro"})).database)
    try:
        yield store
    finally:
        store.close()
