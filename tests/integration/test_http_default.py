"""Deleting profiles, the registry's default, and the current profile of a browser."""

from http.cookies import SimpleCookie

import pytest

PROFILES = "/api/chat/profiles"
CURRENT = "/api/chat/profile"
REGISTRY = "/api/chat/registries/default"


def test_delete_answers_nothing_and_the_profile_is_gone(app, expect_problem):
    deleted = app.delete(f"{PROFILES}/agent")

    assert (deleted.status, deleted.body) == (204, b"")
    expect_problem(app.get(f"{PROFILES}/agent"), 404, "profile not found")
    expect_problem(app.delete(f"{PROFILES}/agent"), 404, "profile not found")
    assert [item["slug"] for item in app.get(PROFILES).json] == ["default"]


def test_delete_of_the_default_is_refused_while_there_are_others(app, expect_problem, nothing_written):
    with nothing_written(app):
        problem = expect_problem(app.delete(f"{PROFILES}/default"), 409, "in use")

    assert 'default of registry "default"' in problem["detail"]
    assert "make another one the default first" in problem["next_step"]
    app.post(f"{PROFILES}/agent/default")
    assert app.delete(f"{PROFILES}/default").status == 204


def test_last_profile_can_be_deleted_and_the_registry_goes_on(app, expect_problem):
    app.delete(f"{PROFILES}/agent")

    assert app.delete(f"{PROFILES}/default").status == 204
    assert app.get(PROFILES).json == []
    assert "default_profile_slug" not in app.get(REGISTRY).json
    expect_problem(app.get(CURRENT), 404, "profile not found")
    assert app.post(PROFILES, {"slug": "again", "set_default": True}).json["is_default"] is True
    assert app.get(CURRENT).json == {"slug": "again", "registry": "default"}


@pytest.mark.parametrize("document", [None, {}, {"registry": "default"}, {"registry": None, "expected_version": 0}])
def test_set_default_answers_the_profile_and_moves_the_default(app, document):
    answer = app.post(f"{PROFILES}/Agent/default", document)

    assert (answer.status, answer.json["slug"], answer.json["is_default"]) == (200, "agent", True)
    assert answer.body == app.get(f"{PROFILES}/agent").body
    assert {item["slug"]: item["is_default"] for item in app.get(PROFILES).json} == {"agent": True, "default": False}
    assert answer.json["metadata"]["version"] == 1


def test_set_default_of_the_default_writes_nothing(app, nothing_written):
    with nothing_written(app):
        assert app.post(f"{PROFILES}/default/default").status == 200


def test_set_default_compares_the_version_of_the_registry(app, expect_problem, nothing_written):
    version = app.get(REGISTRY).json["metadata"]["version"]
    with nothing_written(app):
        for answer in (
            app.post(f"{PROFILES}/agent/default", {"expected_version": version + 1}),
            app.post(f"{PROFILES}/agent/default?expected_version={version + 1}"),
            app.post(f"{PROFILES}/agent/default?expected_version={version}", {"expected_version": version + 1}),
        ):
            problem = expect_problem(answer, 409, "version conflict")
            assert problem["current"]["version"] == version
    assert app.post(f"{PROFILES}/agent/default", {"expected_version": version}).status == 200
    query = f"?expected_version={version + 1}"
    assert app.post(f"{PROFILES}/default/default{query}").status == 200


@pytest.mark.parametrize("body", [b"nonsense", b"null", b"[]", b'"agent"', b"{", b"5"])
def test_set_default_refuses_a_malformed_body(app, expect_problem, nothing_written, body):
    with nothing_written(app):
        expect_problem(app.post(f"{PROFILES}/agent/default", body), 400, "validation error", "body")


def test_set_default_of_a_missing_profile_is_refused(app, expect_problem, nothing_written):
    with nothing_written(app):
        expect_problem(app.post(f"{PROFILES}/nobody/default"), 404, "profile not found")


def test_current_profile_is_the_default_without_a_cookie(app):
    answer = app.get(CURRENT)

    assert (answer.status, answer.json) == (200, {"slug": "default", "registry": "default"})
    assert "set-cookie" not in answer.headers


def test_current_profile_is_remembered_in_a_cookie(app):
    chosen = app.post(CURRENT, {"slug": " AGENT "})

    assert (chosen.status, chosen.json) == (200, {"slug": "agent", "registry": "default"})
    cookie = SimpleCookie(chosen.headers["set-cookie"])["chat_profile"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"], cookie["secure"]) == ("/", True, "Lax", "")
    answer = app.get(CURRENT, cookie=f"other=1; chat_profile={cookie.coded_value}")
    assert answer.json == {"slug": "agent", "registry": "default"}


def test_current_profile_in_another_registry_is_remembered_with_it(app):
    app.post("/api/chat/registries", {"slug": "team"})
    app.post(PROFILES, {"slug": "lead", "registry": "team"})
    chosen = app.post(CURRENT, {"slug": "lead", "registry": "team"})
    cookie = SimpleCookie(chosen.headers["set-cookie"])["chat_profile"]

    answer = app.get(CURRENT, cookie=f"chat_profile={cookie.coded_value}")
    assert answer.json == chosen.json == {"slug": "lead", "registry": "team"}


def test_current_profile_cookie_is_secure_where_the_request_came_over_tls(app):
    chosen = app.post(CURRENT, {"slug": "agent"}, x_forwarded_proto="https")

    assert SimpleCookie(chosen.headers["set-cookie"])["chat_profile"]["secure"] is True


@pytest.mark.parametrize(
    "value",
    ["gone", "no:such", "a:b:c", ":", "", "%00", "../../x", "A B", "é", '"', "x" * 4000, "agent;", "default:gone"],
)
def test_current_profile_falls_back_where_the_cookie_is_stale_or_malformed(app, value):
    answer = app.get(CURRENT, cookie=f"chat_profile={value}".encode().decode("latin-1"))

    assert answer.status == 200
    assert answer.json == {"slug": "agent" if value == "agent;" else "default", "registry": "default"}


def test_current_profile_that_does_not_exist_cannot_be_chosen(app, expect_problem):
    answer = app.post(CURRENT, {"slug": "nobody"})

    expect_problem(answer, 404, "profile not found")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "slug"),
        ({"slug": None}, "slug"),
        ({"slug": ""}, "slug"),
        ({"slug": "a/b"}, "slug"),
        ({"slug": "a\0"}, "slug"),
        ({"slug": 5}, "slug"),
        ({"slug": ["agent"]}, "slug"),
        ({"slug": "agent", "registry": "-"}, "registry"),
        ({"slug": "agent", "registry": 5}, "registry"),
        ({"slug": "agent", "profile": "x"}, "profile"),
        (b"", "body"),
        (b"[]", "body"),
    ],
)
def test_current_profile_must_be_chosen_by_a_slug(app, expect_problem, document, field):
    answer = app.post(CURRENT, document, content_type="application/json")

    expect_problem(answer, 400, "validation error", field)
    assert "set-cookie" not in answer.headers
