"""What a client is told whose change comes too late: who, when and why, and what both sides have changed."""

import pytest

PROFILES = "/api/chat/profiles"
X = f"{PROFILES}/x"


@pytest.fixture
def moved(app):
    """An app with a profile `x` that was changed since version 1, and the entity tag of that."""
    created = app.post(
        PROFILES, {"slug": "x", "description": "old", "runtime": {"system_prompt": "old", "tools": ["a"]}}
    )
    app.patch(X, {"runtime": {"system_prompt": "theirs", "tools": ["a"]}, "reason": "they said so"})
    return app, created.headers["etag"]


def test_conflict_says_what_both_have_changed(moved, expect_problem):
    app, _ = moved
    yours = {"description": "yours", "runtime": {"system_prompt": "yours", "tools": ["a", "b"]}}
    problem = expect_problem(app.patch(X, yours | {"expected_version": 1}), 409, "version conflict")

    assert problem["current"]["version"] == 2
    assert problem["current"]["reason"] == "they said so"
    assert problem["conflict"] == {
        "base_version": 1,
        "theirs": [{"op": "replace", "path": "/runtime/system_prompt", "value": "theirs"}],
        "yours": [
            {"op": "replace", "path": "/description", "value": "yours"},
            {"op": "replace", "path": "/runtime/system_prompt", "value": "yours"},
            {"op": "add", "path": "/runtime/tools/1", "value": "b"},
        ],
        "overlapping": ["/runtime/system_prompt"],
    }


def test_conflict_of_what_does_not_overlap(moved, expect_problem):
    app, _ = moved
    document = {"metadata": {"tags": ["t"]}, "expected_version": 1}
    conflict = expect_problem(app.patch(X, document), 409, "version conflict")["conflict"]

    assert conflict["yours"] == [{"op": "add", "path": "/metadata/tags", "value": ["t"]}]
    assert conflict["overlapping"] == []


def test_entity_tag_says_which_version_the_client_saw(moved, expect_problem):
    app, etag = moved
    answer = app.request("PUT", X, {"description": "whole"}, if_match=f'"99-0", {etag}')
    conflict = expect_problem(answer, 412, "precondition failed")["conflict"]

    assert conflict["base_version"] == 1
    assert {each["path"] for each in conflict["yours"]} == {"/description", "/runtime/system_prompt", "/runtime/tools"}
    assert conflict["overlapping"] == ["/runtime/system_prompt"]


def test_deletion_overlaps_with_whatever_was_changed(moved, expect_problem):
    app, etag = moved
    for answer in (app.delete(f"{X}?expected_version=1"), app.delete(X, if_match=etag)):
        conflict = answer.json["conflict"]
        assert conflict["yours"] == [{"op": "remove", "path": ""}]
        assert conflict["overlapping"] == [""]


def test_entity_tag_that_differs_in_the_default_alone(app, expect_problem):
    etag = app.post(PROFILES, {"slug": "x"}).headers["etag"]
    app.post(f"{X}/default")
    conflict = expect_problem(app.patch(X, {"description": "d"}, if_match=etag), 412, "precondition failed")["conflict"]

    assert (conflict["base_version"], conflict["theirs"], conflict["overlapping"]) == (1, [], [])


@pytest.mark.parametrize(
    "tag", ['"old"', '"1-0123456789abcdef"', '"9999999999999999999-a"', '"99999999999999999999-a"', '"²-a"', 'W/"1-a"']
)
def test_version_that_is_not_in_the_history_has_no_conflict(moved, expect_problem, tag):
    app, _ = moved
    assert "conflict" not in expect_problem(app.patch(X, {}, if_match=tag), 412, "precondition failed")
    for version in (99, 2**63 - 1, 2**63, 2**64 - 1):
        answer = app.patch(X, {"expected_version": version})
        assert "conflict" not in expect_problem(answer, 409, "version conflict")


def test_deleted_version_is_no_base(app, expect_problem):
    app.post(PROFILES, {"slug": "x"})
    app.delete(X)
    app.post(PROFILES, {"slug": "x"})

    assert "conflict" not in expect_problem(app.patch(X, {"expected_version": 2}), 409, "version conflict")


def test_damaged_version_is_no_base(moved, expect_problem):
    app, _ = moved
    with app.program.store.write():
        app.program.store.database.run(
            "UPDATE profile_revisions SET payload_json = '{' WHERE slug = 'x' AND version = 1"
        )

    problem = expect_problem(app.patch(X, {"expected_version": 1}), 409, "version conflict")
    assert problem["current"]["reason"] == "they said so"
    assert "conflict" not in problem


def test_base_that_was_read_only_takes_no_change(app, expect_problem):
    app.post(PROFILES, {"slug": "x", "policy": {"read_only": True}})
    app.patch(X, {"policy": {"read_only": False}})
    problem = expect_problem(app.patch(X, {"description": "d", "expected_version": 1}), 409, "version conflict")

    assert problem["conflict"]["yours"] == []


@pytest.mark.parametrize(
    "document", [{"extensions": {"a.b@v1": "x" * 70_000}}, {"extensions": {"a.b@v1": list(range(300))}}]
)
def test_large_conflict_is_cut(app, expect_problem, document):
    app.post(PROFILES, {"slug": "x", "extensions": {"a.b@v1": []}})
    app.patch(X, {"description": "d"})
    problem = expect_problem(app.patch(X, document | {"expected_version": 1}), 409, "version conflict")

    assert problem["conflict"] == {"base_version": 1, "truncated": True}


def test_conflict_in_a_batch_is_that_of_the_first(moved, expect_problem):
    app, _ = moved
    stale = {"op": "patch", "slug": "x", "expected_version": 1, "document": {"description": "yours"}}
    answer = app.post("/api/chat/batch", {"writes": [{"op": "create", "slug": "new"}, stale]})
    problem = expect_problem(answer, 409, "version conflict", "writes[1]")

    assert problem["current"]["reason"] == "they said so"
    assert problem["conflict"]["yours"] == [{"op": "replace", "path": "/description", "value": "yours"}]
