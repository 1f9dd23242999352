"""Why a change was made: taken by every write, trimmed, and kept in the history."""

import pytest

PROFILES = "/api/chat/profiles"
REGISTRIES = "/api/chat/registries"


@pytest.fixture
def reasons():
    """The reasons in the history, oldest first, of what a test has written."""

    def read(app, slug, registry="default"):
        sql = "SELECT op, reason FROM profile_revisions WHERE registry_slug = ? AND slug = ? ORDER BY seq"
        return app.program.store.database.rows(sql, (registry, slug))

    return read


def test_reason_of_every_write_of_a_profile_is_kept(app, reasons):
    app.post(PROFILES, {"slug": "x", "reason": " because\n\tof it "})
    app.patch(f"{PROFILES}/x", {"description": "d", "reason": "patched"})
    app.request("PUT", f"{PROFILES}/x", {"reason": "put"})
    app.delete(f"{PROFILES}/x?reason=no%20longer%20used")

    assert reasons(app, "x") == [
        ("create", "because\n\tof it"),
        ("update", "patched"),
        ("replace", "put"),
        ("delete", "no longer used"),
    ]


def test_reason_of_every_write_of_a_registry_is_kept(app, reasons):
    app.post(REGISTRIES, {"slug": "team", "reason": "new"})
    app.post(PROFILES, {"slug": "a", "registry": "team", "set_default": True, "reason": "first"})
    app.post(PROFILES, {"slug": "b", "registry": "team"})
    app.post(f"{PROFILES}/b/default?registry=team&reason=query")
    app.post(f"{PROFILES}/a/default?registry=team&reason=query", {"reason": "body"})
    app.patch(f"{REGISTRIES}/team", {"description": "d", "reason": "said"})
    app.post(REGISTRIES, {"slug": "empty"})
    app.delete(f"{REGISTRIES}/empty?reason=gone")

    ours = [("create_registry", "new"), *(("set_default", why) for why in ("first", "query", "body"))]
    assert reasons(app, "", "team") == [*ours, ("update_registry", "said")]
    assert reasons(app, "", "empty") == [("create_registry", None), ("delete_registry", "gone")]


@pytest.mark.parametrize("sent", [None, "", " \n "])
def test_blank_reason_is_none(app, reasons, sent):
    app.post(PROFILES, {"slug": "x", "reason": sent})

    assert reasons(app, "x") == [("create", None)]


def test_reason_alone_is_no_change(app, revisions):
    app.post(PROFILES, {"slug": "x"})
    assert app.patch(f"{PROFILES}/x", {"reason": "none"}).status == 200

    assert revisions(app, "x") == [(1, "create")]


@pytest.mark.parametrize("sent", [5, ["why"], {}, "x" * 501, "a\0b", "a\x1bb", "a\x85b"])
def test_unsound_reason_is_refused_by_every_write(app, expect_problem, nothing_written, sent):
    with nothing_written(app):
        for method, path, document in (
            ("POST", PROFILES, {"slug": "x"}),
            ("PATCH", f"{PROFILES}/agent", {"description": "d"}),
            ("PUT", f"{PROFILES}/agent", {}),
            ("POST", f"{PROFILES}/agent/default", {}),
            ("POST", REGISTRIES, {"slug": "team"}),
            ("PATCH", f"{REGISTRIES}/default", {"description": "d"}),
        ):
            expect_problem(app.request(method, path, document | {"reason": sent}), 400, "validation error", "reason")


@pytest.mark.parametrize("sent", ["x" * 501, "a%00b"])
def test_unsound_reason_in_the_query_is_refused(app, expect_problem, nothing_written, sent):
    with nothing_written(app):
        for path in (f"{PROFILES}/agent", f"{REGISTRIES}/team"):
            expect_problem(app.delete(f"{path}?reason={sent}"), 400, "validation error", "query.reason")
        expect_problem(app.post(f"{PROFILES}/agent/default?reason={sent}"), 400, "validation error", "query.reason")


def test_longest_reason_counts_after_trimming(app, reasons):
    app.post(PROFILES, {"slug": "x", "reason": " " + "y" * 500 + "\n"})

    assert reasons(app, "x") == [("create", "y" * 500)]
