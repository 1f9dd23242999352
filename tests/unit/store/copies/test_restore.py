"""Backups in the place of a database: what is kept, and what happens where that cannot be done."""

import json
from datetime import UTC, datetime

import pytest

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.copies.backup import make_backup
from pinocchio_core.store.copies.restore import restore, restore_live
from pinocchio_core.store.layouts.migrations import LATEST, migrate
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.layouts.original import LAYOUT
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import dsn_of_path, parse_dsn
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.sqlite.presence import Presence
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.filters import ProfileFilter

NOW = datetime(2026, 2, 23, 22, 0, tzinfo=UTC)


@pytest.fixture
def copy(store, add, path, tmp_path):
    """A backup with the profile `old`; the database has `new` besides."""
    add("old")
    make_backup(path, tmp_path / "copy", plugins={}, now=NOW)
    add("new")
    return tmp_path / "copy"


def slugs(path):
    with connected(path) as connection:
        return [slug for (slug,) in connection.execute("SELECT slug FROM profiles ORDER BY slug").fetchall()]


@pytest.mark.parametrize("act", [restore, restore_live])
def test_two_restores_in_one_second_keep_two_databases(store, copy, path, act):
    if act is restore:
        store.close()
    first = act(copy, dsn_of_path(str(path)), now=NOW).kept
    second = act(copy, dsn_of_path(str(path)), now=NOW).kept
    assert (first.name, second.name) == (
        "profiles.db.before-restore.20260223-220000",
        "profiles.db.before-restore.20260223-220000-2",
    )
    assert (slugs(first), slugs(second)) == (["new", "old"], ["old"])


def test_a_live_restore_that_a_writer_keeps_out_is_given_up_and_leaves_nothing(store, copy, path):
    before = {each.name for each in path.parent.iterdir()}
    with connected(path, mode="rw") as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseRefused, match="database is locked"):
            restore_live(copy, parse_dsn(f"file:{path}?_busy_timeout=50"), now=NOW)
        other.execute("ROLLBACK")
    assert slugs(path) == ["new", "old"]
    assert {each.name for each in path.parent.iterdir()} == before


@pytest.mark.parametrize("act", [restore, restore_live])
def test_a_database_that_is_named_as_read_only_is_not_replaced(store, copy, path, act):
    with pytest.raises(DatabaseRefused, match="is opened read-only"):
        act(copy, parse_dsn(f"file:{path}?mode=ro"), now=NOW)
    assert slugs(path) == ["new", "old"]


def test_a_server_that_was_started_through_a_link_is_seen(store, copy, path, tmp_path):
    presence = Presence(store.database.dsn.path)
    (tmp_path / "link.db").symlink_to(path)
    try:
        with pytest.raises(DatabaseRefused, match="a server has"):
            restore(copy, dsn_of_path(str(tmp_path / "link.db")), now=NOW)
    finally:
        presence.close()


@pytest.mark.parametrize("layout", range(LATEST + 1))
@pytest.mark.parametrize("act", [restore, restore_live])
def test_versions_go_on_above_those_of_a_database_of_any_layout(copy, tmp_path, act, layout):
    older, profile = tmp_path / "older.db", {"slug": "a", "metadata": {"version": 50}}
    row = {
        "slug": "default",
        "default_profile_slug": "a",
        "profiles": {"a": profile, "b": 7},
        "metadata": {"version": 9},
    }
    with connected(older, mode="rwc") as connection:
        connection.execute(LAYOUT)
        connection.execute("INSERT INTO profile_registries VALUES ('default', ?, 5)", (json.dumps(row),))
        connection.execute("INSERT INTO profile_registries VALUES ('broken', '{', 5)")
    database = Database(dsn_of_path(str(older)))
    migrate(database, upto=layout)
    database.close()
    assert act(copy, dsn_of_path(str(older)), now=NOW).version_floor == 50


def test_versions_go_on_above_those_in_the_tables_that_can_be_read(store, copy, path):
    store.close()
    with connected(path, mode="rw") as connection:
        connection.execute("UPDATE profiles SET version = 70 WHERE slug = 'new'")
        connection.execute("DROP TABLE profile_revisions")
    assert restore(copy, dsn_of_path(str(path)), now=NOW).version_floor == 70


@pytest.mark.parametrize("size", [512, 8192])
def test_a_live_restore_keeps_the_size_of_pages(store, copy, path, size):
    store.close()
    with connected(path, mode="rw") as connection:
        for statement in ("PRAGMA journal_mode = DELETE", f"PRAGMA page_size = {size}", "VACUUM"):
            connection.execute(statement).fetchall()
    served = Store(open_database(dsn_of_path(str(path))).database)
    try:
        assert restore_live(copy, dsn_of_path(str(path)), now=NOW).found.sound
        assert served.database.rows("PRAGMA page_size") == [(size,)]
        assert served.list_profiles("default", None, ProfileFilter(text="old")).slugs == ["old"]
    finally:
        served.close()
