"""What is remembered of the rows written last, and when a change may be made from it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pinocchio_core.domain.profile import Profile
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite import other_writers
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables import recent as module
from pinocchio_core.store.tables.profiles import Written
from pinocchio_core.store.tables.recent import Recent
from pinocchio_core.store.tables.rows import Author

Add = Callable[..., Written]


def rename_from(store: Store, author: Author, recent: Recent, name: str) -> Written | None:
    """As a change does whose draft was made from what is remembered; inside a transaction."""
    old = recent.row.profile()
    return store.profiles.replace(named(old, name), old=old, author=author, recent=recent)


def named(old: Profile, name: str) -> Callable[[int, int], Profile]:
    def make(version: int, at_ms: int) -> Profile:
        metadata = structs.replace(old.metadata, version=version, updated_at_ms=at_ms)
        return structs.replace(old, display_name=name, metadata=metadata)

    return make


def recent_of(store: Store, slug: str) -> Recent:
    recent = store.profiles.recent("default", slug)
    assert recent is not None
    return recent


def stored(store: Store, slug: str = "a") -> tuple[int, str | None]:
    row = store.profiles.read("default", slug)
    assert row is not None
    return row.version, row.profile().display_name


def test_what_was_written_is_remembered_with_each_version(store: Store, add: Add, author: Author) -> None:
    add("a")
    with store.write():
        assert rename_from(store, author, recent_of(store, "a"), "A")
    with store.write():
        assert rename_from(store, author, recent_of(store, "a"), "AA")
    row = store.profiles.read("default", "a")
    assert stored(store) == (3, "AA")
    assert row == recent_of(store, "a").row


def test_a_change_is_not_made_from_what_has_moved_on(store: Store, add: Add, author: Author) -> None:
    add("a")
    old = recent_of(store, "a")
    with store.write():
        assert rename_from(store, author, old, "first")
    with store.write():
        assert rename_from(store, author, old, "second") is None
    assert stored(store) == (2, "first")


def test_a_change_is_not_made_from_what_was_taken_back(store: Store, add: Add, author: Author) -> None:
    add("a")
    before = recent_of(store, "a")
    with store.write(dry_run=True):
        assert rename_from(store, author, before, "taken back")
    never = recent_of(store, "a")
    with store.write():
        assert rename_from(store, author, never, "from nothing") is None
    with store.write():  # another version 2, from what is stored
        old = before.row.profile()
        assert store.profiles.replace(named(old, "real"), old=old, author=author)
    with store.write():
        assert rename_from(store, author, never, "from nothing") is None
    assert stored(store) == (2, "real")


def test_a_change_is_not_made_from_anything_older_than_a_write_of_others(
    store: Store, path: Path, add: Add, author: Author
) -> None:
    add("a")
    add("b")
    old, other_old = recent_of(store, "a"), recent_of(store, "b")
    with connected(path, mode="rw") as other:
        other.execute("UPDATE profiles SET payload_json = '{}' WHERE slug = 'a'")
    with store.write():
        assert rename_from(store, author, old, "lost") is None
    with store.write():
        assert rename_from(store, author, other_old, "lost") is None


def test_a_second_store_on_the_file_is_one_of_the_others(store: Store, path: Path, add: Add, author: Author) -> None:
    add("a")
    remembered = recent_of(store, "a")
    old = remembered.row.profile()
    second = Store(open_database(dsn_of_path(str(path))).database)
    try:
        with second.write():
            assert second.profiles.replace(named(old, "theirs"), old=old, author=author)
    finally:
        second.close()
    with store.write():
        assert rename_from(store, author, remembered, "ours") is None
    assert stored(store) == (2, "theirs")


def test_nothing_is_remembered_while_others_write(
    store: Store, path: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("a")
    with connected(path, mode="rw") as other:
        other.execute("INSERT INTO server_facts VALUES ('test', '1', 0)")
    add("b")
    assert store.profiles.recent("default", "b") is None
    monkeypatch.setattr(other_writers, "QUIET_S", 0.0)
    assert store.profiles.recent("default", "b") is not None


def test_what_was_deleted_is_not_remembered(store: Store, add: Add, author: Author) -> None:
    row = add("a").row
    with store.write():
        store.delete_profile(row, author=author)
    assert store.profiles.recent("default", "a") is None


def test_only_so_much_is_remembered(store: Store, add: Add, author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(add("a").row.payload)
    monkeypatch.setattr(module, "MOST_BYTES", 4 * size)
    for slug in "bcd":
        add(slug)
    with store.write():  # the one that was written last stays longest
        assert rename_from(store, author, recent_of(store, "b"), "")
    add("e")
    kept = {slug for slug in "abcde" if store.profiles.recent("default", slug)}
    assert kept == {"b", "d", "e"}


def test_what_is_very_long_is_not_remembered(store: Store, add: Add) -> None:
    fields: dict[str, Any] = {"description": "x" * module.LONGEST}
    add("a", **fields)
    assert store.profiles.recent("default", "a") is None
