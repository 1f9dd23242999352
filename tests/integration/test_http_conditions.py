"""Versions and entity tags: who may write over what they have seen."""

import pytest

PROFILES = "/api/chat/profiles"
AGENT = f"{PROFILES}/agent"
REGISTRY = "/api/chat/registries/default"
FIXED = ["/api/chat/schemas/middlewares", "/api/chat/schemas/extensions", "/api/chat/plugins", "/openapi.json"]
MALFORMED = ["x", "", '"a', 'a"', '"a" "b"', '*, "a"', 'w/"a"', '"a",', '"a\tb"', "1"]


def shown(metadata):
    return {name: metadata[name] for name in ("version", "updated_at_ms", "updated_by")}


@pytest.mark.parametrize("version", [None, 0, 1])
def test_version_that_is_current_or_left_out_lets_a_patch_pass(app, version):
    patched = app.patch(AGENT, {"description": "d", "expected_version": version})

    assert (patched.status, patched.json["metadata"]["version"]) == (200, 2)


@pytest.mark.parametrize(
    "query", ["", "?expected_version=0", "?expected_version=1", "?expected_version=", "?expected_version=001"]
)
def test_version_in_the_query_lets_a_delete_pass(app, query):
    assert app.delete(f"{AGENT}{query}").status == 204


@pytest.mark.parametrize("stale", [2, 99, 2**63 - 1])
def test_version_that_is_stale_is_a_conflict_that_shows_the_current_one(app, expect_problem, nothing_written, stale):
    metadata = app.get(AGENT).json["metadata"]
    with nothing_written(app):
        for answer in (
            app.patch(AGENT, {"description": "d", "expected_version": stale}),
            app.patch(AGENT, {"expected_version": stale}),
            app.delete(f"{AGENT}?expected_version={stale}"),
        ):
            problem = expect_problem(answer, 409, "version conflict")
            assert f"expected={stale} actual=1" in problem["detail"]
            assert problem["current"] == shown(metadata)
            assert problem["code"] == "version_conflict"
            assert "read it again" in problem["next_step"]


def test_conflict_over_a_taken_slug_shows_what_is_there(app, expect_problem):
    problem = expect_problem(app.post(PROFILES, {"slug": "agent"}), 409, "already exists")

    assert problem["current"] == shown(app.get(AGENT).json["metadata"])


@pytest.mark.parametrize("request_of", ["default", "patch", "delete"])
def test_conflict_over_a_registry_shows_what_is_there(app, expect_problem, request_of):
    send = {
        "default": lambda: app.post(f"{AGENT}/default", {"expected_version": 99}),
        "patch": lambda: app.patch(REGISTRY, {"expected_version": 99}),
        "delete": lambda: app.delete(f"{REGISTRY}?expected_version=99"),
    }
    problem = expect_problem(send[request_of](), 409, "version conflict")

    assert problem["current"] == shown(app.get(REGISTRY).json["metadata"])


def test_create_with_a_version_of_a_profile_that_is_gone_is_a_conflict(app, expect_problem, nothing_written):
    with nothing_written(app):
        problem = expect_problem(app.post(PROFILES, {"slug": "new", "expected_version": 3}), 409, "version conflict")

    assert "expected=3 actual=0" in problem["detail"]


@pytest.mark.parametrize("version", [b"-1", b'"1"', b"1.5", b"true", b"[1]", b"{}", str(2**64).encode(), b"9" * 400])
def test_version_in_a_body_must_be_a_version(app, expect_problem, nothing_written, version):
    body = b'{"slug":"agent","expected_version":' + version + b"}"
    with nothing_written(app):
        for answer in (
            app.patch(AGENT, body),
            app.post(PROFILES, body.replace(b"agent", b"new")),
            app.post(f"{AGENT}/default", body.replace(b'"slug":"agent",', b"")),
            app.patch(REGISTRY, body.replace(b'"slug":"agent",', b"")),
        ):
            expect_problem(answer, 400, "validation error", "expected_version")


def test_version_with_leading_zeros_in_a_body_is_no_json(app, expect_problem):
    expect_problem(app.patch(AGENT, b'{"expected_version":01}'), 400, "validation error", "body")


@pytest.mark.parametrize("version", ["-1", "1.5", "x", "%2B1", "1e3", str(2**64), "9" * 400, "%D9%A1", "1%002", "0x1"])
def test_version_in_a_query_must_be_a_version(app, expect_problem, nothing_written, version):
    with nothing_written(app):
        for method, path in (("DELETE", AGENT), ("POST", f"{AGENT}/default"), ("DELETE", REGISTRY)):
            answer = app.request(method, f"{path}?expected_version={version}")
            expect_problem(answer, 400, "validation error", "query.expected_version")


@pytest.mark.parametrize("path", [PROFILES, AGENT, REGISTRY, *FIXED])
def test_get_gives_an_etag_and_honours_if_none_match(app, path):
    etag = app.get(path).headers["etag"]

    for header in (etag, f"W/{etag}", f'"other", {etag}', "*", f' {etag} , "x"'):
        answer = app.get(path, if_none_match=header)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag), header
    for header in ('"other"', 'W/"other"', f'"{etag[1:-1]}x"'):
        assert app.get(path, if_none_match=header).status == 200, header
    assert app.request("HEAD", path, if_none_match=etag).status == 304


