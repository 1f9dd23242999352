"""The policy of a profile and its tags."""

import pytest

from pinocchio_core.bootstrap import assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.store.sqlite.dsn import dsn_of_path, parse_dsn
from pinocchio_core.testing import TestApp

PROFILES = "/api/chat/profiles"
LOCKED = f"{PROFILES}/locked"
POLICY = {
    "allow_overrides": True,
    "read_only": True,
    "allowed_override_keys": ["system_prompt"],
    "denied_override_keys": ["tools"],
}
OPENED = POLICY | {"read_only": False}


@pytest.fixture
def locked(app):
    created = app.post(
        PROFILES,
        {
            "slug": "locked",
            "display_name": "L",
            "policy": POLICY,
            "metadata": {"tags": ["a"]},
            "extensions": {"a.b@v1": 1.0},
        },
    )
    assert created.status == 201
    return created.json


def without_times(document):
    return document | {"metadata": document["metadata"]["tags"]}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"description": "d"},
        {"policy": {}},
        {"policy": {"read_only": True}},
        {"policy": {"read_only": None}},
        {"policy": {"allow_overrides": False}},
        {"policy": {"read_only": False, "allow_overrides": False}},
        {"policy": {"read_only": False, "denied_override_keys": []}},
        {"policy": {"read_only": False}, "description": "d"},
        {"policy": {"read_only": False}, "runtime": {"system_prompt": "p"}},
        {"policy": {"read_only": False}, "extensions": {}},
        {"policy": {"read_only": False}, "extensions": {"a.b@v1": 1}},
        {"policy": {"read_only": False}, "metadata": {"tags": []}},
        {"policy": {"read_only": False}, "display_name": ""},
    ],
)
def test_read_only_profile_refuses_to_be_changed(app, locked, expect_problem, nothing_written, document):
    with nothing_written(app):
        problem = expect_problem(app.patch(LOCKED, document), 403, "policy violation")

    assert problem["code"] == "profile_read_only"
    assert 'profile "locked"' in problem["detail"]
    assert '{"policy": {"read_only": false}}' in problem["next_step"]


def test_read_only_profile_refuses_to_be_deleted(app, locked, expect_problem, nothing_written):
    with nothing_written(app):
        expect_problem(app.delete(LOCKED), 403, "policy violation")


@pytest.mark.parametrize(
    "document",
    [
        {"policy": {"read_only": False}},
        {"policy": {"read_only": False, "allow_overrides": None}},
        {"policy": OPENED},
        {"policy": {"read_only": False}, "slug": "locked", "registry": "default", "expected_version": 1},
        {"policy": {"read_only": False}, "description": None, "metadata": None},
        {"policy": {"read_only": False}, "metadata": {"version": 1, "created_by": "me", "tags": ["a"]}},
        {"policy": {"read_only": False}, "display_name": " L ", "runtime": {}, "extensions": {"A.b@v1": 1.0}},
    ],
)
def test_read_only_is_lifted_alone_and_keeps_the_rest(app, locked, document):
    lifted = app.patch(LOCKED, document)

    assert (lifted.status, lifted.json["policy"]) == (200, OPENED)
    assert lifted.json["metadata"]["version"] == 2
    assert {k: v for k, v in lifted.json.items() if k not in ("policy", "metadata")} == {
        k: v for k, v in locked.items() if k not in ("policy", "metadata")
    }
    assert lifted.json["metadata"]["tags"] == ["a"]
    assert app.delete(LOCKED).status == 204


def test_read_only_profile_can_be_lifted_by_the_document_as_it_was_read(app, locked):
    document = app.get(LOCKED).json
    document["policy"]["read_only"] = False

    assert without_times(app.patch(LOCKED, document).json) == without_times(document)


def test_read_only_profile_is_read_listed_and_may_be_the_default(app, locked):
    assert app.get(LOCKED).json == locked
    assert app.post(f"{LOCKED}/default").json["is_default"] is True


def test_policy_of_a_profile_that_is_not_read_only_is_replaced_as_a_whole(app):
    app.post(PROFILES, {"slug": "x", "policy": OPENED})

    patched = app.patch(f"{PROFILES}/x", {"policy": {"read_only": False}})
    assert patched.json["policy"] == {"allow_overrides": False, "read_only": False}


def test_policy_keeps_the_difference_between_no_list_and_an_empty_one(app):
    policy = {"allow_overrides": True, "read_only": False, "allowed_override_keys": []}
    app.post(PROFILES, {"slug": "x", "policy": policy})

    assert app.get(f"{PROFILES}/x").json["policy"] == policy


@pytest.mark.parametrize("name", ["allowed_override_keys", "denied_override_keys"])
@pytest.mark.parametrize(
    ("keys", "place", "reason"),
    [
        (["a", " "], "[1]", "must not be empty"),
        (["a\0"], "[0]", "control characters"),
        (["a\nb"], "[0]", "control characters"),
        (["x" * 129], "[0]", "at most 128 characters"),
        (["k"] * 101, "", "at most 100 members"),
        ([5], "[0]", "expected string"),
        ("a", "", "expected array"),
    ],
)
def test_policy_list_that_is_not_sound_is_refused(app, expect_problem, nothing_written, name, keys, place, reason):
    with nothing_written(app):
        answer = app.post(PROFILES, {"slug": "x", "policy": {name: keys}})
        problem = expect_problem(answer, 400, "validation error", f"policy.{name}{place}")

    assert reason in problem["detail"]


def test_policy_that_allows_and_denies_one_key_is_refused(app, expect_problem, nothing_written):
    policy = {"allowed_override_keys": ["a", "b"], "denied_override_keys": [" b ", "c"]}
    with nothing_written(app):
        answer = app.patch(f"{PROFILES}/agent", {"policy": policy})
        problem = expect_problem(answer, 400, "validation error", "policy.override_keys")

    assert 'key "b" appears in both allow and deny lists' in problem["detail"]


@pytest.mark.parametrize(
    ("tags", "place"),
    [
        ([""], "[0]"),
        (["a", "\t"], "[1]"),
        (["a\0b"], "[0]"),
        (["x" * 129], "[0]"),
        (["t"] * 101, ""),
        ({}, ""),
        ([[]], "[0]"),
    ],
)
def test_tags_that_are_not_sound_are_refused(app, expect_problem, nothing_written, tags, place):
    with nothing_written(app):
        for answer in (
            app.post(PROFILES, {"slug": "x", "metadata": {"tags": tags}}),
            app.patch(f"{PROFILES}/agent", {"metadata": {"tags": tags}}),
        ):
            expect_problem(answer, 400, "validation error", f"metadata.tags{place}")


def test_store_that_is_read_only_serves_reads_and_refuses_writes(tmp_path, shipped, expect_problem):
    path = tmp_path / "p.db"
    assemble(Host(given_plugins(shipped)), dsn_of_path(str(path)), default_registry="default").close()
    sealed = assemble(Host(given_plugins(shipped)), parse_dsn(f"file:{path}?mode=ro"), default_registry="default")
    try:
        app = TestApp(sealed)
        assert app.get(f"{PROFILES}/agent").status == app.get(PROFILES).status == app.get("/readyz").status == 200
        for answer in (
            app.post(PROFILES, {"slug": "x"}),
            app.patch(f"{PROFILES}/agent", {"description": "d"}),
            app.delete(f"{PROFILES}/agent"),
            app.post(f"{PROFILES}/agent/default"),
            app.post("/api/chat/registries", {"slug": "x"}),
        ):
            problem = expect_problem(answer, 403, "policy violation")
            assert problem["code"] == "store_read_only"
    finally:
        sealed.close()
