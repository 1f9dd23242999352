"""When pages are cut from a whole list, and that they are the pages that would be read."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinocchio_core.domain.profile import OPEN_POLICY, Metadata, Profile, Registry, RegistryMetadata, Runtime
from pinocchio_core.service import whole_lists
from pinocchio_core.service.whole_lists import WholeLists
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.blocking import WouldBlock, no_blocking
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.store.tables.listing import Page
from pinocchio_core.store.tables.rows import Author

AUTHOR = Author(actor="ann", source="test")
PAGE = ProfileFilter(limit=2)


def opened(path: str) -> Store:
    store = Store(open_database(dsn_of_path(path)).database)
    insert(store, "default")
    return store


def insert(store: Store, registry: str) -> None:
    metadata = RegistryMetadata(created_at_ms=1, created_by="ann", updated_by="ann", source="test")
    with store.write():
        store.registries.insert(Registry(slug=registry, metadata=metadata), AUTHOR)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = opened(str(tmp_path / "profiles.db"))
    yield store
    store.close()


@pytest.fixture
def lists(store: Store) -> WholeLists:
    return WholeLists(store)


def add(store: Store, *slugs: str) -> None:
    with store.write():
        for slug in slugs:
            store.profiles.create("default", slug, partial(make, slug), author=AUTHOR)


def make(slug: str, version: int, at_ms: int, registry: str = "default") -> Profile:
    metadata = Metadata(
        version=version, created_at_ms=1, updated_at_ms=at_ms, created_by="ann", updated_by="ann", source="test"
    )
    return Profile(registry=registry, slug=slug, metadata=metadata, runtime=Runtime(), policy=OPEN_POLICY)


def ask(lists: WholeLists, store: Store, wanted: ProfileFilter = PAGE, registry: str = "default") -> Page | None:
    """Ask for a page as the service does; `None` where it was read."""
    head = store.registries.head(registry)
    page = lists.page(registry, head, wanted)
    if page is None:
        read = store.list_profiles(registry, head.default_profile_slug, wanted)
        lists.was_read(registry, head, read)
    return page


def test_a_page_is_cut_once_as_many_rows_were_read_as_there_are(lists: WholeLists, store: Store) -> None:
    add(store, "a", "b", "c")
    assert [ask(lists, store) is None for _ in range(4)] == [True, True, False, False]
    page = ask(lists, store, ProfileFilter(limit=2, after="a"))
    assert page == store.list_profiles("default", None, ProfileFilter(limit=2, after="a"))


def test_a_whole_list_is_forgotten_when_its_registry_changes(lists: WholeLists, store: Store) -> None:
    add(store, "a", "b", "c")
    while ask(lists, store) is None:
        pass
    add(store, "aa")
    assert ask(lists, store) is None
    ask(lists, store)
    page = ask(lists, store)
    assert page is not None
    assert page.slugs == ["a", "aa"]


def test_an_item_edited_by_hand_is_shown_once_the_version_of_its_registry_was_raised(
    lists: WholeLists, store: Store, tmp_path: Path
) -> None:
    add(store, "a")
    while ask(lists, store) is None:
        pass
    with connected(tmp_path / "profiles.db", mode="rw") as other:
        other.execute("UPDATE profiles SET item_json = json_insert(item_json, '$.description', 'by hand')")
        other.execute("UPDATE profile_registries SET version = version + 1")
    while (page := ask(lists, store)) is None:
        pass
    assert b"by hand" in page.document


def test_the_default_is_shown_as_it_is_now(lists: WholeLists, store: Store) -> None:
    add(store, "a", "b", "c")
    while ask(lists, store) is None:
        pass
    with store.write():
        store.set_default("default", "b", author=AUTHOR)
    while (page := ask(lists, store)) is None:
        pass
    assert page == store.list_profiles("default", "b", PAGE)


def test_a_whole_list_is_read_by_a_thread_that_may_wait(lists: WholeLists, store: Store) -> None:
    add(store, "a")
    ask(lists, store)
    with pytest.raises(WouldBlock), no_blocking():
        ask(lists, store)
    ask(lists, store)
    with no_blocking():
        assert ask(lists, store) is not None


def test_a_damaged_row_is_left_to_those_who_read_pages(lists: WholeLists, store: Store, tmp_path: Path) -> None:
    add(store, "a", "b")
    with connected(tmp_path / "profiles.db", mode="rw") as other:
        other.execute("UPDATE profiles SET item_json = '{' WHERE slug = 'b'")
    assert [ask(lists, store) for _ in range(5)] == [None] * 5
    with no_blocking():  # not all of it is read again and again
        assert ask(lists, store) is None


def test_whole_lists_of_a_few_registries_are_kept(lists: WholeLists, store: Store) -> None:
    registries = ["default", *(f"r{number}" for number in range(whole_lists.MOST_REGISTRIES))]
    for registry in registries:
        if registry != "default":
            insert(store, registry)
        with store.write():
            store.profiles.create(registry, "a", partial(make, "a", registry=registry), author=AUTHOR)
        while ask(lists, store, registry=registry) is None:
            pass
    assert [ask(lists, store, registry=registry) is None for registry in reversed(registries)] == [False] * 4 + [True]


@pytest.mark.parametrize(("name", "value"), [("MOST_PROFILES", 2), ("MOST_BYTES", 40)])
def test_a_long_list_is_not_kept(
    lists: WholeLists,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: int,
) -> None:
    monkeypatch.setattr(whole_lists, name, value)
    add(store, "a", "b", "c")
    assert [ask(lists, store) for _ in range(5)] == [None] * 5


def test_an_empty_registry_has_an_empty_list(lists: WholeLists, store: Store) -> None:
    assert [ask(lists, store) for _ in range(3)] == [None] * 3


SLUG = st.text("ab.-_0", min_size=1, max_size=4)


@given(slugs=st.sets(SLUG, min_size=1), default=SLUG, after=st.text(max_size=4), limit=st.none() | st.integers(1, 9))
@settings(deadline=None)
def test_what_is_cut_is_what_would_be_read(slugs: set[str], default: str, after: str, limit: int | None) -> None:
    store = opened(":memory:")
    try:
        add(store, *slugs)
        whole = store.whole_list("default", default)
        assert whole is not None
        wanted: dict[str, Any] = {"limit": limit, "after": after}
        assert whole.page(ProfileFilter(**wanted)) == store.list_profiles("default", default, ProfileFilter(**wanted))
    finally:
        store.close()
