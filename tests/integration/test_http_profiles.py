"""Listing, creating and reading profiles: names, registries, and the shapes of the answers."""

import re

import pytest

PROFILES = "/api/chat/profiles"
LONGEST = "a" * 128


def test_list_has_every_profile_by_slug_with_exactly_the_documented_fields(app):
    suggestions = {"webchat.starter_suggestions@v1": {"items": ["hi"]}}
    document = {
        "slug": "zebra",
        "display_name": "Z",
        "description": "stripes",
        "runtime": {"system_prompt": "run"},
        "extensions": suggestions,
    }
    assert app.post(PROFILES, document).status == 201
    assert app.post(PROFILES, {"slug": "bare"}).status == 201

    listed = app.get(PROFILES)

    assert (listed.status, listed.headers["content-type"]) == (200, "application/json")
    agent_config = {"instances": {"id:default": {"default_mode": "financial_analyst"}}}
    assert listed.json == [
        {
            "slug": "agent",
            "default_prompt": "You are a helpful assistant. Be concise.",
            "extensions": {"middleware.agentmode_config@v1": agent_config},
            "is_default": False,
            "version": 1,
        },
        {"slug": "bare", "is_default": False, "version": 1},
        {"slug": "default", "default_prompt": "You are an assistant", "is_default": True, "version": 1},
        {
            "slug": "zebra",
            "display_name": "Z",
            "description": "stripes",
            "default_prompt": "run",
            "extensions": suggestions,
            "is_default": False,
            "version": 1,
        },
    ]


def test_list_of_an_empty_registry_is_an_empty_array(app):
    app.post("/api/chat/registries", {"slug": "empty"})

    assert app.get(f"{PROFILES}?registry=empty").body == b"[]"


def test_list_pages_through_everything_by_its_next_links(app):
    for slug in ("p3", "p1", "p2"):
        app.post(PROFILES, {"slug": slug, "metadata": {"tags": ["page"]}})
    path, seen = f"{PROFILES}?tag=page&limit=1", []
    while path:
        answer = app.get(path)
        seen += [item["slug"] for item in answer.json]
        link = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("link", ""))
        path = link[1] if link else None

    assert seen == ["p1", "p2", "p3"]


@pytest.mark.parametrize(
    ("query", "slugs"),
    [
        ("q=BLUE", ["by-name", "by-text", "skyblue"]),
        ("q=nothing", []),
        ("tag=night", ["by-text"]),
        ("tag=nig", []),
        ("tag=night&q=blue", ["by-text"]),
        ("after=by-name&q=blue", ["by-text", "skyblue"]),
        ("q=%25", []),
    ],
)
def test_list_filters_by_text_and_tag(app, query, slugs):
    app.post(PROFILES, {"slug": "skyblue"})
    app.post(PROFILES, {"slug": "by-name", "display_name": "Blueish"})
    app.post(PROFILES, {"slug": "by-text", "description": "a blue one", "metadata": {"tags": ["night"]}})

    assert [item["slug"] for item in app.get(f"{PROFILES}?{query}").json] == slugs


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "ten", "1001", "9" * 400])
def test_list_refuses_a_limit_that_is_no_page_size(app, expect_problem, limit):
    expect_problem(app.get(f"{PROFILES}?limit={limit}"), 400, "validation error", "query.limit")


def test_create_answers_the_document_as_it_is_read_afterwards(app):
    created = app.post(PROFILES, {"slug": "new", "display_name": "New", "runtime": {"system_prompt": "be"}})

    assert created.status == 201
    assert created.headers["location"] == f"{PROFILES}/new"
    document = created.json
    metadata = document.pop("metadata")
    assert document == {
        "registry": "default",
        "slug": "new",
        "display_name": "New",
        "runtime": {"system_prompt": "be"},
        "policy": {"allow_overrides": False, "read_only": False},
        "is_default": False,
    }
    assert metadata == {
        "version": 1,
        "created_at_ms": metadata["updated_at_ms"],
        "updated_at_ms": metadata["updated_at_ms"],
        "created_by": "anonymous@127.0.0.1",
        "updated_by": "anonymous@127.0.0.1",
        "source": "http-api",
    }
    read = app.get(created.headers["location"])
    assert (read.body, read.headers["etag"]) == (created.body, created.headers["etag"])


def test_create_of_a_full_document_gives_back_every_field(app):
    full = {
        "slug": "full",
        "display_name": "Full",
        "description": "everything",
        "runtime": {
            "system_prompt": "p",
            "middlewares": [{"name": "agentmode", "id": "one", "enabled": False}, {"name": "sqlite"}],
            "tools": ["calculator"],
            "step_settings_patch": {"ai-chat": {"ai-temperature": 0.5, "deep": {"er": [1, None, True]}}},
        },
        "policy": {
            "allow_overrides": True,
            "read_only": False,
            "allowed_override_keys": ["system_prompt"],
            "denied_override_keys": ["tools"],
        },
        "extensions": {"acme.badge@v3": {"color": "red"}},
    }
    created = app.post(PROFILES, full | {"metadata": {"tags": ["a", "b"]}}).json

    assert {name: created[name] for name in full} == full
    assert created["metadata"]["tags"] == ["a", "b"]


