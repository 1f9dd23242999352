from datetime import UTC, datetime

import pytest

from pinocchio_core.store.copies import backup
from pinocchio_core.store.copies.checks import inspect_database
from pinocchio_core.store.copies.restore import restore
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.tables.rows import Author

NOW = datetime(2026, 2, 23, 22, 0, tzinfo=UTC)


@pytest.fixture
def point(store, add):
    """Points labels of a profile with one version: `point("beta")`."""
    add("x")

    def put(label, *, version=1, protected=False):
        with store.write():
            old = store.labels.read("default", "x", label)
            return store.labels.put(
                "default", "x", label, version, protected=protected, author=Author("ann", "test", "r"), old=old
            )

    return put


def test_a_label_is_later_than_it_was_even_where_the_clock_is_set_back(store, clock, point):
    first = point("beta")
    clock.now_ms -= 1000
    second = point("beta", protected=True)

    assert second.updated_at_ms == first.updated_at_ms + 1
    assert store.labels.read("default", "x", "beta") == second
    assert [move.protected for move in store.labels.moves("default", "x", "beta", limit=9)] == [True, False]


def test_a_label_that_was_removed_leaves_its_moves(store, point):
    label = point("beta")
    with store.write():
        store.labels.remove(label, author=Author("bob", "test"))

    assert store.labels.of_profile("default", "x") == []
    assert [(each.version, each.actor) for each in store.labels.moves("default", "x", "beta", limit=9)] == [
        (None, "bob"),
        (1, "ann"),
    ]
    assert len(store.labels.moves("default", "x", "beta", limit=1)) == 1


def test_moves_are_walked_along_their_index(store):
    plan = store.database.rows(
        "EXPLAIN QUERY PLAN SELECT version FROM profile_label_moves"
        " WHERE registry_slug = 'a' AND slug = 'b' AND label = 'c' ORDER BY seq DESC"
    )

    assert [row[3].split(" (")[0] for row in plan] == [
        "SEARCH profile_label_moves USING INDEX profile_label_moves_of_label"
    ]


def test_a_transaction_that_fails_moves_nothing(store, point):
    point("beta")
    with pytest.raises(RuntimeError), store.write():  # noqa: PT012  # what fails is the block
        old = store.labels.read("default", "x", "beta")
        store.labels.put("default", "x", "beta", 2, protected=True, author=Author("ann", "test"), old=old)
        raise RuntimeError

    assert store.labels.read("default", "x", "beta").version == 1
    assert len(store.labels.moves("default", "x", "beta", limit=9)) == 1


def test_labels_are_part_of_what_a_backup_is_checked_for_and_come_back(store, path, point):
    before = inspect_database(path).content_sha256
    point("beta")
    changed = inspect_database(path).content_sha256
    copy = path.with_name("copy.db")
    backup.make_backup(path, copy, plugins={}, now=NOW)
    with store.write():
        store.labels.remove(store.labels.read("default", "x", "beta"), author=Author("ann", "test"))
    store.close()
    restored = restore(copy, dsn_of_path(str(path)), now=NOW)

    assert before != changed
    assert restored.found.content_sha256 == changed
