"""Lists of profiles: which are shown, in which order, page by page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from pinocchio_core.domain.profile import Runtime
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.store.tables.profiles import Written
from pinocchio_core.store.tables.rows import Author

Add = Callable[..., Written]


def listed(store: Store, **wanted: Any) -> tuple[list[str], bool]:
    """The slugs of a page, and whether more follow."""
    page = store.list_profiles("default", None, ProfileFilter(**wanted))
    assert [item["slug"] for item in json.loads(page.document)] == page.slugs
    return page.slugs, page.more


def test_a_list_is_by_slug_and_of_one_registry(store: Store, add: Add, author: Author) -> None:
    other = msgspec.structs.replace(store.registries.read("default").registry(), slug="other")
    with store.write():
        store.registries.insert(other, author)
    for slug in ("b", "a.b", "a", "a-b", "c", "10", "9"):
        add(slug)
    add("elsewhere", "other")
    assert listed(store) == (["10", "9", "a", "a-b", "a.b", "b", "c"], False)


def test_an_item_shows_what_a_list_needs_and_leaves_out_what_is_not_there(store: Store, add: Add) -> None:
    add("bare")
    add(
        "full",
        display_name="Full",
        description="d",
        runtime=Runtime(system_prompt="p"),
        extensions={"acme.x@v1": Raw(b'{ "n" : 1.50 }')},
    )
    text = store.list_profiles("default", "full", ProfileFilter()).document
    assert json.loads(text) == [
        {"slug": "bare", "is_default": False, "version": 1},
        {
            "slug": "full",
            "is_default": True,
            "version": 1,
            "display_name": "Full",
            "description": "d",
            "default_prompt": "p",
            "extensions": {"acme.x@v1": {"n": 1.5}},
        },
    ]
    assert b'{ "n" : 1.50 }' in text


def test_an_empty_registry_has_an_empty_list(store: Store) -> None:
    assert listed(store) == ([], False)
    assert listed(store, limit=10, after="a", text="x", tag="y") == ([], False)


def test_pages_follow_each_other_without_gap_or_overlap(store: Store, add: Add) -> None:
    for slug in "abcde":
        add(slug)
    assert listed(store, limit=2) == (["a", "b"], True)
    assert listed(store, limit=2, after="b") == (["c", "d"], True)
    assert listed(store, limit=2, after="d") == (["e"], False)
    assert listed(store, limit=5) == (list("abcde"), False)
    assert listed(store, after="bb") == (["c", "d", "e"], False)
    assert listed(store, after="e") == ([], False)


def test_text_is_looked_for_in_slug_display_name_and_description_whatever_its_case(store: Store, add: Add) -> None:
    add("needle-slug")
    add("a", display_name="A Needle")
    add("b", description="has a NEEDLE in it")
    add("c", runtime=Runtime(system_prompt="needle"))
    add("d", display_name="needl", description="e")
    assert listed(store, text="nEEdle") == (["a", "b", "needle-slug"], False)


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "[", "*", "?", "%a_", "\u00e9"])
def test_text_has_no_metacharacters(store: Store, add: Add, text: str) -> None:
    add("a", display_name=f"x{text}y")
    add("b", display_name="xzzy")
    assert listed(store, text=text) == (["a"], False)


def test_a_tag_is_looked_for_as_a_whole(store: Store, add: Add) -> None:
    add("a", tags=("finance", "x y"))
    add("b", tags=("Finance",))
    add("c", tags=("fin",))
    add("d")
    assert listed(store, tag="finance") == (["a"], False)
    assert listed(store, tag="x y") == (["a"], False)
    assert listed(store, tag="%") == ([], False)


def test_filters_and_pages_go_together(store: Store, add: Add) -> None:
    for slug in "abcd":
        add(slug, display_name="hit" if slug != "b" else "miss", tags=("t",) if slug != "c" else None)
    assert listed(store, text="hit", tag="t", limit=1) == (["a"], True)
    assert listed(store, text="hit", tag="t", limit=1, after="a") == (["d"], False)


@pytest.mark.parametrize(
    "column",
    [
        "display_name = CAST(x'ff' AS TEXT)",
        "item_json = '{\"slug\": '",
        "item_json = '[1]'",
        "tags_json = '[\"t'",
        "item_json = CAST(x'ff' AS TEXT)",
    ],
    ids=["text", "json", "array", "tags", "bytes"],
)
@pytest.mark.parametrize("wanted", [{}, {"tag": "t"}], ids=["all", "tag"])
def test_a_damaged_row_takes_no_other_from_the_list(
    store: Store, add: Add, path: Path, column: str, wanted: dict[str, str]
) -> None:
    add("bad", tags=("t",), extensions={"acme.x@v1": Raw(b"1")})
    add("good", tags=("t",))
    with connected(path, mode="rwc") as connection:
        connection.execute(f"UPDATE profiles SET {column} WHERE slug = 'bad'")
    page = store.list_profiles("default", None, ProfileFilter(**wanted))
    assert "good" in [item["slug"] for item in json.loads(page.document)]


def test_a_damaged_item_is_listed_with_its_state(store: Store, add: Add, path: Path) -> None:
    add("bad")
    with connected(path, mode="rwc") as connection:
        connection.execute("UPDATE profiles SET item_json = substr(item_json, 3)")
    page = store.list_profiles("default", "bad", ProfileFilter())
    assert json.loads(page.document) == [{"slug": "bad", "version": 1, "state": "quarantined", "is_default": True}]


# lists of what was listed before


def items_of(store: Store, registry: str = "default", default: str | None = None) -> list[dict[str, Any]]:
    return json.loads(store.list_profiles(registry, default, ProfileFilter(limit=100)).document)


def test_an_item_that_others_changed_after_it_was_listed_is_listed_as_it_is_now(
    store: Store, add: Add, path: Path
) -> None:
    for slug in ("bad", "changed", "same"):
        add(slug, description="old")
    before = items_of(store)
    with connected(path, mode="rwc") as connection:
        connection.execute("UPDATE profiles SET item_json = replace(item_json, 'old', 'new') WHERE slug = 'changed'")
        connection.execute("UPDATE profiles SET item_json = substr(item_json, 3) WHERE slug = 'bad'")
    for _ in range(2):
        bad, changed, same = items_of(store)
        assert bad == {"slug": "bad", "version": 1, "state": "quarantined", "is_default": False}
        assert changed == before[1] | {"description": "new"}
        assert same == before[2]


def test_a_profile_that_becomes_the_default_or_is_none_any_more_is_listed_so(store: Store, add: Add) -> None:
    for slug in ("a", "b"):
        add(slug)
    for default in (None, "a", "b", None):
        assert [item["slug"] for item in items_of(store, default=default) if item["is_default"]] == [
            slug for slug in ("a", "b") if slug == default
        ]


def test_profiles_of_one_slug_in_several_registries_are_told_apart(store: Store, add: Add, author: Author) -> None:
    other = msgspec.structs.replace(store.registries.read("default").registry(), slug="other")
    with store.write():
        store.registries.insert(other, author)
    add("x", description="here")
    add("x", "other", description="there")
    for _ in range(2):
        assert [item["description"] for item in items_of(store)] == ["here"]
        assert [item["description"] for item in items_of(store, "other")] == ["there"]
