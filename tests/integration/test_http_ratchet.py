"""A stored profile that became invalid can be changed elsewhere: only what a change brings in is held against it."""

import pytest

from pinocchio_core.plugin import ExtensionSchema, MiddlewareDefinition, Problem, ToolDefinition, hookimpl

PROFILES = "/api/chat/profiles"
X = f"{PROFILES}/x"
KEY = "middleware.tone_config@v1"


class Toned:
    """A plugin that brings a middleware, an extension and tools, and refuses prompts with a certain word in them."""

    def __init__(self, config, *, badge, tools=(), refused=None):
        self.config, self.badge, self.tools, self.refused = config, badge, tools, refused

    @hookimpl
    def pinocchio_middleware_definitions(self):
        return [MiddlewareDefinition("tone", config_schema=self.config, build=lambda config: None)]

    @hookimpl
    def pinocchio_extension_schemas(self):
        return [ExtensionSchema("acme.badge@v1", self.badge)]

    @hookimpl
    def pinocchio_tools(self):
        return [
            ToolDefinition(name, description="", arguments_schema={"type": "object"}, call=str) for name in self.tools
        ]

    @hookimpl
    def pinocchio_validate_profile(self, profile):
        if self.refused and self.refused in (profile.runtime.system_prompt or ""):
            yield Problem(field="runtime.system_prompt", reason="is rude")
        if profile.description == "rude":
            yield Problem(field="description", reason="is rude")


LOOSE = Toned({"type": "object"}, badge={}, tools=("hammer",))
"""Before its upgrade."""
STRICT = Toned(
    {
        "type": "object",
        "properties": {"level": {"type": "integer", "maximum": 5}, "words": {"items": {"type": "string"}}},
        "required": ["level"],
    },
    badge={"type": "string"},
    refused="damn",
)
"""After its upgrade."""

STORED = {
    "slug": "x",
    "runtime": {
        "system_prompt": "damn",
        "middlewares": [{"name": "tone", "id": "a"}, {"name": "tone", "id": "b"}, {"name": "tone"}],
        "tools": ["hammer"],
    },
    "extensions": {
        KEY: {"instances": {"id:a": {"level": "high"}, "id:b": {"level": 9, "words": [1]}, "default": {"level": 1}}},
        "acme.badge@v1": 5,
    },
}
WRONG = [
    'extensions["acme.badge@v1"]',
    "runtime.middlewares[0].config",
    "runtime.middlewares[1].config",
    "runtime.middlewares[1].config",
    "runtime.system_prompt",
    "runtime.tools[0]",
]
"""What the plugin has against the stored profile after its upgrade."""


@pytest.fixture
def path(tmp_path, opened):
    """A database with a profile, `x`, from before the upgrade."""
    path = tmp_path / "profiles.db"
    with opened(path, LOOSE) as app:
        assert app.post(PROFILES, STORED).status == 201
    return path


@pytest.fixture
def app(path, opened):
    """The app after the upgrade."""
    with opened(path, STRICT) as app:
        yield app


def warned(answer):
    assert answer.status == 200, answer.body
    return sorted(warning["field"] for warning in answer.json.get("warnings", ()))


def test_profile_that_became_invalid_is_changed_elsewhere_with_warnings(app):
    for document in ({"description": "d"}, {"display_name": "n"}, {"metadata": {"tags": ["t"]}}, {"policy": {}}):
        answer = app.patch(X, document)
        assert warned(answer) == WRONG
    assert "warnings" not in app.get(X).json
    assert app.get(X).json["metadata"]["version"] == 4


def test_warnings_are_there_again_where_nothing_changes(app):
    assert warned(app.patch(X, {})) == WRONG
    assert warned(app.patch(f"{X}?dry_run=true", {"description": "d"})) == WRONG
    writes = [{"op": "patch", "slug": "x", "document": {"description": "d"}}]
    assert warned_in_batch(app.post("/api/chat/batch", {"writes": writes})) == WRONG


def warned_in_batch(answer):
    return sorted(warning["field"] for warning in answer.json["results"][0]["warnings"])


def test_document_with_its_warnings_can_be_sent_back(app):
    document = app.patch(X, {"description": "d"}).json
    assert document["warnings"]
    assert app.patch(X, document).json == document
    assert app.request("PUT", X, document).json["warnings"] == document["warnings"]


def test_unchanged_parts_may_be_sent_with_changed_ones(app):
    runtime = STORED["runtime"] | {"system_prompt": "damn it"}
    assert warned(app.patch(X, {"runtime": runtime})) == WRONG
    assert warned(app.patch(X, {"extensions": STORED["extensions"] | {"acme.other@v1": 1}})) == WRONG
    assert warned(app.request("PUT", X, STORED | {"description": "d"})) == WRONG


def test_uses_that_move_in_the_list_are_the_same_ones(app):
    uses = STORED["runtime"]["middlewares"]
    new = {"name": "tone", "id": "c", "config": {"level": 2}}
    answer = app.patch(X, {"runtime": STORED["runtime"] | {"middlewares": [new, *reversed(uses)]}})

    assert warned(answer) == [
        'extensions["acme.badge@v1"]',
        "runtime.middlewares[2].config",
        "runtime.middlewares[2].config",
        "runtime.middlewares[3].config",
        "runtime.system_prompt",
        "runtime.tools[0]",
    ]


