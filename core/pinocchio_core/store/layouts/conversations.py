"""The layout of the database of conversations, made or brought up to date when it is opened."""

from collections.abc import Callable
from typing import Final

from msgspec import structs

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import Dsn
from pinocchio_core.store.sqlite.files import create_file, real_path, require_plain_file
from pinocchio_core.store.tables.conversations import ConversationStore

APPLICATION_ID: Final = 0x50494E54
"""Marks the file as ours: `PINT` in ASCII."""
_TABLES = (
    """CREATE TABLE IF NOT EXISTS conversations (
        conv_id TEXT NOT NULL PRIMARY KEY,
        created_at_ms INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL,
        state_json TEXT NOT NULL DEFAULT '{}',
        owner TEXT
    )""",
    """CREATE TABLE IF NOT EXISTS turns (
        conv_id TEXT NOT NULL REFERENCES conversations (conv_id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        turn_id TEXT NOT NULL,
        status TEXT NOT NULL,
        idempotency_key TEXT,
        request_sha256 TEXT NOT NULL,
        registry TEXT NOT NULL,
        profile TEXT NOT NULL,
        runtime_key TEXT NOT NULL,
        profile_version INTEGER NOT NULL,
        runtime_fingerprint TEXT NOT NULL,
        plugins_json TEXT NOT NULL,
        server_process INTEGER NOT NULL,
        started_at_ms INTEGER NOT NULL,
        ended_at_ms INTEGER,
        blocks_json TEXT NOT NULL,
        answer_json TEXT,
        PRIMARY KEY (conv_id, number)
    )""",
    "CREATE UNIQUE INDEX IF NOT EXISTS turns_by_key ON turns (conv_id, idempotency_key)",
    "CREATE INDEX IF NOT EXISTS conversations_by_time ON conversations (updated_at_ms)",
)


def open_conversations(dsn: Dsn, *, clock: Callable[[], int]) -> ConversationStore:
    """Open the database of conversations, or make it.

    Raises:
        DatabaseRefused: it is another program's, or cannot be opened.
    """
    if dsn.path is not None:
        require_plain_file(dsn.path)
        try:
            create_file(dsn.path)
        except OSError as error:
            raise DatabaseRefused(
                f"cannot make {dsn.path}: {error.strerror}", next_step="name another file with --turns-db"
            ) from error
        dsn = structs.replace(dsn, path=real_path(dsn.path))
    database = Database(dsn)
    try:
        _require_ours(database)
        _bring_up_to_date(database)
    except BaseException:
        database.close()
        raise
    return ConversationStore(database, clock=clock)


def _require_ours(database: Database) -> None:
    mark, tables = database.rows("PRAGMA application_id")[0][0], database.rows("SELECT 1 FROM sqlite_master")
    if mark != (APPLICATION_ID if tables else 0):
        raise DatabaseRefused(
            f"{database.dsn} is a database of another kind", next_step="name another file with --turns-db"
        )


def _bring_up_to_date(database: Database) -> None:
    with database.write():
        for statement in _TABLES:
            database.run(statement)
        if "owner" not in {row[1] for row in database.rows("PRAGMA table_info(conversations)")}:
            database.run("ALTER TABLE conversations ADD COLUMN owner TEXT")
        database.run(f"PRAGMA application_id = {APPLICATION_ID}")
