"""The peers' table and its rows: the same documents, in the columns that an application with an ORM would make.

One file serves FastAPI, Flask and Datasette. It is in WAL mode, and every profile has a row of history, as ours has.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE profile (
    slug VARCHAR NOT NULL PRIMARY KEY,
    display_name VARCHAR,
    description VARCHAR,
    version INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    runtime JSON NOT NULL,
    policy JSON NOT NULL,
    tags JSON NOT NULL,
    extensions JSON NOT NULL
);
CREATE TABLE profile_revision (
    seq INTEGER PRIMARY KEY,
    slug VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    op VARCHAR NOT NULL,
    document JSON NOT NULL,
    at_ms INTEGER NOT NULL,
    UNIQUE (slug, version)
);
"""
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
"""What a connection is told first: the durability that our store has."""

CONNECTIONS = 100
"""That peers keep. With SQLAlchemy's default of 15, FastAPI answers 500 to some of 64 clients: threads that wait for a
connection are the threads that would give one back."""
LOCK_TIMEOUT_S = 30
"""How long a peer's write waits for another one; SQLite is not fair to those that wait."""


def fill(ours: Path, path: Path) -> None:
    """Write the profiles of one of our databases into a new file of the peers at `path`."""
    with sqlite3.connect(f"file:{ours}?mode=ro", uri=True) as source, sqlite3.connect(path) as target:
        target.executescript(TABLES)
        columns = "slug, display_name, description, version, created_at_ms, updated_at_ms, runtime, policy, tags"
        target.executemany(f"INSERT INTO profile ({columns}, extensions) VALUES ({', '.join('?' * 10)})", _rows(source))
        target.execute(
            "INSERT INTO profile_revision (slug, version, op, document, at_ms)"
            " SELECT slug, version, 'create', runtime, updated_at_ms FROM profile"
        )
    source.close()
    target.close()


def _rows(source: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    for (text,) in source.execute("SELECT payload_json FROM profiles ORDER BY slug"):
        document = json.loads(text)
        about = document["metadata"]
        yield (
            document["slug"],
            document.get("display_name"),
            document.get("description"),
            about["version"],
            about["created_at_ms"],
            about["updated_at_ms"],
            *(json.dumps(part) for part in (document["runtime"], document["policy"], about.get("tags", []))),
            json.dumps(document.get("extensions", {})),
        )
