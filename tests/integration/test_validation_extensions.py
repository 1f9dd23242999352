"""Extensions: their keys, the schemas that are known, and what nobody knows, which comes back as it was sent."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinocchio_core.domain import limits
from pinocchio_core.testing import make_app

PROFILES = "/api/chat/profiles"
SUGGESTIONS = "webchat.starter_suggestions@v1"
AGENTMODE = "middleware.agentmode_config@v1"
ODD_JSON = [
    b"{}",
    b"null",
    b"5",
    b"-0.0",
    b"1.50",
    b"1E+2",
    b"18446744073709551615",
    b"-9223372036854775808",
    b"0.1000000000000000055511151231257827",
    b'"\\u00e9\\ud83d\\ude00\\/\\u0000"',
    b'{ "b" : 1,\n\t"a":[ ] , "" : {"b":1,"a":2} }',
    '"é😀"'.encode(),
    b'[1, 1.0, true, null, "1"]',
]
UNKNOWN = ["acme.badge@v1", "middleware.other_config@v1", "middleware.agentmode_config@v2", "middleware.thing@v1"]


def body_with(key, value, slug=b"x"):
    return b'{"slug":"' + slug + b'","extensions":{"' + key.encode() + b'": ' + value + b" }}"


def stored_as(key, value):
    return b'"' + key.encode() + b'":' + value


@pytest.mark.parametrize("key", UNKNOWN)
def test_unknown_extension_is_kept_byte_for_byte(app, key):
    shapes = [b'{"instances": 5}', b'{"instances":{"index:0": 1, "index:1":{}}}', b'{"instances":null, "x":[ ]}']
    for number, value in enumerate(ODD_JSON + shapes):
        slug = f"x{number}"
        created = app.post(PROFILES, body_with(key, value, slug.encode()))
        assert created.status == 201, value
        assert stored_as(key, value) in app.get(f"{PROFILES}/{slug}").body
        assert stored_as(key, value) in app.get(PROFILES).body


@pytest.mark.parametrize("value", ODD_JSON)
def test_unknown_extension_survives_edits_of_other_fields_byte_for_byte(app, value):
    key = "acme.badge@v1"
    app.post(PROFILES, body_with(key, value))

    for document in (
        {"description": "d"},
        {"runtime": {"middlewares": [{"name": "agentmode", "config": {"default_mode": "m"}}]}},
        {"policy": {"read_only": True}},
        {"policy": {"read_only": False}},
        {"metadata": {"tags": ["t"]}},
    ):
        assert stored_as(key, value) in app.patch(f"{PROFILES}/x", document).body
    assert app.post(f"{PROFILES}/x/default").status == 200
    assert stored_as(key, value) in app.get(f"{PROFILES}/x").body


def test_a_change_beyond_what_a_float_can_tell_is_one(app):
    key = "acme.price@v1"
    app.post(PROFILES, body_with(key, b'{"limit":12345678901234567.89}'))
    patched = app.patch(f"{PROFILES}/x", b'{"extensions":{"acme.price@v1":{"limit":12345678901234567.91}}}')

    assert patched.json["metadata"]["version"] == 2
    assert stored_as(key, b'{"limit":12345678901234567.91}') in app.get(f"{PROFILES}/x").body


def test_known_extension_is_kept_byte_for_byte_too(app):
    for key, value in ((SUGGESTIONS, b'{ "items":["\\u00e9" ] }'), (AGENTMODE, b'{"instances" : {"id:a":{ }} }')):
        app.post(PROFILES, body_with(key, value, slug=b"y"))
        assert stored_as(key, value) in app.get(f"{PROFILES}/y").body
        app.delete(f"{PROFILES}/y")


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        (" Acme.Badge@V1\t", "acme.badge@v1"),
        ("a.b@v99999", "a.b@v99999"),
        ("a_b-c.d_e-f@v10", "a_b-c.d_e-f@v10"),
        (f"{'a' * 64}.{'b' * 64}@v1", f"{'a' * 64}.{'b' * 64}@v1"),
    ],
)
def test_extension_key_is_normalised(app, sent, key):
    created = app.post(PROFILES, {"slug": "x", "extensions": {sent: 1}})

    assert created.json["extensions"] == {key: 1}


@pytest.mark.parametrize(
    "key",
    [
        *("", " ", "acme", "acme.badge", "acme.badge@1", "acme.badge@v", "acme.badge@v0", "acme.badge@v01"),
        *("acme.badge@v100000", "acme.badge@v-1", "acme.badge@v1.0", ".badge@v1", "acme.@v1", "a.b.c@v1", "a b.c@v1"),
        *("-a.b@v1", "a-.b@v1", "a.b@v1 x", f"{'a' * 65}.b@v1", f"a.{'b' * 65}@v1", "a.b@@v1", "a/b.c@v1", "é.b@v1"),
        *("a.b@v\u0661", "a.b@v1\0", "a\0.b@v1", "a%2Fb.c@v1", "../a.b@v1", "__proto__"),
    ],
)
def test_extension_key_that_is_not_well_formed_is_refused(app, expect_problem, nothing_written, key):
    with nothing_written(app):
        for answer in (
            app.post(PROFILES, {"slug": "x", "extensions": {key: {}}}),
            app.patch(f"{PROFILES}/agent", {"extensions": {key: {}}}),
        ):
            problem = expect_problem(answer, 400, "validation error")
            (error,) = problem["errors"]
            assert error["field"].startswith("extensions")
            assert "namespace.feature@vN" in error["reason"]


def test_two_keys_that_normalise_to_one_are_refused_with_both_names(app, expect_problem, nothing_written):
    for one, other in (
        ("acme.badge@v1", "ACME.badge@v1"),
        (" acme.badge@v1", "acme.badge@v1 "),
        (SUGGESTIONS, SUGGESTIONS.upper()),
    ):
        value = {"items": []}
        with nothing_written(app):
            answer = app.post(PROFILES, {"slug": "x", "extensions": {one: value, other: value}})
            problem = expect_problem(answer, 400, "validation error")
        assert f'"{one}" and "{other}" are both the key' in problem["detail"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, 'missing required property "items"'),
        ({"items": "x"}, "items: expected array"),
        ({"items": [1]}, "items[0]: expected string, got integer 1"),
        ({"items": [], "extra": 1}, 'unknown property "extra" (allowed: items)'),
        ([], "expected object"),
        (None, "expected object"),
        ("x", "expected object"),
    ],
)
@pytest.mark.parametrize("key", [SUGGESTIONS, " WebChat.Starter_Suggestions@V1 "])
def test_known_schema_is_enforced_however_the_key_is_written(app, expect_problem, nothing_written, key, value, reason):
    with nothing_written(app):
        answer = app.post(PROFILES, {"slug": "x", "extensions": {key: value}})
        problem = expect_problem(answer, 400, "validation error", f'extensions["{key}"]')
    assert reason in problem["detail"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, 'missing required property "instances"'),
        ({"instances": []}, "instances: expected object, got array"),
        ({"instances": None}, "instances: expected object, got null"),
        ({"instances": 5}, "instances: expected object, got integer"),
        ({"instances": [None]}, "instances: expected object, got array"),
        ({"instances": "id:a"}, "instances: expected object, got string"),
        ({"instances": {}, "more": 1}, 'unknown property "more" (allowed: instances)'),
        ([], "expected object, got array"),
        (5, "expected object, got integer"),
        (None, "expected object, got null"),
    ],
)
@pytest.mark.parametrize("key", [AGENTMODE, "Middleware.AgentMode_Config@v1"])
def test_shape_of_a_middlewares_extension_is_enforced(app, expect_problem, nothing_written, key, value, reason):
    with nothing_written(app):
        answer = app.post(PROFILES, {"slug": "x", "extensions": {key: value}})
        problem = expect_problem(answer, 400, "validation error", f'extensions["{key}"]')
    assert reason in problem["detail"]


def test_instance_that_nobody_uses_is_checked(app, expect_problem, nothing_written):
    instances = {"id:a": {"default_mode": 5}, "default": {"x": 1}, "id:ok": {}, "index:3": []}
    where = f'extensions["{AGENTMODE}"].instances'
    with nothing_written(app):
        answer = app.post(
            PROFILES, {"slug": "x", "extensions": {AGENTMODE: {"instances": instances | {"default": {}}}}}
        )
        expect_problem(answer, 400, "validation error", f'{where}["id:a"]', f'{where}["index:3"]', where)
        answer = app.patch(f"{PROFILES}/agent", {"extensions": {AGENTMODE: {"instances": {"id:b": {"x": 1}}}}})
        expect_problem(answer, 400, "validation error", f'{where}["id:b"]')


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def long_lived():
    with make_app() as app:
        yield app


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_any_json_comes_back_as_the_same_json(long_lived, value):
    created = long_lived.post(PROFILES, {"slug": "x", "extensions": {"acme.any@v1": value}})

    assert created.status == 201
    assert repr(created.json["extensions"]["acme.any@v1"]) == repr(value)
    assert long_lived.delete(f"{PROFILES}/x").status == 204


@pytest.mark.parametrize("before", ["nothing", "damaged", "deleted"])
def test_a_config_sent_inline_counts_as_an_extension(app, expect_problem, nothing_written, before):
    extensions = {f"a.b@v{number}": {} for number in range(1, limits.MAX_EXTENSIONS + 1)}
    sent = {"runtime": {"middlewares": [{"name": "agentmode", "config": {}}]}, "extensions": extensions}
    if before != "nothing":
        app.post(PROFILES, {"slug": "x"})
    if before == "damaged":
        with app.program.store.write():
            app.program.store.database.run("UPDATE profiles SET payload_json = '{' WHERE slug = 'x'")
    if before == "deleted":
        app.delete(f"{PROFILES}/x")
    method, path = ("PUT", f"{PROFILES}/x") if before == "damaged" else ("POST", PROFILES)
    with nothing_written(app):
        problem = expect_problem(
            app.request(method, path, {"slug": "x", **sent}), 400, "validation error", "extensions"
        )
    assert "must have at most 200 members, has 201" in problem["detail"]
    del extensions["a.b@v1"]
    assert app.request(method, path, {"slug": "x", **sent}).status < 300