def test_config_is_the_same_one_in_whichever_form_it_is_sent(app):
    uses = [{"name": "tone", "id": "a", "config": {"level": "high"}}, *STORED["runtime"]["middlewares"][1:]]
    assert warned(app.patch(X, {"runtime": STORED["runtime"] | {"middlewares": uses}})) == WRONG
    assert warned(app.request("PUT", X, STORED | {"runtime": STORED["runtime"] | {"middlewares": uses}})) == WRONG


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({"description": "rude"}, ["description"]),
        ({"extensions": STORED["extensions"] | {"acme.badge@v1": None}}, ['extensions["acme.badge@v1"]']),
        ({"runtime": STORED["runtime"] | {"tools": ["hammer", "saw"]}}, ["runtime.tools[1]"]),
        ({"runtime": STORED["runtime"] | {"tools": ["hammer", "hammer"]}}, ["runtime.tools[1]"]),
        (
            {"runtime": STORED["runtime"] | {"middlewares": [{"name": "tone", "id": "new"}]}},
            ["runtime.middlewares[0].config"],
        ),
        (
            {"runtime": {"middlewares": [{"name": "tone", "id": "b", "config": {"level": 9, "words": ["", 1]}}]}},
            ["runtime.middlewares[0].config"],
        ),
        (
            {"runtime": {"middlewares": [{"name": "tone", "id": "a", "config": {"level": 8}}]}},
            ["runtime.middlewares[0].config"],
        ),
        ({"runtime": {"middlewares": [{"name": "nobody", "id": "a"}]}}, ["runtime.middlewares[0].name"]),
    ],
)
def test_what_a_change_brings_in_refuses_it(app, expect_problem, nothing_written, document, fields):
    with nothing_written(app):
        expect_problem(app.patch(X, document), 400, "validation error", *fields)


def test_replacement_is_refused_for_what_it_brings_in(app, expect_problem, nothing_written):
    with nothing_written(app):
        document = STORED | {"runtime": STORED["runtime"] | {"tools": ["hammer", "saw"]}}
        expect_problem(app.request("PUT", X, document), 400, "validation error", "runtime.tools[1]")


def test_problem_that_was_repaired_does_not_come_back(app, expect_problem):
    assert warned(app.patch(X, {"runtime": STORED["runtime"] | {"tools": []}})) == WRONG[:-1]
    answer = app.patch(X, {"runtime": STORED["runtime"]})
    expect_problem(answer, 400, "validation error", "runtime.tools[0]")


def test_other_profiles_may_not_be_as_bad(app, expect_problem):
    expect_problem(app.post(PROFILES, STORED | {"slug": "y"}), 400, "validation error")
    assert app.post(PROFILES, {"slug": "y"}).status == 201
    expect_problem(app.patch(f"{PROFILES}/y", {"extensions": {"acme.badge@v1": 5}}), 400, "validation error")


def test_read_only_is_lifted_from_a_profile_that_became_invalid(path, opened):
    with opened(path, LOOSE) as app:
        app.patch(X, {"policy": {"read_only": True}})
    with opened(path, STRICT) as app:
        assert warned(app.patch(X, {"policy": {"read_only": False}})) == WRONG


def test_profile_whose_plugin_is_gone_is_changed_with_warnings(path, expect_problem, opened):
    with opened(path) as app:
        uses = [f"runtime.middlewares[{index}].name" for index in range(3)]
        assert warned(app.patch(X, {"description": "d"})) == [*uses, "runtime.tools[0]"]
        moved = STORED["runtime"] | {"middlewares": STORED["runtime"]["middlewares"][1:], "system_prompt": "new"}
        assert warned(app.patch(X, {"runtime": moved})) == [*uses[:2], "runtime.tools[0]"]
        more = STORED["runtime"] | {"middlewares": [*moved["middlewares"], {"name": "tone", "id": "new"}]}
        expect_problem(app.patch(X, {"runtime": more}), 400, "validation error", "runtime.middlewares[2].name")
        assert warned(app.patch(X, {"runtime": {}})) == []


@pytest.mark.parametrize(
    "kept", [5, {"instances": 5}, {"instances": {"default": {"level": 1}, "index:0": {}}}, {"x": 1}]
)
def test_extension_that_was_kept_while_nobody_knew_it_stays_when_its_plugin_comes(tmp_path, kept, opened):
    with opened(tmp_path / "profiles.db") as app:
        assert app.post(PROFILES, {"slug": "x", "extensions": {KEY: kept}}).status == 201
    with opened(tmp_path / "profiles.db", STRICT) as app:
        for document in ({"description": "d"}, {"runtime": {"system_prompt": "p"}}):
            answer = app.patch(X, document)
            assert all(field.startswith(f'extensions["{KEY}"]') for field in warned(answer))
            assert answer.json["warnings"]
            assert answer.json["extensions"] == {KEY: kept}
        repaired = {"middlewares": [{"name": "tone", "config": {"level": 3}}]}
        if kept != {"x": 1}:
            assert warned(app.patch(X, {"runtime": repaired})) == []
            assert app.get(X).json["extensions"][KEY]["instances"] == {"default": {"level": 3}}