def test_create_with_set_default_moves_the_default(app):
    created = app.post(PROFILES, {"slug": "boss", "set_default": True})

    assert created.json["is_default"] is True
    assert app.get(f"{PROFILES}/default").json["is_default"] is False
    assert app.get("/api/chat/registries/default").json["default_profile_slug"] == "boss"


def test_create_ignores_what_the_server_owns(app):
    owned = {"version": 9, "created_at_ms": 1, "updated_at_ms": 2, "created_by": "x", "updated_by": "y", "source": "z"}
    created = app.post(PROFILES, {"slug": "mine", "metadata": owned, "is_default": True}).json

    assert created["metadata"]["version"] == 1
    assert not owned.items() & created["metadata"].items()
    assert created["is_default"] is False


def test_create_of_a_taken_slug_is_a_conflict(app, expect_problem, nothing_written):
    with nothing_written(app):
        problem = expect_problem(app.post(PROFILES, {"slug": "agent"}), 409, "already exists")

    assert 'profile "agent"' in problem["detail"]
    assert problem["code"] == "already_exists"
    assert problem["current"]["version"] == 1
    assert "PATCH" in problem["next_step"]


@pytest.mark.parametrize(
    ("sent", "slug"),
    [
        (" New ", "new"),
        ("\tUPPER.case_1-x\n", "upper.case_1-x"),
        ("\u00a0wide\u3000", "wide"),
        ("7", "7"),
        (LONGEST, LONGEST),
        ("a..b--c__d", "a..b--c__d"),
    ],
)
def test_create_normalises_the_slug(app, sent, slug):
    created = app.post(PROFILES, {"slug": sent})

    assert (created.status, created.json["slug"]) == (201, slug)
    assert app.get(f"{PROFILES}/{slug}").status == 200


@pytest.mark.parametrize("path", ["AGENT", "Agent", " agent ", "agent/"])
def test_path_slug_is_normalised_too(app, path):
    assert app.get(f"{PROFILES}/{path}").json["slug"] == "agent"


def test_registry_comes_from_the_body_then_the_query_then_the_default(app):
    for registry in ("one", "two"):
        app.post("/api/chat/registries", {"slug": registry})

    def registry_of(slug, query="", **body):
        return app.post(f"{PROFILES}{query}", {"slug": slug, **body}).json["registry"]

    assert registry_of("a", "?registry=one", registry="two") == "two"
    assert registry_of("b", "?registry=one") == "one"
    assert registry_of("c") == "default"
    assert registry_of("d", "?registry=one", registry="  ") == "one"
    assert registry_of("e", "?registry=one", registry=None) == "one"
    assert registry_of("f", "?registry=%20") == "default"
    assert registry_of("g", "?registry=") == "default"
    assert registry_of("h", "?registry=%20ONE%20") == "one"
    assert registry_of("i", registry=" Two ") == "two"
    assert registry_of("j", "?registry=one&registry=two") == "one"


def test_profiles_of_one_slug_in_two_registries_are_two_profiles(app, expect_problem):
    app.post("/api/chat/registries", {"slug": "team"})
    created = app.post(PROFILES, {"slug": "agent", "registry": "team", "display_name": "Theirs"})

    assert created.headers["location"] == f"{PROFILES}/agent?registry=team"
    assert app.get(created.headers["location"]).body == created.body
    assert "display_name" not in app.get(f"{PROFILES}/agent").json
    app.patch(f"{PROFILES}/agent?registry=team", {"description": "changed"})
    assert app.get(f"{PROFILES}/agent").json["metadata"]["version"] == 1
    expect_problem(app.get(f"{PROFILES}/default?registry=team"), 404, "profile not found")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_missing_profile_is_named(app, expect_problem, method):
    problem = expect_problem(
        app.request(method, f"{PROFILES}/nobody", {} if method == "PATCH" else None), 404, "profile not found"
    )

    assert problem["detail"] == 'profile not found: "nobody" in registry "default"'
    assert problem["code"] == "profile_not_found"


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("GET", f"{PROFILES}?registry=gone", None),
        ("GET", f"{PROFILES}/agent?registry=gone", None),
        ("POST", f"{PROFILES}?registry=gone", {"slug": "x"}),
        ("POST", PROFILES, {"slug": "x", "registry": "gone"}),
        ("PATCH", f"{PROFILES}/agent?registry=gone", {}),
        ("PATCH", f"{PROFILES}/agent", {"registry": "gone"}),
        ("DELETE", f"{PROFILES}/agent?registry=gone", None),
        ("POST", f"{PROFILES}/agent/default?registry=gone", None),
        ("GET", "/api/chat/profile?registry=gone", None),
        ("POST", "/api/chat/profile", {"slug": "agent", "registry": "gone"}),
        ("GET", "/api/chat/registries/gone", None),
        ("PATCH", "/api/chat/registries/gone", {}),
        ("DELETE", "/api/chat/registries/gone", None),
    ],
)
def test_unknown_registry_is_named(app, expect_problem, nothing_written, method, path, document):
    with nothing_written(app):
        problem = expect_problem(app.request(method, path, document), 404, "registry not found")

    assert problem["detail"] == 'registry not found: "gone"'
