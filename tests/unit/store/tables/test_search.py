"""What lists are searched by: it finds what a scan would find, and is written with each change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinocchio_core.domain.profile import MiddlewareUse, Runtime
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables import search
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.store.tables.profiles import Written
from pinocchio_core.store.tables.rows import Author

Add = Callable[..., Written]
TEXTS = st.text(st.sampled_from(list('aAbÄäß"*% -\n\0\x1f\ufffd\ufffe\uffff😀')), max_size=6)


def found(store: Store, registry: str = "default", **wanted: Any) -> tuple[list[str], int | None]:
    """The slugs of the first page, and how many there are."""
    page = store.list_profiles(registry, None, ProfileFilter(**{"limit": 100, **wanted}))
    return page.slugs, page.total


def rows(store: Store) -> list[Any]:
    """Everything that lists are searched by."""
    texts = store.database.rows("SELECT registry_slug, slug, text FROM profile_texts ORDER BY 1, 2")
    return [*texts, *store.database.rows("SELECT * FROM profile_terms ORDER BY 1, 2, 3, 4")]


def change_inside(store: Store, author: Author, slug: str, **changes: Any) -> None:
    row = store.profiles.read("default", slug)
    assert row
    old = row.profile()
    tags = changes.pop("tags", old.metadata.tags)

    def make(version: int, at_ms: int) -> Any:
        metadata = msgspec.structs.replace(old.metadata, version=version, updated_at_ms=at_ms, tags=tags)
        return msgspec.structs.replace(old, metadata=metadata, **changes)

    assert store.profiles.replace(make, old=old, author=author)


def change(store: Store, author: Author, slug: str, **changes: Any) -> None:
    with store.write():
        change_inside(store, author, slug, **changes)


def require_sound_index(store: Store) -> None:
    """That the index has the texts as they are, by SQLite's own check."""
    with store.write():
        store.database.run("INSERT INTO profile_trigrams (profile_trigrams, rank) VALUES ('integrity-check', 1)")


def uses(*names: str) -> Runtime:
    return Runtime(middlewares=tuple(MiddlewareUse(name=name, id=f"{n}") for n, name in enumerate(names)))


def test_profiles_are_found_by_the_middlewares_that_they_use(store: Store, add: Add, author: Author) -> None:
    add("a", runtime=uses("sqlite", "sqlite"))
    add("b", runtime=uses("agentmode", "sqlite"))
    add("c", description="sqlite")
    assert found(store, middleware="sqlite") == (["a", "b"], 2)
    change(store, author, "b", runtime=uses("agentmode"))
    assert found(store, middleware="sqlite") == (["a"], 1)
    assert found(store, middleware="SQLITE") == ([], 0)


def test_profiles_are_found_by_when_they_were_changed(store: Store, add: Add, author: Author, clock: Any) -> None:
    for slug in "abc":
        add(slug)
    clock.now_ms += 100
    change(store, author, "b", description="new")
    assert found(store, changed_since_ms=clock.now_ms) == (["b"], 1)
    assert found(store, changed_since_ms=clock.now_ms - 100) == (["a", "b", "c"], 3)
    assert found(store, changed_since_ms=clock.now_ms + 1) == ([], 0)


def test_the_total_counts_all_pages_and_is_not_asked_for_without_pages(store: Store, add: Add) -> None:
    for slug in "abcd":
        add(slug, tags=("t",), display_name="hit" if slug != "b" else None)
    assert found(store, limit=2) == (["a", "b"], 4)
    assert found(store, limit=1, tag="t", text="hit", after="a") == (["c"], 3)
    assert found(store, limit=None, tag="t") == (["a", "b", "c", "d"], None)


def test_a_text_is_searched_in_its_own_registry(store: Store, add: Add, author: Author) -> None:
    other = msgspec.structs.replace(store.registries.read("default").registry(), slug="other")
    with store.write():
        store.registries.insert(other, author)
    for number in range(3):
        add(f"same-{number}")
        add(f"same-{number}", "other")
    assert found(store, text="same") == (["same-0", "same-1", "same-2"], 3)
    assert found(store, "other", text="same-1") == (["same-1"], 1)
    assert found(store, "default", text="other") == ([], 0)


def test_what_many_profiles_have_is_found_page_by_page(store: Store, add: Add) -> None:
    for number in range(2100):
        add(f"p{number:04}", description="needle", tags=("t",))
    assert found(store, text="needle", limit=2, after="p1999") == (["p2000", "p2001"], 2100)
    assert found(store, changed_since_ms=1, limit=2, after="p1999") == (["p2000", "p2001"], 2100)
    assert found(store, changed_since_ms=1, text="p20", limit=2) == (["p2000", "p2001"], 100)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.tuples(TEXTS, TEXTS), max_size=3), needle=TEXTS.filter(lambda text: text.strip(" \n")))
