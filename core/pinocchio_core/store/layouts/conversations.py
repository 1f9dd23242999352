"""The layout of the database of conversations, made or brought up to date when it is opened."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import structs

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.layouts.opening import sound_probe
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import Dsn, dsn_of_path
from pinocchio_core.store.sqlite.files import create_file, real_path, require_plain_file
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.sqlite.living import Living
from pinocchio_core.store.tables.conversations import ConversationStore

APPLICATION_ID: Final = 0x50494E54
"""Marks the file as ours: `PINT` in ASCII."""
_STATEMENTS = (
    f"PRAGMA application_id = {APPLICATION_ID}",
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

_COLUMNS: Final = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"


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
    database = Database(dsn, admit=lambda: _require_current(dsn), make=lambda: _make(dsn))
    try:
        _require_ours(database)
        _bring_up_to_date(database)
        database.keep_watch()
        living = _living(dsn.path)
    except BaseException:
        database.close()
        raise
    return ConversationStore(database, living, clock=clock)


def _require_ours(database: Database) -> None:
    mark, tables = database.rows("PRAGMA application_id")[0][0], database.rows("SELECT 1 FROM sqlite_master")
    if mark != (APPLICATION_ID if tables else 0):
        raise DatabaseRefused(
            f"{database.dsn} is a database of another kind", next_step="name another file with --turns-db"
        )


def _require_current(dsn: Dsn) -> None:
    """Raise DatabaseRefused where a file that replaced the open one cannot be served without a new start."""
    with sound_probe(dsn) as probe:
        _require_ours(probe)
        missing = _columns_of_newest() - _columns(probe)
    if missing:
        raise DatabaseRefused(
            f"{dsn.path} is empty or has an older layout",
            next_step="start the server again, which brings it up to date",
        )


def _make(dsn: Dsn) -> None:
    """Make a new file where the one that is open was removed: what was said is gone, and chats go on."""
    if dsn.path is not None:
        create_file(dsn.path)
        with connected(dsn.path, mode="rw") as connection:
            for statement in _STATEMENTS:
                connection.execute(statement)


def _columns_of_newest() -> set[tuple[str, str]]:
    example = Database(dsn_of_path(":memory:"))
    try:
        _bring_up_to_date(example)
        return _columns(example)
    finally:
        example.close()


def _columns(database: Database) -> set[tuple[str, str]]:
    """The columns of every table, each with the name of the table."""
    return {(table, column) for table, column in database.rows(_COLUMNS)}


def _living(path: Path | None) -> Living:
    """After opening, so that a refused file leaves nothing beside it."""
    try:
        return Living(path)
    except OSError as error:
        raise DatabaseRefused(
            f"cannot lock a file beside {path}: {error.strerror}", next_step="name another file with --turns-db"
        ) from error


def _bring_up_to_date(database: Database) -> None:
    with database.write():
        for statement in _STATEMENTS:
            database.run(statement)
        if "owner" not in {row[1] for row in database.rows("PRAGMA table_info(conversations)")}:
            database.run("ALTER TABLE conversations ADD COLUMN owner TEXT")
