"""The highest version that anything in a database ever had, whatever its layout."""

from collections.abc import Iterator
from typing import Final

from pinocchio_core.store.copies.checks import tables_of
from pinocchio_core.store.layouts.legacy import versions_in
from pinocchio_core.store.sqlite.faults import is_locked
from pinocchio_core.store.sqlite.library import Connection, library
from pinocchio_core.store.tables.facts import VERSION_FLOOR

_HIGHEST: Final = {
    "profile_revisions": "SELECT max(CAST(version AS INTEGER)) FROM profile_revisions",
    "profiles": "SELECT max(CAST(version AS INTEGER)) FROM profiles",
    "profile_registries": "SELECT max(CAST(version AS INTEGER)) FROM profile_registries",
    "server_facts": f"SELECT CAST(value_json AS INTEGER) FROM server_facts WHERE name = '{VERSION_FLOOR}'",
}
_ORIGINAL: Final = "SELECT CAST(payload_json AS BLOB) FROM profile_registries"


def highest_version(connection: Connection) -> int:
    """The highest version in the tables that are there and can be read; 0 where there is none.

    Raises:
        library().errors: another program has the database open.
    """
    try:
        tables = tables_of(connection)
    except library().errors as error:
        _require_not_locked(error)
        return 0
    if "profiles" not in tables:
        return max(_in_original(connection), default=0) if "profile_registries" in tables else 0
    return max(_in_tables(connection, tables), default=0)


def _in_tables(connection: Connection, tables: set[str]) -> Iterator[int]:
    for table in sorted(_HIGHEST.keys() & tables):
        try:
            rows = connection.execute(_HIGHEST[table]).fetchall()
        except library().errors as error:
            _require_not_locked(error)
        else:
            yield from (int(version or 0) for (version,) in rows)


def _in_original(connection: Connection) -> Iterator[int]:
    try:
        for (payload,) in connection.execute(_ORIGINAL):
            yield from versions_in(payload)
    except library().errors as error:
        _require_not_locked(error)


def _require_not_locked(error: Exception) -> None:
    """Go on where a table is damaged: that may be why the database is replaced."""
    if is_locked(error):
        raise error
