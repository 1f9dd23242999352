"""The database's layout, step by step: numbered, forward only, each step in one transaction, at open."""

import time
from collections.abc import Callable
from typing import Final

from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables import cursors
from pinocchio_core.store.tables.search import fill

APPLICATION_ID: Final = 0x50494E4F
"""Marks the file as ours: `PINO` in ASCII."""

_TABLES = (
    """CREATE TABLE profile_registries (
        slug TEXT NOT NULL PRIMARY KEY,
        payload_json TEXT NOT NULL,
        updated_at_ms INTEGER NOT NULL DEFAULT 0,
        version INTEGER NOT NULL DEFAULT 1,
        default_profile_slug TEXT
    )""",
    # the payload comes last, so that what lists need is read without it: item_json is the profile in a list
    """CREATE TABLE profiles (
        registry_slug TEXT NOT NULL REFERENCES profile_registries (slug),
        slug TEXT NOT NULL,
        version INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL,
        display_name TEXT,
        description TEXT,
        tags_json TEXT,
        item_json TEXT NOT NULL,
        payload_sha256 TEXT NOT NULL,
        payload_json TEXT NOT NULL,
        PRIMARY KEY (registry_slug, slug)
    )""",
    """CREATE TABLE profile_revisions (
        seq INTEGER PRIMARY KEY,
        registry_slug TEXT NOT NULL,
        slug TEXT NOT NULL,
        version INTEGER NOT NULL,
        op TEXT NOT NULL,
        payload_json TEXT,
        actor TEXT NOT NULL,
        source TEXT NOT NULL,
        reason TEXT,
        at_ms INTEGER NOT NULL,
        UNIQUE (registry_slug, slug, version)
    )""",
)


def _first(database: Database) -> list[str]:
    """Create the tables, and move what the original program kept in its one table into them."""
    theirs = bool(database.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'profile_registries'"))
    if theirs:
        database.run("ALTER TABLE profile_registries RENAME TO legacy_profile_registries")
    for statement in _TABLES:
        database.run(statement)
    if not theirs:
        return []
    from pinocchio_core.store.layouts.legacy import split_registries  # few databases are the original's

    return split_registries(database, now_ms=time.time_ns() // 1_000_000)


def _facts(database: Database) -> list[str]:
    """Create the table of what servers tell each other."""
    database.run(
        "CREATE TABLE server_facts (name TEXT NOT NULL PRIMARY KEY, value_json TEXT NOT NULL, at_ms INTEGER NOT NULL)"
    )
    return []


_HISTORY = (
    "ALTER TABLE profile_revisions ADD COLUMN restored_from INTEGER",
    """CREATE TABLE profile_labels (
        registry_slug TEXT NOT NULL,
        slug TEXT NOT NULL,
        label TEXT NOT NULL,
        version INTEGER NOT NULL,
        protected INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL,
        updated_by TEXT NOT NULL,
        PRIMARY KEY (registry_slug, slug, label)
    )""",
    "CREATE INDEX profile_labels_by_name ON profile_labels (registry_slug, label, slug)",
    """CREATE TABLE profile_label_moves (
        seq INTEGER PRIMARY KEY,
        registry_slug TEXT NOT NULL,
        slug TEXT NOT NULL,
        label TEXT NOT NULL,
        version INTEGER,
        protected INTEGER NOT NULL,
        actor TEXT NOT NULL,
        source TEXT NOT NULL,
        reason TEXT,
        at_ms INTEGER NOT NULL
    )""",
    "CREATE INDEX profile_label_moves_of_label ON profile_label_moves (registry_slug, slug, label, seq)",
)


def _history(database: Database) -> list[str]:
    """Let revisions say what they brought back, and create labels of versions with where these pointed before."""
    for statement in _HISTORY:
        database.run(statement)
    return []


def _search(database: Database) -> list[str]:
    """Create what lists are searched by."""
    fill(database)
    return []


def _webhooks(database: Database) -> list[str]:
    """Create the table of how far each webhook is."""
    database.run(cursors.TABLE)
    return []


_STACKS = (
    """CREATE TABLE profile_extends (
        registry_slug TEXT NOT NULL,
        slug TEXT NOT NULL,
        base_registry TEXT NOT NULL,
        base_slug TEXT NOT NULL,
        pin TEXT NOT NULL,
        PRIMARY KEY (registry_slug, slug, base_registry, base_slug, pin)
    )""",
    "CREATE INDEX profile_extends_of_base ON profile_extends (base_registry, base_slug, pin, registry_slug, slug)",
)


def _stacks(database: Database) -> list[str]:
    """Create the table of which profiles build on which; no layout before this one has any that do."""
    for statement in _STACKS:
        database.run(statement)
    return []


MIGRATIONS: tuple[Callable[[Database], list[str]], ...] = (_first, _facts, _history, _search, _webhooks, _stacks)
"""Step N takes a database of version N to version N + 1 and returns notices for the operator."""

LATEST: Final = len(MIGRATIONS)
FIRST_WITH_LABELS: Final = MIGRATIONS.index(_history) + 1


def version_of(database: Database) -> int:
    """The layout's version, 0 for a new database and for one of the original program."""
    return int(database.rows("PRAGMA user_version")[0][0])


def migrate(database: Database, *, upto: int = LATEST) -> list[str]:
    """Bring the layout up to a version, unless it is beyond it; returns notices for the operator.

    Safe where several processes open one file at once: each step looks again inside its transaction.
    """
    notices: list[str] = []
    while version_of(database) < upto:
        with database.write():
            version = version_of(database)
            if version < upto:
                notices += MIGRATIONS[version](database)
                database.run(f"PRAGMA application_id = {APPLICATION_ID}")
                database.run(f"PRAGMA user_version = {version + 1}")
    return notices
