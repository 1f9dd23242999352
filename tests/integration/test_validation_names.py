"""Every string that becomes a name: blanks, lengths, control characters, and how many there may be."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinocchio_core.testing import make_app

PROFILES = "/api/chat/profiles"
AGENT = f"{PROFILES}/agent"
BAD_SLUGS = [
    *("", " ", "\t\n", "x" * 129, ".", "..", "../etc", "a/b", "a\\b", "a%2Fb", "%2F", "-a", "a-", ".a", "a.", "_"),
    *(
        "a b",
        "a\0",
        "\0",
        "a\x1fb",
        "a\x7f",
        "\x1ca",
        "a\nb",
        "é",
        "ß",
        "a\u200bb",
        "日本",
        "\ufeffa",
        "a:b",
        "a@b!",
        "a*",
    ),
]
CONTROLS = ["\0", "a\0b", "a\nb", "a\tb", "a\x1b[31m", "a\x7fb", "a\x85b", "\x01", "a\rb"]


@pytest.mark.parametrize("slug", BAD_SLUGS, ids=repr)
def test_string_that_is_no_slug_is_refused_wherever_a_slug_is_meant(app, expect_problem, nothing_written, slug):
    with nothing_written(app):
        problem = expect_problem(app.post(PROFILES, {"slug": slug}), 400, "validation error", "slug")
        assert "use 1 to 128 of a-z" in problem["detail"]
        expect_problem(app.post("/api/chat/registries", {"slug": slug}), 400, "validation error", "slug")
        expect_problem(app.post("/api/chat/profile", {"slug": slug}), 400, "validation error", "slug")
        if slug.strip():
            document = {"slug": "x", "registry": slug}
            expect_problem(app.post(PROFILES, document), 400, "validation error", "registry")
            expect_problem(app.patch(AGENT, {"registry": slug}), 400, "validation error", "registry")
            answer = app.post(f"{AGENT}/default", {"registry": slug})
            expect_problem(answer, 400, "validation error", "registry")
            answer = app.patch("/api/chat/registries/default", {"default_profile_slug": slug})
            expect_problem(answer, 400, "validation error", "default_profile_slug")


@pytest.mark.parametrize(
    "encoded", ["..", "a%2Eb%00", "%00", "x" * 129, "a%20b", "%C3%A9", "%FF", "%2F", "a%0Ab", "-", "x" * 8000]
)
def test_registry_in_a_query_must_be_a_slug(app, expect_problem, nothing_written, encoded):
    with nothing_written(app):
        for method, path, document in (
            ("GET", PROFILES, None),
            ("GET", AGENT, None),
            ("POST", PROFILES, {"slug": "x"}),
            ("POST", PROFILES, {"slug": "x", "registry": "default"}),  # which wins
            ("PATCH", AGENT, {}),
            ("DELETE", AGENT, None),
            ("POST", f"{AGENT}/default", None),
            ("POST", f"{AGENT}/resolve", {"registry": "default"}),
            ("GET", "/api/chat/profile", None),
        ):
            answer = app.request(method, f"{path}?registry={encoded}", document)
            expect_problem(answer, 400, "validation error", "query.registry")


@pytest.mark.parametrize("text", CONTROLS, ids=repr)
def test_control_characters_are_refused_in_every_name(app, expect_problem, nothing_written, text):
    places = {
        "display_name": {"display_name": text},
        "runtime.middlewares[0].id": {"runtime": {"middlewares": [{"name": "agentmode", "id": text}]}},
        "runtime.middlewares[0].name": {"runtime": {"middlewares": [{"name": text}]}},
        "runtime.tools[0]": {"runtime": {"tools": [text]}},
        "policy.allowed_override_keys[0]": {"policy": {"allowed_override_keys": [text]}},
        "policy.denied_override_keys[0]": {"policy": {"denied_override_keys": [text]}},
        "metadata.tags[0]": {"metadata": {"tags": [text]}},
    }
    with nothing_written(app):
        for field, document in places.items():
            expect_problem(app.post(PROFILES, {"slug": "x", **document}), 400, "validation error", field)
            expect_problem(app.patch(AGENT, document), 400, "validation error", field)
        key = f"acme.{text}@v1"
        problem = expect_problem(app.post(PROFILES, {"slug": "x", "extensions": {key: 1}}), 400, "validation error")
        assert "invalid extension key" in problem["detail"]
        assert not any(char in problem["detail"] for char in text if not char.isprintable())


def test_slot_of_an_id_that_no_use_could_have_is_refused(app, expect_problem):
    for text in (*CONTROLS, "x" * 129):
        slots = {"middleware.agentmode_config@v1": {"instances": {f"id:{text}": {}}}}
        expect_problem(app.post(PROFILES, {"slug": "x", "extensions": slots}), 400, "validation error")


@pytest.mark.parametrize("text", ["a\nb\tc", "\x1b[0m", "a\0b"], ids=repr)
def test_text_that_is_no_name_may_hold_anything(app, text):
    document = {"slug": "x", "description": text, "runtime": {"system_prompt": text}}
    created = app.post(PROFILES, document)

    assert created.status == 201
    read = app.get(f"{PROFILES}/x").json
    assert (read["description"], read["runtime"]["system_prompt"]) == (text, text)
    listed = next(item for item in app.get(PROFILES).json if item["slug"] == "x")
    assert (listed["description"], listed["default_prompt"]) == (text, text)


@pytest.mark.parametrize(
    ("field", "limit", "document_of"),
    [
        ("display_name", 256, lambda text: {"display_name": text}),
        (
            "runtime.middlewares[0].id",
            128,
            lambda text: {"runtime": {"middlewares": [{"name": "agentmode", "id": text}]}},
        ),
        ("policy.denied_override_keys[0]", 128, lambda text: {"policy": {"denied_override_keys": [text]}}),
        ("metadata.tags[0]", 128, lambda text: {"metadata": {"tags": [text]}}),
    ],
)
def test_names_have_a_longest_length(app, expect_problem, nothing_written, field, limit, document_of):
    with nothing_written(app):
        answer = app.post(PROFILES, {"slug": "x", **document_of("x" * (limit + 1))})
        problem = expect_problem(answer, 400, "validation error", field)
        assert f"at most {limit} characters, has {limit + 1}" in problem["detail"]
    assert app.post(PROFILES, {"slug": "x", **document_of(f" {'x' * limit} ")}).status == 201


@pytest.mark.parametrize(
    ("field", "limit", "document_of"),
    [
        ("runtime.tools", 500, lambda count: {"runtime": {"tools": ["t"] * count}}),
        ("metadata.tags", 100, lambda count: {"metadata": {"tags": [f"t{n}" for n in range(count)]}}),
        (
            "policy.allowed_override_keys",
            100,
            lambda count: {"policy": {"allowed_override_keys": [f"t{n}" for n in range(count)]}},
        ),
        ("extensions", 200, lambda count: {"extensions": {f"acme.x{n}@v1": n for n in range(count)}}),
        (
            "runtime.middlewares",
            100,
            lambda count: {"runtime": {"middlewares": [{"name": "agentmode", "id": f"u{n}"} for n in range(count)]}},
        ),
    ],
)
def test_lists_have_a_largest_size(app, expect_problem, nothing_written, field, limit, document_of):
    with nothing_written(app):
        for count in (limit + 1, 1_000):
            answer = app.post(PROFILES, {"slug": "x", **document_of(count)})
            problem = expect_problem(answer, 400, "validation error", field)
            assert f"must have at most {limit} members, has {count}" in problem["detail"]
    assert app.post(PROFILES, {"slug": "x", **document_of(limit)}).status == 201


@pytest.fixture(scope="module")
def long_lived():
    with make_app() as app:
        yield app


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(slug=st.text(st.sampled_from("aZ0-._ /\0é\u00a0K"), max_size=6) | st.text(max_size=6))
def test_slug_is_either_refused_or_found_under_its_own_name(long_lived, slug):
    created = long_lived.post(PROFILES, {"slug": slug})

    assert created.status in (201, 400)
    if created.status == 201:
        canonical = created.json["slug"]
        assert long_lived.get(created.headers["location"]).json["slug"] == canonical
        assert [item["slug"] for item in long_lived.get(PROFILES).json] == [canonical]
        assert long_lived.post(PROFILES, {"slug": canonical.upper()}).status == 409
        assert long_lived.delete(f"{PROFILES}/{canonical}").status == 204
