"""Profiles named with a version or a label, wherever one is read or run."""

import pytest

PROFILES = "/api/chat/profiles"
X = f"{PROFILES}/x"
CURRENT = "/api/chat/profile"


@pytest.fixture
def written(app):
    """A profile with three versions."""
    app.post(PROFILES, {"slug": "x", "runtime": {"system_prompt": "one"}})
    app.patch(X, {"runtime": {"system_prompt": "two"}})
    app.patch(X, {"runtime": {"system_prompt": "three"}})
    return app


def damage(app, version):
    with app.program.store.write():
        app.program.store.database.run(
            "UPDATE profile_revisions SET payload_json = '{' WHERE slug = 'x' AND version = ?", (version,)
        )


def test_get_answers_the_document_as_it_was(written):
    first, now = written.get(f"{X}@1"), written.get(X)

    assert first.json["runtime"]["system_prompt"] == "one"
    assert first.json["metadata"]["version"] == 1
    assert first.json["is_default"] is False
    assert written.get(f"{PROFILES}/ X@1 ").body == first.body
    assert written.get(f"{X}@1", if_none_match=first.headers["etag"]).status == 304
    assert written.get(f"{X}@3").body == now.body
    assert written.get(f"{X}@3").headers["etag"] == now.headers["etag"]
    assert written.get(f"{X}@1?raw=true").headers["x-profile-state"] == "ok"


def test_resolve_and_chat_run_the_version_that_is_named(written):
    resolved = written.post(f"{X}@1/resolve").json
    chats = [
        written.post("/chat/x@2", {"prompt": "hello"}).json,
        written.post("/chat", {"prompt": "hello", "profile": "X@2"}).json,
        written.post("/chat?profile=x@2", {"prompt": "hello"}).json,
    ]

    assert (resolved["profile"], resolved["profile_version"]) == ("x", 1)
    assert resolved["runtime"]["system_prompt"] == "one"
    assert {(chat["profile"], chat["profile_version"]) for chat in chats} == {("x", 2)}
    assert len({chat["runtime_fingerprint"] for chat in chats}) == 1
    assert written.post(f"{X}@3/resolve").json == written.post(f"{X}/resolve").json


def test_a_cookie_may_hold_a_version(written):
    chosen = written.post(CURRENT, {"slug": "X@2"})
    cookie = chosen.headers["set-cookie"].partition(";")[0]

    assert chosen.json == {"slug": "x@2", "registry": "default"}
    assert cookie.replace('"', "") == "chat_profile=x@2"
    assert written.get(CURRENT, cookie=cookie).json == chosen.json
    assert written.post("/chat", {"prompt": "hello"}, cookie=cookie).json["profile_version"] == 2


@pytest.mark.parametrize("value", ["x@9", "x@nothing", "x@", "nope@1"])
def test_a_cookie_with_a_version_that_is_not_there_is_passed_over(written, value):
    cookie = f"chat_profile={value}"

    assert written.get(CURRENT, cookie=cookie).json == {"slug": "default", "registry": "default"}
    assert written.post("/chat", {"prompt": "hello"}, cookie=cookie).json["profile"] == "default"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "x@2", {"description": "new"}),
        ("PUT", "x@2", {}),
        ("DELETE", "x@2", None),
        ("POST", "x@2/default", None),
        ("PATCH", "x@production", {"description": "new"}),
    ],
)
def test_versions_do_not_change(written, expect_problem, nothing_written, method, path, body):
    with nothing_written(written):
        problem = expect_problem(written.request(method, f"{PROFILES}/{path}", body), 400, "validation error")

    assert problem["errors"][0]["field"] == "path.slug"
    assert "versions do not change" in problem["detail"]


@pytest.mark.parametrize(("pin", "named"), [("9", '"x@9"'), ("production", '"x@production"')])
def test_an_unknown_version_or_label_is_not_found_by_its_name(written, expect_problem, pin, named):
    answers = [
        written.get(f"{X}@{pin}"),
        written.post(f"{X}@{pin}/resolve"),
        written.post(f"/chat/x@{pin}", {"prompt": "hello"}),
        written.post("/chat", {"prompt": "hello", "profile": f"x@{pin}"}),
        written.post(CURRENT, {"slug": f"x@{pin}"}),
    ]

    for answer in answers:
        assert named in expect_problem(answer, 404, "revision not found")["detail"]


def test_a_version_that_is_a_deletion_and_those_of_a_deleted_profile_cannot_be_used(written, expect_problem):
    written.delete(X)
    assert "was deleted" in expect_problem(written.get(f"{X}@1"), 404, "revision not found")["detail"]
    written.post(PROFILES, {"slug": "x"})
    assert "is a deletion" in expect_problem(written.get(f"{X}@4"), 404, "revision not found")["detail"]
    assert written.get(f"{X}@1").json["runtime"]["system_prompt"] == "one"
    expect_problem(written.get(f"{PROFILES}/nope@1"), 404, "profile not found")
    expect_problem(written.get(f"{X}@1?registry=nope"), 404, "registry not found")


@pytest.mark.parametrize("path", ["x@0", "x@", "x@1@2", "x!@1", "x@_"])
def test_what_is_neither_a_version_nor_a_label_is_refused(written, expect_problem, path):
    expect_problem(written.get(f"{PROFILES}/{path}"), 400, "validation error", "path.slug")
    expect_problem(written.post(f"{PROFILES}/{path}/resolve"), 400, "validation error", "path.slug")
    expect_problem(written.post(f"/chat/{path}", {"prompt": "hello"}), 400, "validation error", "path.slug")
    expect_problem(written.post(f"/chat?profile={path}", {"prompt": "hello"}), 400, "validation error", "query.profile")


def test_a_slug_in_the_body_is_the_one_of_the_path(written, expect_problem):
    assert written.post(f"{X}@2/resolve", {"slug": "x@2"}).json["profile_version"] == 2
    expect_problem(written.post(f"{X}@2/resolve", {"slug": "x"}), 400, "validation error", "slug")


def test_a_damaged_version_takes_nothing_else_down(written, expect_problem):
    damage(written, 2)
    expect_problem(written.get(f"{X}@2"), 409, "row unreadable")
    expect_problem(written.post("/chat/x@2", {"prompt": "hello"}), 409, "row unreadable")

    assert written.get(X).json["runtime"]["system_prompt"] == "three"
    assert written.get(f"{X}@1").status == 200
    assert written.get("/readyz").json == {"status": "ok", "reasons": []}


def test_a_version_is_served_where_the_profile_of_now_is_damaged(written, expect_problem):
    with written.program.store.write():
        written.program.store.database.run("UPDATE profiles SET payload_json = '{' WHERE slug = 'x'")
    expect_problem(written.get(X), 409, "row unreadable")

    assert written.get(f"{X}@3").json["runtime"]["system_prompt"] == "three"
    expect_problem(written.get(X), 409, "row unreadable")
