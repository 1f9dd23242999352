import pytest

from pinocchio_core.errors import RowUnreadable
from pinocchio_core.store.tables.history import PAGE_OF_REVISIONS


@pytest.fixture
def history(store, add, author, made):
    """A profile with four versions, deleted and made again in between."""
    add("x", description="one")
    with store.write():
        store.delete_profile(store.profiles.read("default", "x"), author=author)
    add("x", description="three")
    with store.write():
        store.profiles.replace(
            made("x", description="four"), old=store.profiles.read("default", "x").profile(), author=author
        )
    return store.history


def test_a_page_is_walked_along_the_index_and_sorts_nothing(store):
    plan = store.database.rows(f"EXPLAIN QUERY PLAN {PAGE_OF_REVISIONS}", ("default", "x", 10, 100))

    (step,) = [row[3] for row in plan]
    assert step.startswith("SEARCH profile_revisions USING INDEX sqlite_autoindex_profile_revisions_1 ")
    assert step.endswith("(registry_slug=? AND slug=? AND version<?)")


def test_history_goes_on_across_deletion_newest_first(history):
    every = history.page("default", "x", before=None, limit=10)

    assert [(each.version, each.op) for each in every] == [(4, "update"), (3, "create"), (2, "delete"), (1, "create")]
    assert {each.reason for each in every} == {"because"}
    assert history.page("default", "x", before=3, limit=1) == every[2:3]
    assert history.page("default", "y", before=None, limit=10) == []


def test_each_version_is_as_it_was(history):
    found = [history.read("default", "x", version) for version in (1, 2, 3, 4)]

    assert [each.profile() and each.profile().description for each in found] == ["one", None, "three", "four"]
    assert found[1].document() is None
    assert history.read("default", "x", 5) is None
    assert history.last_before("default", "x") == 4
    assert history.last_before("default", "x", 4) == 3
    assert history.last_before("default", "x", 1) is None


@pytest.mark.parametrize(
    "damage", ["CAST(x'ff00' AS TEXT)", "'{'", "'[]'", "replace(payload_json, 'one', CAST(x'ff' AS TEXT))", "7"]
)
def test_a_damaged_version_is_told_and_hides_no_other(store, history, damage):
    with store.write():
        store.database.run(
            f"UPDATE profile_revisions SET payload_json = {damage}, op = x'ff', at_ms = 'soon'"
            " WHERE slug = 'x' AND version = 1"
        )
    with pytest.raises(RowUnreadable, match='version 1 of profile "x"'):
        history.read("default", "x", 1).document()

    assert [each.version for each in history.page("default", "x", before=None, limit=10)] == [4, 3, 2, 1]
    assert history.read("default", "x", 3).profile().description == "three"


def test_a_document_of_another_version_is_damage(store, history):
    with store.write():
        store.database.run(
            "UPDATE profile_revisions SET payload_json ="
            " (SELECT payload_json FROM profile_revisions WHERE slug = 'x' AND version = 3)"
            " WHERE slug = 'x' AND version = 1"
        )
    with pytest.raises(RowUnreadable, match="its document is another one"):
        history.read("default", "x", 1).profile()
