"""Routes, methods, media types and request ids: what happens before anybody looks at a profile."""

import pytest

PROFILES = "/api/chat/profiles"
ALLOWED = {
    PROFILES: {"GET", "HEAD", "POST"},
    f"{PROFILES}/agent": {"GET", "HEAD", "PUT", "PATCH", "DELETE"},
    f"{PROFILES}/agent/default": {"POST"},
    f"{PROFILES}/agent/resolve": {"POST"},
    "/api/chat/profile": {"GET", "HEAD", "POST"},
    "/api/chat/registries": {"GET", "HEAD", "POST"},
    "/api/chat/registries/default": {"GET", "HEAD", "PATCH", "DELETE"},
    "/api/chat/schemas/middlewares": {"GET", "HEAD"},
    "/api/chat/schemas/extensions": {"GET", "HEAD"},
    "/api/chat/plugins": {"GET", "HEAD"},
    "/healthz": {"GET", "HEAD"},
    "/readyz": {"GET", "HEAD"},
    "/metrics": {"GET", "HEAD"},
    "/openapi.json": {"GET", "HEAD"},
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"]
READABLE = [path for path, methods in ALLOWED.items() if "GET" in methods]
BODIES = [
    ("POST", PROFILES),
    ("PATCH", f"{PROFILES}/agent"),
    ("PUT", f"{PROFILES}/agent"),
    ("POST", f"{PROFILES}/agent/default"),
    ("POST", f"{PROFILES}/agent/resolve"),
    ("POST", "/api/chat/profile"),
    ("POST", "/api/chat/registries"),
    ("PATCH", "/api/chat/registries/default"),
]
OTHER_MEDIA_TYPES = [
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=latin-1",
    "application/json; charset=utf-16",
    "application/merge-patch+json",
    "application/jsonx",
    "json",
    "application/json, text/plain",
    "*/*",
]


def allowed(answer):
    return {method.strip() for method in answer.headers["allow"].split(",")} - {"OPTIONS"}


@pytest.mark.parametrize("path", ALLOWED)
def test_wrong_method_is_refused_and_told_which_are_allowed(app, expect_problem, nothing_written, path):
    with nothing_written(app):
        for method in sorted(set(METHODS) - ALLOWED[path]):
            answer = app.request(method, path)
            assert allowed(answer) == ALLOWED[path], method
            if method == "HEAD":
                assert (answer.status, answer.body) == (405, b"")
            else:
                expect_problem(answer, 405, "method not allowed")


@pytest.mark.parametrize("path", ALLOWED)
def test_options_tells_the_methods(app, path):
    answer = app.request("OPTIONS", path)

    assert (answer.status, answer.body) == (200, b"")
    assert allowed(answer) == ALLOWED[path]


@pytest.mark.parametrize("path", READABLE)
def test_head_answers_as_get_without_the_body(app, path):
    got, head = app.get(path), app.request("HEAD", path)

    assert (head.status, head.body) == (got.status, b"")
    volatile = {"x-request-id"} | ({"content-length"} if path == "/metrics" else set())
    assert {k: v for k, v in head.headers.items() if k not in volatile} == {
        k: v for k, v in got.headers.items() if k not in volatile
    }


def test_head_of_a_missing_profile_is_not_found(app):
    answer = app.request("HEAD", f"{PROFILES}/nobody")

    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize("path", READABLE)
def test_trailing_slash_is_the_same_route(app, path):
    if path != "/metrics":
        assert app.get(f"{path}/").body == app.get(path).body
    assert app.get(f"{path}/").status == 200


def test_trailing_slash_is_the_same_route_for_writes(app):
    assert app.post(f"{PROFILES}/", {"slug": "x"}).status == 201
    assert app.patch(f"{PROFILES}/x/", {"description": "d"}).status == 200
    assert app.post(f"{PROFILES}/x/default/").status == 200
    assert app.delete(f"{PROFILES}/agent/").status == 204


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/chat",
        f"{PROFILES}/agent/extra",
        f"{PROFILES}/agent/default/extra",
        f"{PROFILES}/a/b/c",
        "/api/chat/profile/agent",
        "/api/chat/registries/default/profiles",
        "/api/chat/schemas",
        "/api/chat/schemas/other",
        "/api/chat/Profiles",
        "/API/chat/profiles",
        "/healthz/x",
        "/openapi",
        "//",
        "//api/chat/profiles",
        "/api//chat/profiles",
        "/api/chat//profiles",
        f"{PROFILES}//agent",
        f"{PROFILES}//",
        f"{PROFILES}/agent//",
        f"{PROFILES}/agent//default",
        "/healthz//",
    ],
)
def test_unknown_route_is_not_found(app, expect_problem, path):
    for method in ("GET", "POST", "PATCH", "DELETE"):
        problem = expect_problem(app.request(method, path), 404, "not found")
        assert "/openapi.json" in problem["next_step"]


