"""Which profiles build on which, as the store keeps it."""

import pytest

from pinocchio_core.domain.profile import Base, Runtime
from pinocchio_core.store.tables.extends import FOLLOWING


@pytest.fixture
def put(store, made, author):
    """Write a profile that builds on these: `put("leaf", Base(slug="b"))`."""

    def write(slug, *bases):
        make = made(slug, runtime=Runtime(extends=bases or None))
        with store.write():
            row = store.profiles.read("default", slug)
            if row is None:
                return store.profiles.create("default", slug, make, author=author)
            return store.profiles.overwrite(row, make, author=author)

    return write


def following(store, slug, pin=""):
    return [found for _, found in store.extends.following("default", slug, pin=pin, limit=9)]


def test_a_profile_is_found_by_what_it_builds_on_until_it_does_not(store, put, author):
    put("leaf", Base(slug="b"), Base(slug="c", version=3), Base(registry="default", slug="d", label="beta"))
    assert following(store, "b") == ["leaf"]
    assert (following(store, "c"), following(store, "d")) == ([], [])
    assert following(store, "d", "beta") == ["leaf"]
    assert store.extends.on("default", "c", limit=9) == [("default", "leaf")]
    put("leaf", Base(slug="c"))
    assert (following(store, "b"), following(store, "c"), following(store, "d", "beta")) == ([], ["leaf"], [])
    with store.write():
        store.profiles.delete(store.profiles.read("default", "leaf"), author=author)
    assert following(store, "c") == []


def test_what_a_named_version_builds_on_counts_too(store, put):
    put("mid", Base(slug="root"))
    put("mid")
    put("leaf", Base(slug="mid", version=1))
    assert following(store, "root") == ["leaf"]


def test_versions_that_name_one_another_come_to_an_end(store, put):
    put("a", Base(slug="b", version=1))
    put("b", Base(slug="a", version=1))
    put("a", Base(slug="b", version=1))
    assert store.extends.on("default", "b", limit=9) == [("default", "a"), ("default", "b")]


def test_those_that_build_on_a_profile_are_found_along_an_index(store):
    plan = store.database.rows(f"EXPLAIN QUERY PLAN {FOLLOWING}", ("default", "b", "", 9))
    assert [row[3].split(" (")[0] for row in plan] == [
        "SEARCH profile_extends USING COVERING INDEX profile_extends_of_base"
    ]
