"""Profiles, registries and their history: what each write leaves in the tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pinocchio_core.domain.profile import Profile, Registry, RegistryMetadata
from pinocchio_core.errors import AlreadyExists, RegistryNotFound, RowUnreadable, VersionConflict
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.profiles import Written
from pinocchio_core.store.tables.rows import Author, StoredProfile, readable

Add = Callable[..., Written]
Made = Callable[..., Callable[[int, int], Profile]]


def row_of(store: Store, slug: str, registry: str = "default") -> StoredProfile:
    row = store.profiles.read(registry, slug)
    assert row is not None
    return row


def rename(store: Store, author: Author, slug: str, name: str) -> Written | None:
    old = row_of(store, slug).profile()

    def make(version: int, at_ms: int) -> Profile:
        metadata = structs.replace(old.metadata, version=version, updated_at_ms=at_ms)
        return structs.replace(old, display_name=name, metadata=metadata)

    with store.write():
        return store.profiles.replace(make, old=old, author=author)


def delete(store: Store, author: Author, slug: str) -> int:
    with store.write():
        return store.delete_profile(row_of(store, slug), author=author)


def history(store: Store, slug: str) -> list[tuple[Any, ...]]:
    columns = "version, op, payload_json IS NULL, actor, source, reason"
    return store.database.rows(f"SELECT {columns} FROM profile_revisions WHERE slug = ? ORDER BY seq", (slug,))


def damage(path: Path, sql: str) -> None:
    with connected(path, mode="rwc") as connection:
        connection.execute(sql)


def test_create_stores_a_document_ready_to_serve(store: Store, add: Add) -> None:
    written = add("a", display_name="A")
    assert written.profile.metadata.version == 1
    document = json.loads(row_of(store, "a").document)
    assert document["slug"] == "a"
    assert document["display_name"] == "A"
    assert document["is_default"] is False
    assert row_of(store, "a") == written.row
    assert store.profiles.read("default", "b") is None
    assert store.profiles.count("default") == 1


def test_create_refuses_a_slug_that_is_taken_and_a_registry_that_is_missing(store: Store, add: Add) -> None:
    add("a")
    with pytest.raises(AlreadyExists, match='profile "a" in registry "default" already exists') as caught:
        add("a")
    assert caught.value.current is not None
    assert caught.value.current["version"] == 1
    with pytest.raises(RegistryNotFound, match="nowhere"):
        add("a", "nowhere")


def test_create_refuses_a_version_of_a_profile_that_is_gone_and_writes_nothing(
    store: Store, made: Made, author: Author
) -> None:
    before = store.registries.head("default")
    with pytest.raises(VersionConflict, match="expected=3 actual=0"), store.write():
        store.profiles.create("default", "a", made("a"), author=author, expected_version=3)
    assert store.registries.head("default") == before
    assert history(store, "a") == []


def test_versions_go_on_after_a_delete(store: Store, add: Add, author: Author) -> None:
    add("a")
    rename(store, author, "a", "A")
    assert delete(store, author, "a") == 3
    assert add("a").profile.metadata.version == 4
    assert [(version, op) for version, op, *_ in history(store, "a")] == [
        (1, "create"),
        (2, "update"),
        (3, "delete"),
        (4, "create"),
    ]


def test_every_change_is_a_revision_with_its_author(store: Store, add: Add, author: Author) -> None:
    add("a")
    rename(store, author, "a", "A")
    delete(store, Author(actor="bob", source="cli"), "a")
    assert history(store, "a") == [
        (1, "create", 0, "ann", "test", "because"),
        (2, "update", 0, "ann", "test", "because"),
        (3, "delete", 1, "bob", "cli", None),
    ]


def test_a_change_and_its_revision_happen_together_or_not_at_all(
    store: Store, add: Add, made: Made, author: Author
) -> None:
    add("a")

    def fail() -> None:
        with store.write():
            store.profiles.create("default", "b", made("b"), author=author)
            store.delete_profile(row_of(store, "a"), author=author)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert len(history(store, "a")) == 1
    assert history(store, "b") == []
    assert store.profiles.read("default", "b") is None
    assert row_of(store, "a").version == 1


def test_every_write_to_a_profile_moves_its_registry(store: Store, add: Add, author: Author, clock: Any) -> None:
    seen = [store.registries.head("default")]
    for write in (lambda: add("a"), lambda: rename(store, author, "a", "A"), lambda: delete(store, author, "a")):
        clock.now_ms += 10
        write()
        seen.append(store.registries.head("default"))
    assert [head.version for head in seen] == [1, 2, 3, 4]
    assert [head.updated_at_ms for head in seen] == [1_000_000, 1_000_010, 1_000_020, 1_000_030]
    assert len({head.etag for head in seen}) == 4


def test_times_go_on_where_the_clock_is_set_back(store: Store, add: Add, author: Author, clock: Any) -> None:
    first = add("a").profile.metadata.updated_at_ms
    before = store.registries.head("default").updated_at_ms
    clock.now_ms = 5
    written = rename(store, author, "a", "A")
    assert written is not None
    assert written.profile.metadata.updated_at_ms == first + 1
    assert store.registries.head("default").updated_at_ms == before + 1


def test_replace_writes_nothing_over_a_row_that_has_moved_on(
    store: Store, add: Add, made: Made, author: Author
) -> None:
    old = add("a").profile
    rename(store, author, "a", "A")
    before = store.registries.head("default")
    with store.write():
        assert store.profiles.replace(made("a"), old=old, author=author) is None
        assert store.profiles.delete(StoredProfile("default", "a", b"", "", 1, False), author=author) is None  # noqa: FBT003  a row
    assert store.registries.head("default") == before
    assert row_of(store, "a").profile().display_name == "A"
    assert len(history(store, "a")) == 2


def test_the_default_is_part_of_the_document_and_of_the_etag(store: Store, add: Add, author: Author) -> None:
    add("a")
    plain = row_of(store, "a")
    with store.write():
        store.set_default("default", "a", author=author)
    row = row_of(store, "a")
    assert json.loads(row.document)["is_default"] is True
    assert row.version == plain.version
    assert row.etag != plain.etag
    assert rename(store, author, "a", "A").row.is_default  # type: ignore[union-attr]  # it is the only writer
    assert row_of(store, "a").etag != row.etag


def test_a_registry_whose_default_is_deleted_has_none(store: Store, add: Add, author: Author) -> None:
    add("a")
    with store.write():
        store.set_default("default", "a", author=author)
    delete(store, author, "a")
    assert store.registries.head("default").default_profile_slug is None
    assert [op for _, op, *_ in history(store, "")] == ["create_registry", "set_default", "set_default"]


@pytest.mark.parametrize(
    "sql",
    [
        'UPDATE profiles SET payload_json = replace(payload_json, \'"slug":"a"\', \'"slug":"x"\') WHERE slug = \'a\'',
        "UPDATE profiles SET payload_json = '' WHERE slug = 'a'",
        "UPDATE profiles SET payload_json = CAST(x'ff' AS TEXT) WHERE slug = 'a'",
        "UPDATE profiles SET payload_sha256 = 'x' WHERE slug = 'a'",
    ],
)
def test_a_row_that_was_damaged_is_not_served_and_the_others_are(
    store: Store, add: Add, author: Author, path: Path, sql: str
) -> None:
    add("a")
    add("b")
    damage(path, sql)
    row = row_of(store, "a")
    with pytest.raises(
        RowUnreadable, match='the stored profile "a" in registry "default" is unreadable: its payload does not match'
    ):
        _ = row.document
    with pytest.raises(RowUnreadable, match="does not match its checksum"):
        row.profile()
    assert readable(row) is None
    assert json.loads(row_of(store, "b").document)["slug"] == "b"
    assert delete(store, author, "a") == 2
    assert add("a").profile.metadata.version == 3


def test_a_payload_that_is_no_profile_is_unreadable_though_its_checksum_holds(
    store: Store, add: Add, path: Path
) -> None:
    add("a")
    sha256_of_empty_object = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    damage(path, f"UPDATE profiles SET payload_json = '{{}}', payload_sha256 = '{sha256_of_empty_object}'")
    with pytest.raises(RowUnreadable, match="it is not a profile"):
        row_of(store, "a").profile()


def test_a_registry_that_is_damaged_hides_no_other_and_none_of_its_profiles(store: Store, add: Add, path: Path) -> None:
    add("a")
    damage(path, "UPDATE profile_registries SET payload_json = '{'")
    (row,) = store.registries.all()
    with pytest.raises(RowUnreadable, match='the stored registry "default" is unreadable'):
        row.registry()
    assert json.loads(row_of(store, "a").document)["slug"] == "a"
    assert store.registries.head("default").version == 2


def test_a_registry_goes_on_counting_after_its_slug_was_deleted(store: Store, author: Author) -> None:
    metadata = RegistryMetadata(created_at_ms=1, created_by="ann", updated_by="ann", source="test")
    team = Registry(slug="team", metadata=metadata)
    with store.write():
        store.registries.insert(team, author)
    with pytest.raises(AlreadyExists, match='registry "team" already exists'), store.write():
        store.registries.insert(team, author)
    with store.write():
        assert not store.registries.delete("team", version=2, author=author)
        assert store.registries.delete("team", version=1, author=author)
    with pytest.raises(RegistryNotFound, match="team"):
        store.registries.read("team")
    with store.write():
        store.registries.insert(team, author)
    assert store.registries.read("team").version == 3


def test_replace_of_a_registry_is_guarded_by_its_version(store: Store, add: Add, author: Author) -> None:
    row = store.registries.read("default")
    add("a")
    changed = structs.replace(row.registry(), display_name="Team")
    with store.write():
        assert not store.registries.replace(changed, version=row.version, op="update_registry", author=author)
        assert store.registries.replace(changed, version=row.version + 1, op="update_registry", author=author)
    now = store.registries.read("default")
    assert (now.version, now.registry().display_name, now.profile_count) == (3, "Team", 1)


def test_the_query_of_the_runbook_says_when_something_was_written_last(
    store: Store, add: Add, clock: Any, path: Path
) -> None:
    clock.now_ms = 2_000_000
    add("a")
    with connected(path, mode="rwc") as connection:
        rows = connection.execute("SELECT slug, updated_at_ms FROM profile_registries ORDER BY slug;").fetchall()
    assert rows == [("default", 2_000_000)]