@pytest.mark.parametrize("header", MALFORMED)
@pytest.mark.parametrize("path", [PROFILES, AGENT, REGISTRY, FIXED[0], f"{AGENT}?raw=true", f"{PROFILES}/nope"])
def test_get_refuses_a_malformed_if_none_match(app, expect_problem, path, header):
    expect_problem(app.get(path, if_none_match=header), 400, "validation error", "header.If-None-Match")


@pytest.mark.parametrize("header", MALFORMED)
def test_writes_refuse_malformed_conditions(app, expect_problem, nothing_written, header):
    with nothing_written(app):
        for answer in (
            app.patch(AGENT, {"description": "d"}, if_match=header),
            app.delete(AGENT, if_match=header),
            app.post(f"{AGENT}/default", if_match=header),
            app.patch(REGISTRY, {"description": "d"}, if_match=header),
        ):
            expect_problem(answer, 400, "validation error", "header.If-Match")
        answer = app.post(PROFILES, {"slug": "new"}, if_none_match=header)
        expect_problem(answer, 400, "validation error", "header.If-None-Match")


def test_etag_changes_with_the_content_and_with_the_default(app):
    etags = [app.get(AGENT).headers["etag"]]
    etags.append(app.patch(AGENT, {"description": "d"}).headers["etag"])
    etags.append(app.post(f"{AGENT}/default").headers["etag"])

    assert len(set(etags)) == 3
    assert app.get(AGENT).headers["etag"] == etags[-1]


def test_etag_of_a_list_changes_with_every_profile_in_it(app):
    before = app.get(PROFILES).headers["etag"]
    app.patch(AGENT, {"description": "d"})

    assert app.get(PROFILES, if_none_match=before).status == 200


@pytest.mark.parametrize("shape", ["{}", '"x", {}', "*"])
def test_if_match_that_holds_lets_a_write_pass(app, shape):
    def header():
        return shape.format(app.get(AGENT).headers["etag"])

    assert app.patch(AGENT, {"description": "d"}, if_match=header()).status == 200
    registry = shape.format(app.get(REGISTRY).headers["etag"])
    assert app.post(f"{AGENT}/default", if_match=registry).status == 200
    app.post(f"{PROFILES}/default/default")
    assert app.delete(AGENT, if_match=header()).status == 204


def test_if_match_that_fails_stops_a_write(app, expect_problem, nothing_written):
    etag = app.get(AGENT).headers["etag"]
    with nothing_written(app):
        for header in ('"stale"', f"W/{etag}", '"a", "b"'):
            for answer in (
                app.patch(AGENT, {"description": "d"}, if_match=header),
                app.patch(AGENT, {}, if_match=header),
                app.delete(AGENT, if_match=header),
                app.post(f"{AGENT}/default", if_match=header),
                app.patch(REGISTRY, {"description": "d"}, if_match=header),
                app.delete(REGISTRY, if_match=header),
                app.post(PROFILES, {"slug": "new"}, if_match=header),
            ):
                problem = expect_problem(answer, 412, "precondition failed")
                assert "If-Match" in problem["detail"]
        expect_problem(app.post(PROFILES, {"slug": "new"}, if_match="*"), 412, "precondition failed")


def test_failed_precondition_shows_the_current_version(app, expect_problem):
    problem = expect_problem(app.patch(AGENT, {"description": "d"}, if_match='"stale"'), 412, "precondition failed")

    assert problem["current"]["version"] == 1
    assert "ETag" in problem["next_step"]


def test_if_none_match_star_creates_and_never_overwrites(app, expect_problem, nothing_written):
    assert app.post(PROFILES, {"slug": "new"}, if_none_match="*").status == 201
    assert app.post("/api/chat/registries", {"slug": "new"}, if_none_match="*").status == 201
    with nothing_written(app):
        for answer in (
            app.post(PROFILES, {"slug": "new"}, if_none_match="*"),
            app.post("/api/chat/registries", {"slug": "new"}, if_none_match="*"),
            app.patch(AGENT, {"description": "d"}, if_none_match="*"),
            app.delete(AGENT, if_none_match="*"),
        ):
            problem = expect_problem(answer, 412, "precondition failed")
            assert "If-None-Match" in problem["detail"]


def test_recreated_slug_continues_its_versions_so_that_an_old_one_never_matches(app, expect_problem, revisions):
    app.post(PROFILES, {"slug": "phoenix"})
    app.delete(f"{PROFILES}/phoenix")
    created = app.post(PROFILES, {"slug": "phoenix"})

    assert created.json["metadata"]["version"] == 3
    assert revisions(app, "phoenix") == [(1, "create"), (2, "delete"), (3, "create")]
    expect_problem(app.patch(f"{PROFILES}/phoenix", {"expected_version": 1}), 409, "version conflict")
