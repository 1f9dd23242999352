"""PATCH by two servers on one database: each remembers what it wrote last, and goes by what is stored."""

import pytest

PROFILES = "/api/chat/profiles"
ONE = f"{PROFILES}/one"


@pytest.fixture
def servers(tmp_path, opened):
    """Two apps over one file; the first of them has just written the profile `one` and remembers it."""
    path = tmp_path / "profiles.db"
    with opened(path) as first, opened(path) as second:
        assert first.post(PROFILES, {"slug": "one", "display_name": "One"}).status == 201
        assert first.patch(ONE, {"description": "first"}).json["metadata"]["version"] == 2
        assert first.program.store.profiles.recent("default", "one").row.version == 2
        yield first, second


def test_what_the_other_server_changed_stays(servers):
    first, second = servers
    assert second.patch(ONE, {"display_name": "Two"}).status == 200
    answer = first.patch(ONE, {"description": "more"})
    assert (answer.status, answer.json["metadata"]["version"]) == (200, 4)
    assert (answer.json["display_name"], answer.json["description"]) == ("Two", "more")
    assert second.get(ONE).json == answer.json


def test_a_lock_of_the_other_server_holds_at_once(servers):
    first, second = servers
    assert second.patch(ONE, {"policy": {"read_only": True}}).status == 200
    assert first.patch(ONE, {"description": "more"}).status == 403


def test_a_lock_that_the_other_server_lifted_is_gone_at_once(servers):
    first, second = servers
    assert first.patch(ONE, {"policy": {"read_only": True}}).status == 200
    assert second.patch(ONE, {"policy": {"read_only": False}}).status == 200
    assert first.patch(ONE, {"description": "more"}).status == 200


def test_expected_version_is_that_of_what_is_stored(servers):
    first, second = servers
    assert second.patch(ONE, {"display_name": "Two"}).status == 200
    assert (answer := first.patch(ONE, {"description": "more", "expected_version": 2})).status == 409
    assert answer.json["current"]["version"] == 3
    assert first.patch(ONE, {"description": "more", "expected_version": 3}).status == 200


def test_what_is_no_change_of_what_is_remembered_may_be_one_of_what_is_stored(servers):
    first, second = servers
    assert second.patch(ONE, {"description": "second"}).status == 200
    answer = first.patch(ONE, {"description": "first"})
    assert (answer.json["description"], answer.json["metadata"]["version"]) == ("first", 4)


@pytest.mark.parametrize("by", [0, 1])
def test_entity_tag_and_trial_know_the_default_as_it_is(servers, by):
    first = servers[0]
    etag = first.get(ONE).headers["etag"]
    assert servers[by].post(f"{ONE}/default").status == 200
    assert first.patch(ONE, {"description": "more"}, if_match=etag).status == 412
    trial = first.patch(f"{ONE}?dry_run=true", {"description": "more"}).json
    assert "/is_default" not in [change["path"] for change in trial["diff"]]
    assert first.patch(ONE, {"description": "more"}).json["is_default"] is True


def test_a_profile_that_the_other_server_deleted_and_made_again_is_the_new_one(servers):
    first, second = servers
    assert second.delete(ONE).status == 204
    assert first.patch(ONE, {"description": "more"}).status == 404
    assert second.post(PROFILES, {"slug": "one"}).status == 201
    answer = first.patch(ONE, {"description": "more"})
    assert "display_name" not in answer.json
    assert answer.json["metadata"]["version"] == 5


def test_what_was_only_tried_is_not_built_on(servers):
    first, _ = servers
    assert first.patch(f"{ONE}?dry_run=true", {"display_name": "tried"}).status == 200
    answer = first.patch(ONE, {"description": "more"})
    assert (answer.json["display_name"], answer.json["metadata"]["version"]) == ("One", 3)
