"""Bodies that are not the JSON they should be: refused with a path, and nothing is written."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinocchio_core.domain import limits
from pinocchio_core.testing import make_app

PROFILES = "/api/chat/profiles"
AGENT = f"{PROFILES}/agent"
DEEP = 10_000


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b"", "body", "is empty"),
        (b"  \n", "body", "is empty"),
        (b'{"slug":"x"', "body", "not valid JSON"),
        (b'{"slug":"x', "body", "not valid JSON"),
        (b'{"slug":"x"} {}', "body", "not valid JSON"),
        (b'{"slug":"x"}x', "body", "not valid JSON"),
        (b'{"slug":"x",}', "body", "not valid JSON"),
        (b"{'slug':'x'}", "body", "not valid JSON"),
        (b'{"slug":"x"/**/}', "body", "not valid JSON"),
        (b'{"slug":"\\x"}', "body", "not valid JSON"),
        (b'{"slug":"a\nb"}', "body", "not valid JSON"),
        (b'{"slug":"x","expected_version":+1}', "body", "not valid JSON"),
        (b"[]", "body", "must be one JSON object"),
        (b'"x"', "body", "must be one JSON object"),
        (b"5", "body", "must be one JSON object"),
        (b"null", "body", "must be one JSON object"),
        (b'\xef\xbb\xbf{"slug":"x"}', "body", ""),
        (b'{"slug":"\xff"}', "body", "not valid UTF-8"),
        (b'{"slug":"\xed\xa0\x80"}', "body", "not valid UTF-8"),
        ('{"slug":"x"}'.encode("utf-16"), "body", "not valid UTF-8"),
        (b'{"slug":"x","slug":"x"}', "slug", "more than once"),
        (b'{"slug":"x","extensions":{"a.b@v1":{"k":1,"k":1}}}', 'extensions["a.b@v1"].k', "more than once"),
        (b'{"slug":"x","runtime":{"tools":["t"],"tools":null}}', "runtime.tools", "more than once"),
        (b'{"slug":"x","s\\u006cug":"y"}', "slug", "more than once"),
        (b'{"slug":"x","extensions":{"a.b@v1":NaN}}', 'extensions["a.b@v1"]', "NaN is not JSON"),
        (b'{"slug":"x","extensions":{"a.b@v1":[Infinity]}}', 'extensions["a.b@v1"][0]', "Infinity is not JSON"),
        (b'{"slug":"x","extensions":{"a.b@v1":-Infinity}}', 'extensions["a.b@v1"]', "-Infinity is not JSON"),
        (b'{"slug":"x","extensions":{"a.b@v1":1e400}}', 'extensions["a.b@v1"]', "too large"),
        (
            b'{"slug":"x","extensions":{"a.b@v1":' + b"9" * 400 + b"}}",
            'extensions["a.b@v1"]',
            "does not fit into 64 bits",
        ),
        (b'{"slug":"x","expected_version":' + b"1" * 400 + b"}", "expected_version", "does not fit into 64 bits"),
        (b'{"slug":"x","description":"\\ud800"}', "description", "lone surrogate"),
        (b'{"slug":"\\udc00\\ud800"}', "slug", "lone surrogate"),
        (b'{"slug":"x","extensions":{"a.b@v1":{"\\ud800":1}}}', 'extensions["a.b@v1"]', "not valid Unicode"),
        (b'{"slug":"x","\\ud800":1}', "body", "not valid Unicode"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else "",
)
def test_body_that_is_no_sound_json_object_is_refused(app, expect_problem, nothing_written, body, field, reason):
    with nothing_written(app):
        created = expect_problem(
            app.post(PROFILES, body, content_type="application/json"), 400, "validation error", field
        )
        patched = app.patch(AGENT, body, content_type="application/json")
        expect_problem(patched, 400, "validation error", field)

    assert reason in created["detail"]


@pytest.mark.parametrize("nest", [b'{"x":', b"["], ids=["objects", "lists"])
@pytest.mark.parametrize("closed", [True, False])
def test_body_nested_ten_thousand_deep_is_refused(app, expect_problem, nothing_written, nest, closed):
    end = (b"}" if nest.startswith(b"{") else b"]") * DEEP if closed else b""
    inner = nest * DEEP + b"1" + end
    with nothing_written(app):
        for body in (inner, b'{"slug":"x","extensions":{"a.b@v1":' + inner + b"}}"):
            expect_problem(app.post(PROFILES, body), 400, "validation error")


@pytest.mark.parametrize(("levels", "status"), [(61, 201), (63, 400), (200, 400)])
def test_body_may_be_nested_as_deep_as_documented(app, levels, status):
    nested = json.loads("[" * levels + "]" * levels)

    answer = app.post(PROFILES, {"slug": "x", "extensions": {"a.b@v1": nested}})
    assert answer.status == status
    if status == 400:
        assert "nested more than 64 deep" in answer.json["detail"]


def test_body_of_too_many_values_is_refused(app, expect_problem, nothing_written):
    with nothing_written(app):
        answer = app.post(PROFILES, {"slug": "x", "extensions": {"a.b@v1": [0] * 50_001}})
        problem = expect_problem(answer, 400, "validation error", "body")
    assert "more than 50000 values" in problem["detail"]


def test_a_profile_does_not_become_too_large_by_parts_that_are_not(app, expect_problem, nothing_written):
    half = [0] * 30_000
    other = {"extensions": {"a.b@v1": half}}
    assert app.post(PROFILES, {"slug": "x", "runtime": {"step_settings_patch": {"x": {"y": half}}}}).status == 201
    with nothing_written(app):
        problem = expect_problem(app.patch(f"{PROFILES}/x", other), 400, "validation error", "body")
        writes = [{"op": "patch", "slug": "x", "document": other}]
        expect_problem(app.post("/api/chat/batch", {"writes": writes}), 400, "validation error")
    assert "the whole profile has more than 50000 values" in problem["detail"]
    assert app.patch(f"{PROFILES}/x", other | {"runtime": {}}).status == 200


def test_what_the_server_adds_to_a_profile_counts_too(app, expect_problem):
    def sent(count):
        return {"slug": "x", "extensions": {"a.b@v1": [0] * count}}

    most = limits.MAX_NODES - 16  # names, runtime, policy, metadata, extensions and the list itself are values too
    expect_problem(app.post(PROFILES, sent(most + 1)), 400, "validation error", "body")
    assert app.post(PROFILES, sent(most)).status == 201
    expect_problem(app.patch(f"{PROFILES}/x", {"description": "d"}), 400, "validation error", "body")
    app.delete(f"{PROFILES}/x")
    assert app.post(f"{PROFILES}/x/revisions/1/restore").status == 201


def test_a_profile_that_was_too_large_before_can_be_changed_and_brought_back(app, monkeypatch):
    half = [0] * 30_000
    app.post(PROFILES, {"slug": "x", "runtime": {"step_settings_patch": {"x": {"y": half}}}})
    with monkeypatch.context() as before:
        before.setattr(limits, "MAX_NODES", 100_000)
        assert app.patch(f"{PROFILES}/x", {"extensions": {"a.b@v1": half}}).status == 200

    changed = app.patch(f"{PROFILES}/x", {"description": "d"})
    assert (changed.status, [each["field"] for each in changed.json["warnings"]]) == (200, ["body"])
    assert app.patch(f"{PROFILES}/x", {"runtime": {}}).status == 200
    assert app.post(f"{PROFILES}/x/revisions/2/restore").status == 200
    app.delete(f"{PROFILES}/x")
    assert app.post(f"{PROFILES}/x/revisions/2/restore").json["extensions"] == {"a.b@v1": half}


def test_every_fault_of_the_json_is_answered(app, expect_problem):
    body = b'{"slug":"\\ud800","runtime":{"tools":[NaN,' + b"7" * 400 + b'],"tools":[]},"runtime":1}'

    expect_problem(app.post(PROFILES, body), 400, "validation error", "slug", "runtime")


def test_message_does_not_repeat_a_long_value(app, expect_problem):
    long = "secret prompt " * 5_000
    document = {"slug": long, "runtime": {"middlewares": [{"name": long, "id": long}], "tools": long}, long: 1}
    answer = app.post(PROFILES, document | {"extensions": {long: 1}, "policy": {"read_only": long}})

    expect_problem(answer, 400, "validation error")
    assert len(answer.body) < 8_000


NAMES = st.sampled_from(
    [
        *("slug", "registry", "display_name", "description", "runtime", "policy", "metadata", "extensions"),
        *("expected_version", "set_default", "is_default", "system_prompt", "middlewares", "tools", "name", "id"),
        *("step_settings_patch", "config", "enabled", "allow_overrides", "read_only", "allowed_override_keys"),
        *("tags", "version", "instances", "default", "id:a", "index:0", "middleware.agentmode_config@v1"),
        *("middleware.other_config@v1", "acme.badge@v1", "webchat.starter_suggestions@v1", "items", "default_mode"),
        *("middleware.sqlite_config@v1", "dsn", "max_rows"),
    ]
)
STRINGS = st.sampled_from(["agentmode", "sqlite", "default", "agent", "", " ", "\0", "a", "file:x"]) | st.text(
    max_size=5
)
SCALARS = st.none() | st.booleans() | st.integers(-2, 3) | st.floats(width=32) | STRINGS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
USES = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["agentmode", "sqlite"]) | VALUES},
        optional={"id": VALUES, "config": VALUES, "enabled": VALUES},
    ),
    max_size=3,
)
INSTANCES = st.dictionaries(st.sampled_from(["default", "id:a", "id:", "index:0", "index:1", "x"]), VALUES, max_size=3)
KEYS = st.sampled_from(
    ["middleware.agentmode_config@v1", "middleware.other_config@v1", "Middleware.Sqlite_config@v1", "middleware.x@v2"]
)
EXTENSIONS = st.dictionaries(KEYS, st.fixed_dictionaries({"instances": INSTANCES | VALUES}) | VALUES, max_size=3)
NEAR = st.fixed_dictionaries(
    {"slug": st.just("made")},
    optional={
        "runtime": st.fixed_dictionaries({"middlewares": USES}) | VALUES,
        "extensions": EXTENSIONS | VALUES,
        "policy": VALUES,
        "metadata": VALUES,
        "display_name": VALUES,
        "expected_version": VALUES,
    },
)
OBJECTS = NEAR | st.dictionaries(NAMES | st.text(max_size=4), VALUES, max_size=5)
QUICKLY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def long_lived(shipped):
    with make_app(*shipped) as app:
        yield app


def answered(app, body):
    answers = [app.post(PROFILES, body), app.patch(AGENT, body), app.patch(f"{PROFILES}/made", body)]
    app.delete(f"{PROFILES}/made")
    return answers


@QUICKLY
@given(document=OBJECTS)
def test_no_json_object_makes_the_server_fail(long_lived, document):
    body = json.dumps(document).encode()

    for answer in answered(long_lived, body):
        assert answer.status < 500, (answer.body, body)
        assert answer.status < 300 or answer.headers["content-type"] == "application/problem+json"


@QUICKLY
@given(body=st.binary(max_size=200))
def test_no_bytes_make_the_server_fail(long_lived, body):
    for answer in answered(long_lived, body):
        assert answer.status < 500, (answer.body, body)


@QUICKLY
@given(body=NEAR.map(lambda document: json.dumps(document).encode()), cut=st.integers(0, 400), byte=st.integers(0, 255))
def test_no_damage_to_a_body_makes_the_server_fail(long_lived, body, cut, byte):
    at = cut % len(body)
    for damaged in (body[:at], body[:at] + bytes([byte]) + body[at + 1 :], body[:at] + body[at + 1 :]):
        for answer in answered(long_lived, damaged):
            assert answer.status < 500, (answer.body, damaged)
