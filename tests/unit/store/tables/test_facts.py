import pytest

from pinocchio_core.store.tables.facts import VERSION_FLOOR, Facts


@pytest.fixture
def facts(store):
    return Facts(store.database)


def test_a_fact_that_nobody_set_is_none(facts):
    assert facts.read("nothing") is None
    assert facts.version_floor() == 0


def test_the_last_value_of_a_fact_counts(store, facts):
    for value in ({"a": 1}, [1, "ü"]):
        with store.write():
            facts.write("x", value, 7)
    assert facts.read("x") == [1, "ü"]


def test_every_new_version_is_above_the_floor(store, facts, add, made, author):
    old = add("old").profile
    with store.write():
        facts.write(VERSION_FLOOR, 40, 7)
    assert add("new").profile.metadata.version == 41
    with store.write():
        written = store.profiles.replace(made("old"), old=old, author=author)
    assert written is not None
    assert written.row.version == 41
    with store.write():
        assert store.delete_profile(written.row, author=author) == 42
    assert store.registries.read("default").version > 40