@pytest.mark.parametrize("path", [f"{PROFILES}/agent%2Fdefault", f"{PROFILES}/a%2fb", f"{PROFILES}%2Fagent"])
def test_encoded_slash_is_no_slash_of_a_route(app, expect_problem, path):
    for method in ("GET", "POST", "PATCH", "DELETE"):
        expect_problem(app.request(method, path), 404, "not found")


def test_encoded_slash_in_a_query_is_none_of_the_path(app):
    assert app.get(f"{PROFILES}?q=%2F").status == 200
    assert app.get(f"{PROFILES}/%61gent?registry=%64efault").status == 200


@pytest.mark.parametrize("slug", ["%20", "%00", "a%00", "%ff", "%C3%A9", "a%0Ab", "%252F", "..", ".", "%2e%2e"])
def test_encoded_character_in_a_slug_is_decoded_and_refused(app, expect_problem, slug):
    for method, document in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        expect_problem(app.request(method, f"{PROFILES}/{slug}", document), 400, "validation error", "path.slug")


def test_encoded_letters_in_a_slug_are_letters(app):
    assert app.get(f"{PROFILES}/%61gent").json["slug"] == "agent"


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_body_of_another_media_type_is_refused(app, expect_problem, nothing_written, method, path):
    with nothing_written(app):
        for media_type in OTHER_MEDIA_TYPES:
            answer = app.request(method, path, b'{"slug":"agent"}', content_type=media_type)
            problem = expect_problem(answer, 415, "unsupported media type")
            assert "application/json" in problem["next_step"]


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
def test_body_that_says_it_is_json_is_read(app, media_type):
    assert app.patch(f"{PROFILES}/agent", {"description": "d"}, content_type=media_type).status == 200


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_body_over_a_mebibyte_is_refused(app, expect_problem, nothing_written, method, path):
    body = b'{"slug":"agent"}'.ljust(1024 * 1024 + 1)
    with nothing_written(app):
        problem = expect_problem(app.request(method, path, body), 413, "request too large")

    assert "1048576 bytes" in problem["next_step"]


def test_body_of_a_mebibyte_is_read(app):
    assert app.post(PROFILES, b'{"slug":"big"}'.ljust(1024 * 1024)).status == 201


@pytest.mark.parametrize("sent", ["abc", "A-1.b_c:d/e+f=", "x" * 128])
def test_request_id_of_the_caller_is_sent_back(app, sent):
    assert app.get("/healthz", x_request_id=sent).headers["x-request-id"] == sent
    assert app.get("/nowhere", x_request_id=sent).json["request_id"] == sent


@pytest.mark.parametrize("sent", ["", " ", "a b", "x" * 129, "a\r\nSet-Cookie: x=1", "é", "a\0", "<script>", '"'])
def test_request_id_that_is_not_sane_is_replaced(app, sent):
    answered = app.get("/healthz", x_request_id=sent).headers["x-request-id"]

    assert answered
    assert answered != sent
    assert answered.replace("-", "").isalnum()


def test_request_ids_are_on_every_answer_and_all_different(app):
    answers = [app.request(method, path) for path in (*ALLOWED, "/nowhere", "//") for method in (*METHODS, "OPTIONS")]

    ids = [answer.headers["x-request-id"] for answer in answers]
    assert all(ids)
    assert len(set(ids)) == len(ids)
