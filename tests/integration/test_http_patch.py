"""PATCH: what is replaced, what is left, and when nothing is written."""

import json

import pytest

PROFILES = "/api/chat/profiles"
FULL = {
    "slug": "full",
    "display_name": "Full",
    "description": "everything",
    "runtime": {
        "system_prompt": "p",
        "middlewares": [{"name": "agentmode", "id": "one", "enabled": True}],
        "tools": ["calculator"],
        "step_settings_patch": {"ai-chat": {"ai-temperature": 1.0}},
    },
    "policy": {"allow_overrides": True, "read_only": False, "allowed_override_keys": [], "denied_override_keys": ["x"]},
    "metadata": {"tags": ["a"]},
    "extensions": {
        "acme.badge@v1": {"color": "red", "n": 1.50},
        "middleware.agentmode_config@v1": {"instances": {"id:one": {"default_mode": "m"}}},
    },
}


@pytest.fixture
def full(app):
    created = app.post(PROFILES, FULL)
    assert created.status == 201
    return created.json


def without(document, *names):
    return {name: value for name, value in document.items() if name not in (*names, "metadata")}


@pytest.mark.parametrize(
    ("field", "value", "stored"),
    [
        ("display_name", "Other", "Other"),
        ("description", " trimmed ", "trimmed"),
        ("runtime", {"tools": ["t"]}, {"tools": ["t"]}),
        ("runtime", {}, {}),
        ("policy", {"allow_overrides": False}, {"allow_overrides": False, "read_only": False}),
        ("policy", {}, {"allow_overrides": False, "read_only": False}),
        ("extensions", {"acme.other@v1": 5}, {"acme.other@v1": 5}),
    ],
)
def test_patch_replaces_the_field_as_a_whole_and_leaves_the_others(app, full, field, value, stored):
    patched = app.patch(f"{PROFILES}/full", {field: value})

    assert patched.status == 200
    assert patched.json[field] == stored
    assert without(patched.json, field) == without(full, field)
    assert patched.json["metadata"]["version"] == 2
    assert patched.json["metadata"]["created_at_ms"] == full["metadata"]["created_at_ms"]
    assert patched.json["metadata"]["updated_at_ms"] > full["metadata"]["updated_at_ms"]
    assert app.get(f"{PROFILES}/full").body == patched.body


def test_patch_of_extensions_to_none_removes_the_field(app):
    app.post(PROFILES, {"slug": "x", "extensions": {"acme.badge@v1": 1}})

    assert "extensions" not in app.patch(f"{PROFILES}/x", {"extensions": {}}).json


@pytest.mark.parametrize("field", ["display_name", "description"])
def test_patch_clears_with_an_empty_string(app, full, field):
    for blank in ("", "   "):
        app.patch(f"{PROFILES}/full", {field: "something"})
        assert field not in app.patch(f"{PROFILES}/full", {field: blank}).json


def test_patch_clears_the_system_prompt_with_the_runtime(app, full):
    patched = app.patch(f"{PROFILES}/full", {"runtime": full["runtime"] | {"system_prompt": ""}})

    assert "system_prompt" not in patched.json["runtime"]
    assert "default_prompt" not in next(item for item in app.get(PROFILES).json if item["slug"] == "full")


NOTHING = [
    {},
    {"slug": "full"},
    {"slug": " FULL "},
    {"registry": "default"},
    {"expected_version": 1},
    {"display_name": None, "description": None, "runtime": None, "policy": None, "metadata": None, "extensions": None},
    {"slug": None, "registry": None, "expected_version": None, "is_default": None},
    {"display_name": " Full "},
    {"metadata": {}},
    {"metadata": {"tags": None}},
    {"metadata": {"tags": ["a"]}},
    {"metadata": {"version": 77, "created_by": "me", "updated_by": "me", "source": "me", "created_at_ms": 1}},
    {"is_default": True},
    {"runtime": FULL["runtime"]},
    {"policy": FULL["policy"]},
    {"extensions": FULL["extensions"]},
    {"extensions": {" ACME.Badge@v1 ": {"n": 1.5, "color": "red"}, **dict([list(FULL["extensions"].items())[1]])}},
]


