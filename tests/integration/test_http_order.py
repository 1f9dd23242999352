"""Which of several faults is answered: what is wrong by itself, all at once; then 404; 403; 400; then 409 and 412."""

import pytest

PROFILES = "/api/chat/profiles"
BAD_USE = {"middlewares": [{"name": "nobody"}]}


@pytest.fixture
def locked(app):
    """A read-only profile, `locked`."""
    assert app.post(PROFILES, {"slug": "locked", "policy": {"read_only": True}}).status == 201
    return f"{PROFILES}/locked"


def test_everything_wrong_with_a_create_is_answered_at_once(app, expect_problem, nothing_written):
    document = {
        "slug": "-bad-",
        "registry": "also bad",
        "display_name": 5,
        "displayname": "x",
        "runtime": {
            "middlewares": [
                {"name": "nobody"},
                {"name": "agentmode", "config": {"unknown": 1, "default_mode": 5}},
                {"name": "agentmode", "id": "x\0"},
            ],
            "tools": ["", 5],
        },
        "policy": {"allowed_override_keys": ["a"], "denied_override_keys": ["a"], "read_only": "yes"},
        "metadata": {"tags": [" "]},
        "extensions": {"bad key": 1, "webchat.starter_suggestions@v1": {}},
        "expected_version": -1,
    }
    with nothing_written(app):
        problem = expect_problem(
            app.post(PROFILES, document),
            400,
            "validation error",
            "slug",
            "registry",
            "display_name",
            "displayname",
            "runtime.middlewares[0].name",
            "runtime.middlewares[1].config",
            "runtime.middlewares[1].config",
            "runtime.middlewares[2].id",
            "runtime.tools[0]",
            "runtime.tools[1]",
            "policy.read_only",
            "policy.override_keys",
            "metadata.tags[0]",
            'extensions["bad key"]',
            'extensions["webchat.starter_suggestions@v1"]',
            "expected_version",
        )

    assert problem["detail"].endswith("; and 15 more")


def test_names_in_path_and_query_are_answered_with_the_body(app, expect_problem):
    answer = app.patch(f"{PROFILES}/-?registry=a%20b", {"display_name": 5, "extensions": {"x": 1}})
    expect_problem(answer, 400, "validation error", "path.slug", "query.registry", "display_name", "extensions.x")
    answer = app.patch(f"{PROFILES}/-?registry=a%20b", b"{")
    expect_problem(answer, 400, "validation error", "path.slug", "query.registry", "body")
    expect_problem(app.get(f"{PROFILES}/-?registry=a%20b"), 400, "validation error", "path.slug", "query.registry")


def test_headers_and_query_are_answered_with_everything_else(app, expect_problem):
    answer = app.delete(f"{PROFILES}/-?registry=a%20b&expected_version=x", if_match="bad")
    fields = ("path.slug", "query.registry", "query.expected_version", "header.If-Match")
    expect_problem(answer, 400, "validation error", *fields)
    answer = app.patch(f"{PROFILES}/agent", {"display_name": 5}, if_match="bad")
    expect_problem(answer, 400, "validation error", "display_name", "header.If-Match")
    answer = app.get(f"{PROFILES}?registry=a%20b&limit=x")
    expect_problem(answer, 400, "validation error", "query.registry", "query.limit")


def test_request_that_is_wrong_by_itself_is_400_whatever_is_stored(app, expect_problem, locked):
    for path in (f"{PROFILES}/nobody", locked, f"{PROFILES}/agent?registry=gone"):
        document = {"runtime": BAD_USE, "expected_version": 99}
        answer = app.patch(path, document, if_match='"stale"')
        expect_problem(answer, 400, "validation error", "runtime.middlewares[0].name")
    expect_problem(app.post(PROFILES, {"slug": "agent", "runtime": BAD_USE}), 400, "validation error")
    expect_problem(
        app.post(f"{PROFILES}?registry=gone", {"slug": "agent", "runtime": BAD_USE}), 400, "validation error"
    )
    expect_problem(app.post(f"{PROFILES}/nobody/default", {"expected_version": -1}), 400, "validation error")
    expect_problem(app.delete(f"{locked}?expected_version=-1"), 400, "validation error")


def test_what_does_not_exist_is_404_before_versions_and_conditions(app, expect_problem):
    answer = app.patch(f"{PROFILES}/nobody", {"expected_version": 99}, if_match='"stale"')
    expect_problem(answer, 404, "profile not found")
    answer = app.delete(f"{PROFILES}/nobody?expected_version=99", if_match='"stale"')
    expect_problem(answer, 404, "profile not found")
    answer = app.post(f"{PROFILES}/nobody/default", {"expected_version": 99}, if_match='"stale"')
    expect_problem(answer, 404, "profile not found")
    answer = app.post(f"{PROFILES}?registry=gone", {"slug": "agent", "expected_version": 9}, if_match='"stale"')
    expect_problem(answer, 404, "registry not found")


def test_read_only_is_403_before_what_depends_on_the_profile_and_before_versions(app, expect_problem):
    schema_of_use = {"middlewares": [{"name": "agentmode", "id": "a"}]}
    app.post(PROFILES, {"slug": "locked", "policy": {"read_only": True}, "runtime": schema_of_use, "set_default": True})
    locked = f"{PROFILES}/locked"

    answer = app.patch(locked, {"description": "d", "expected_version": 99}, if_match='"stale"')
    expect_problem(answer, 403, "policy violation")
    expect_problem(app.delete(f"{locked}?expected_version=99", if_match='"stale"'), 403, "policy violation")
    expect_problem(app.delete(locked), 403, "policy violation")


def test_version_is_answered_before_the_condition_in_a_header(app, expect_problem):
    answer = app.patch(f"{PROFILES}/agent", {"expected_version": 99}, if_match='"stale"')
    expect_problem(answer, 409, "version conflict")
    answer = app.delete(f"{PROFILES}/agent?expected_version=99", if_match='"stale"')
    expect_problem(answer, 409, "version conflict")


def test_unsound_body_is_answered_by_its_kind_before_its_content(app, expect_problem):
    expect_problem(app.post(PROFILES, b"{", content_type="text/plain"), 415, "unsupported media type")
    expect_problem(app.post(f"{PROFILES}?registry=-", b"{" * 2_000_000), 413, "request too large")


def test_lifting_read_only_still_checks_the_version_and_the_condition(app, expect_problem, locked):
    lift = {"policy": {"read_only": False}}

    expect_problem(app.patch(locked, lift | {"expected_version": 99}), 409, "version conflict")
    expect_problem(app.patch(locked, lift, if_match='"stale"'), 412, "precondition failed")
    assert app.patch(locked, lift | {"expected_version": 1}).status == 200
