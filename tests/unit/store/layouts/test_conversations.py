"""The database of conversations: another file in its place is noticed, and nothing goes into the wrong one."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.store.layouts.conversations import open_conversations
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.tables.conversations import ConversationStore

_ADD = "INSERT INTO conversations (conv_id, created_at_ms, updated_at_ms) VALUES (?, 1, 1)"


def opened(path: Path) -> ConversationStore:
    return open_conversations(dsn_of_path(str(path)), clock=lambda: 1)


def add(store: ConversationStore, conv_id: str) -> None:
    store.database.group.run(lambda: store.database.run(_ADD, (conv_id,)))


def names(store: ConversationStore) -> list[str]:
    return [row[0] for row in store.database.rows("SELECT conv_id FROM conversations ORDER BY conv_id")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "profiles.turns.db"


@pytest.fixture
def store(path: Path) -> Iterator[ConversationStore]:
    with closing(opened(path)) as made:
        add(made, "ours")
        yield made


def test_nothing_goes_into_a_file_that_was_replaced_and_the_next_goes_into_the_new(
    store: ConversationStore, path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    with closing(opened(other)) as theirs:
        add(theirs, "theirs")
    other.replace(path)
    with pytest.raises(StoreUnavailable, match="which is served from now on"):
        add(store, "lost")
    assert names(store) == ["theirs"]
    add(store, "next")
    store.close()
    with connected(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM conversations").fetchall() == [(2,)]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE t (x)", "is a database of another kind"),
        (None, "is empty or has an older layout"),
        ("ALTER TABLE conversations DROP COLUMN owner", "is empty or has an older layout"),
    ],
)
def test_a_file_that_is_not_one_to_serve_is_not_served(
    store: ConversationStore, path: Path, tmp_path: Path, statement: str | None, reason: str
) -> None:
    other = tmp_path / "other.db"
    if statement is None:
        other.touch()
    else:
        if statement.startswith("ALTER"):
            opened(other).close()
        with connected(other, mode="rwc") as connection:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            connection.execute(statement)
    other.replace(path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=reason):
            add(store, "lost")
    with pytest.raises(StoreUnavailable, match="cannot be served"):
        names(store)


def test_a_file_that_was_removed_is_made_anew(store: ConversationStore, path: Path) -> None:
    path.unlink()
    with pytest.raises(StoreUnavailable, match="which is served from now on"):
        add(store, "lost")
    add(store, "next")
    assert names(store) == ["next"]
    store.close()
    with closing(opened(path)) as again:
        assert names(again) == ["next"]