@pytest.mark.parametrize("document", NOTHING, ids=lambda document: json.dumps(document)[:60])
def test_patch_that_changes_nothing_writes_nothing(app, full, nothing_written, document):
    before = app.get(f"{PROFILES}/full")
    with nothing_written(app):
        patched = app.patch(f"{PROFILES}/full", document)

    assert (patched.status, patched.body) == (200, before.body)
    assert patched.headers["etag"] == before.headers["etag"]


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("slug", ["full", "default", "agent"])
def test_patch_with_a_document_as_it_was_read_writes_nothing(app, full, nothing_written, slug, indent):
    read = app.get(f"{PROFILES}/{slug}")
    with nothing_written(app):
        patched = app.patch(f"{PROFILES}/{slug}", json.dumps(read.json, indent=indent).encode())

    assert (patched.status, patched.body) == (200, read.body)


def test_patch_with_an_edited_document_changes_only_the_edit(app, full):
    document = app.get(f"{PROFILES}/full").json
    document["runtime"]["system_prompt"] = "edited"
    patched = app.patch(f"{PROFILES}/full", document)

    assert patched.status == 200
    assert without(patched.json) == without(document)
    assert patched.json["metadata"]["version"] == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"extensions": {"a.b@v1": 1}}, {"extensions": {"a.b@v1": 1.0}}),
        ({"extensions": {"a.b@v1": True}}, {"extensions": {"a.b@v1": 1}}),
        ({"extensions": {"a.b@v1": None}}, {"extensions": {}}),
        ({"extensions": {"a.b@v1": [1, 2]}}, {"extensions": {"a.b@v1": [2, 1]}}),
        ({"runtime": {"tools": ["a", "b"]}}, {"runtime": {"tools": ["b", "a"]}}),
        ({"policy": {"allowed_override_keys": []}}, {"policy": {}}),
        (
            {"runtime": {"middlewares": [{"name": "sqlite", "enabled": True}]}},
            {"runtime": {"middlewares": [{"name": "sqlite"}]}},
        ),
        (
            {"runtime": {"step_settings_patch": {"s": {"f": 0}}}},
            {"runtime": {"step_settings_patch": {"s": {"f": False}}}},
        ),
    ],
)
def test_patch_takes_a_change_of_type_order_or_presence_for_a_change(app, one, other):
    app.post(PROFILES, {"slug": "x", **one})

    for version, document in enumerate([other, one], start=2):
        assert app.patch(f"{PROFILES}/x", document).json["metadata"]["version"] == version


def test_patch_cannot_rename(app, full, expect_problem, nothing_written):
    with nothing_written(app):
        problem = expect_problem(app.patch(f"{PROFILES}/full", {"slug": "other"}), 400, "validation error", "slug")

    assert "cannot be changed" in problem["detail"]


def test_patch_cannot_move_the_default(app, expect_problem):
    problem = expect_problem(
        app.patch(f"{PROFILES}/agent", {"set_default": True}), 400, "validation error", "set_default"
    )

    assert "unknown field" in problem["detail"]


def test_patch_of_the_default_says_that_it_is_the_default(app):
    assert app.patch(f"{PROFILES}/default", {"description": "d"}).json["is_default"] is True


def test_patch_of_tags_replaces_trims_and_clears_them(app, full):
    def tags(sent):
        return app.patch(f"{PROFILES}/full", {"metadata": {"tags": sent}}).json["metadata"].get("tags")

    assert tags([" b ", "c", "b"]) == ["b", "c"]
    assert [item["slug"] for item in app.get(f"{PROFILES}?tag=b").json] == ["full"]
    assert tags([]) is None
    assert app.get(f"{PROFILES}?tag=b").json == []


def test_patch_records_each_change_and_counts_the_registry_on(app, full, revisions):
    before = app.get("/api/chat/registries/default").json["metadata"]
    app.patch(f"{PROFILES}/full", {"description": "two"})
    app.patch(f"{PROFILES}/full", {"description": "three"})
    after = app.get("/api/chat/registries/default").json["metadata"]

    assert revisions(app, "full") == [(1, "create"), (2, "update"), (3, "update")]
    assert after["version"] == before["version"] + 2
    assert after["updated_at_ms"] > before["updated_at_ms"]