def test_a_text_is_found_exactly_where_it_is(
    store: Store, add: Add, author: Author, texts: list[tuple[str, str]], needle: str
) -> None:
    with store.write():
        for row in store.database.rows("SELECT slug FROM profiles"):
            profile = store.profiles.read("default", row[0])
            assert profile
            store.profiles.delete(profile, author=author)
    for number, (name, description) in enumerate(texts):
        add(f"p{number}", display_name=name or None, description=description or None)
    small = search.lowered(needle)
    expected = [
        f"p{number}"
        for number, fields in enumerate(texts)
        if any(small in search.lowered(text) for text in (*fields, f"p{number}"))
    ]
    assert found(store, text=needle) == (expected, len(expected))
    assert found(store, text=needle, limit=None)[0] == expected


def test_a_change_of_something_else_writes_no_row_of_it(store: Store, add: Add, author: Author) -> None:
    add("a", tags=("t",), runtime=uses("sqlite"), description="d")
    add("b")  # so that a text that is written again has another number
    written = "SELECT id, text FROM profile_texts", "SELECT * FROM profile_terms", "SELECT * FROM profile_trigrams_data"
    before = [store.database.rows(sql) for sql in written]
    change(store, author, "a", extensions={"acme.x@v1": msgspec.Raw(b"1")})
    assert [store.database.rows(sql) for sql in written] == before
    change(store, author, "a", description="other")
    assert [store.database.rows(sql) for sql in written] != before


def test_the_changes_of_one_transaction_make_one_piece_of_the_index(store: Store, add: Add, author: Author) -> None:
    for slug in "cab":
        add(slug, description=slug)
    pieces = "SELECT count(DISTINCT segid) FROM profile_trigrams_idx"
    before = store.database.rows(pieces)[0][0]
    with store.write():
        for slug in "bcab":
            change_inside(store, author, slug, description=f"new {slug}")
    assert store.database.rows(pieces) == [(before + 1,)]
    assert found(store, text="new") == (["a", "b", "c"], 3)


def test_the_index_follows_whatever_one_transaction_does(
    store: Store, add: Add, author: Author, made: Callable[..., Any]
) -> None:
    def remove(slug: str) -> None:
        row = store.profiles.read("default", slug)
        assert row
        store.profiles.delete(row, author=author)

    for slug in "abc":
        add(slug, description="old")
    with store.write():
        change_inside(store, author, "b", description="passing")
        change_inside(store, author, "b", description="lasting")
        remove("c")
        store.profiles.create("default", "c", made("c", description="lasting"), author=author)
        store.profiles.create("default", "d", made("d", description="passing"), author=author)
        remove("d")
        remove("a")
    require_sound_index(store)
    assert [found(store, text=text)[0] for text in ("old", "passing", "lasting")] == [[], [], ["b", "c"]]


def test_a_transaction_that_is_taken_back_leaves_nothing_for_the_next_one(
    store: Store, add: Add, author: Author
) -> None:
    add("a", description="old")
    add("b")
    with store.write(dry_run=True):
        change_inside(store, author, "a", description="never")
    change(store, author, "b", description="other")
    require_sound_index(store)
    assert found(store, text="old") == (["a"], 1)
    assert found(store, text="never") == ([], 0)


def test_what_a_migration_fills_in_is_what_writes_would_have_written(store: Store, add: Add) -> None:
    add("a", tags=("t", "u", "t"), runtime=uses("sqlite", "agentmode"), display_name="A B", description="Ä\0b\nC")
    add("b", description="Words")
    expected = rows(store)
    with store.write():
        for name in ("profile_trigrams", "profile_texts", "profile_terms"):
            store.database.run(f"DROP TABLE {name}")
        store.database.run("DROP INDEX profiles_by_time")
        store.database.run(
            "INSERT INTO profiles SELECT registry_slug, 'broken', 1, 1, NULL, NULL, '[', '[', 'x', '{\"runtime\":"
            '{"middlewares":[1,null,{"name":null}]}}\' FROM profiles WHERE slug = \'b\''
        )
        search.fill(store.database)
    assert rows(store) == sorted([*expected[:2], ("default", "broken", "broken\n\n")]) + expected[2:]
    assert found(store, text="words") == (["b"], 1)
    assert found(store, text="roke") == (["broken"], 1)


@pytest.mark.parametrize("left", ["profiles", "profile_texts"])
def test_rows_that_somebody_left_behind_keep_no_profile_from_being_made(
    store: Store, add: Add, path: Path, left: str
) -> None:
    add("a", description="old", tags=("t",))
    gone = "profile_texts" if left == "profiles" else "profiles"
    with connected(path, mode="rwc") as connection:
        connection.execute(f"DELETE FROM {gone}")
    if left == "profile_texts":
        add("a", description="new", tags=("t",))
        assert found(store, text="new") == (["a"], 1)
    add("b", description="new")
    assert "b" in found(store, text="new")[0]
