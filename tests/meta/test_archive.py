"""Portable archives hold every table there is."""

from pinocchio_core.store.copies.archive import LEGACY, TABLES
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path


def test_every_table_is_in_archives_or_is_an_index_of_one():
    """A migration that adds a table has to add it to TABLES, after what it refers to."""
    database = open_database(dsn_of_path(":memory:")).database
    try:
        kinds = {name: kind for _, name, kind, *_ in database.rows("PRAGMA main.table_list")}
        known = [table.name for table in TABLES]
        for table in TABLES[: known.index(LEGACY)]:
            assert database.rows(f"SELECT count(*) FROM {table.name} WHERE {table.where} ORDER BY {table.order}")
    finally:
        database.close()
    stored = {name for name, kind in kinds.items() if kind == "table" and not name.startswith("sqlite_")}

    assert stored == set(known) - {LEGACY}
