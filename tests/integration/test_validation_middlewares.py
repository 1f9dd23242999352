"""Uses of middlewares and their configs: how they may be sent, checked, stored and given back."""

import pytest

from pinocchio_core.plugin import MiddlewareDefinition, hookimpl
from pinocchio_core.testing import make_app

PROFILES = "/api/chat/profiles"
AGENTMODE = "middleware.agentmode_config@v1"
FIRST = "runtime.middlewares[0]"
STRICT_SCHEMA = {
    "type": "object",
    "properties": {
        "level": {"type": "integer", "minimum": 1, "maximum": 9},
        "mode": {"type": "string", "pattern": "^[a-z]+$", "default": "quiet"},
        "nested": {"type": "object", "properties": {"flag": {"type": "boolean"}}, "additionalProperties": False},
        "list": {"type": "array", "items": {"type": "number"}, "uniqueItems": True, "maxItems": 3},
        "free": {},
    },
    "required": ["level"],
    "additionalProperties": False,
}


class Strict:
    """A plugin with a middleware whose config has a required property, in version 2."""

    @hookimpl
    def pinocchio_middleware_definitions(self):
        yield MiddlewareDefinition("strict", STRICT_SCHEMA, dict, version=2)


STRICT = "middleware.strict_config@v2"


@pytest.fixture
def strict_app(shipped):
    with make_app(*shipped, Strict) as made:
        yield made


def create(app, *uses, slug="x", **fields):
    return app.post(PROFILES, {"slug": slug, "runtime": {"middlewares": list(uses)}, **fields})


def use(name="agentmode", **fields):
    return {"name": name, **fields}


def test_inline_config_is_stored_and_returned_only_as_the_extension(app):
    created = create(app, use(id="a", config={"default_mode": "m"}), use("sqlite", config={"max_rows": 5})).json

    assert created["runtime"]["middlewares"] == [{"name": "agentmode", "id": "a"}, {"name": "sqlite"}]
    assert created["extensions"] == {
        AGENTMODE: {"instances": {"id:a": {"default_mode": "m"}}},
        "middleware.sqlite_config@v1": {"instances": {"default": {"max_rows": 5}}},
    }


def test_config_in_the_extension_of_the_definitions_version_is_enough(strict_app):
    created = create(strict_app, use("strict", id="a"), extensions={STRICT: {"instances": {"id:a": {"level": 1}}}})

    assert created.status == 201
    inline = create(strict_app, use("strict", id="a", config={"level": 1}), slug="y")
    assert inline.json["extensions"] == created.json["extensions"]


def test_inline_config_wins_over_the_extension_and_leaves_other_slots(app):
    sent = {AGENTMODE: {"instances": {"id:a": {"default_mode": "lost"}, "id:b": {"default_mode": "kept"}}}}
    created = create(app, use(id="a", config={"default_mode": "won"}), use(id="b"), extensions=sent)

    assert created.json["extensions"] == {
        AGENTMODE: {"instances": {"id:a": {"default_mode": "won"}, "id:b": {"default_mode": "kept"}}}
    }


def test_inline_config_wins_over_a_positional_slot(app):
    sent = {AGENTMODE: {"instances": {"index:0": {"default_mode": "lost"}}}}
    created = create(app, use(config={"default_mode": "won"}), extensions=sent)

    assert created.json["extensions"] == {AGENTMODE: {"instances": {"default": {"default_mode": "won"}}}}


@pytest.mark.parametrize(("slot", "stored"), [("index:0", "default"), ("index:17", "default"), ("id: a ", "id:a")])
def test_slot_is_stored_in_its_one_form(app, slot, stored):
    created = create(app, use(), use(id="a"), extensions={AGENTMODE: {"instances": {slot: {"default_mode": "m"}}}})

    assert created.json["extensions"] == {AGENTMODE: {"instances": {stored: {"default_mode": "m"}}}}


@pytest.mark.parametrize("slots", [("index:0", "index:1"), ("index:0", "default"), ("id:a", "id: a ")])
def test_two_slots_that_are_stored_as_one_are_refused_with_both_names(app, expect_problem, nothing_written, slots):
    sent = {AGENTMODE: {"instances": {slot: {} for slot in slots}}}
    with nothing_written(app):
        answer = create(app, use(), use(id="a"), extensions=sent)
        problem = expect_problem(answer, 400, "validation error", f'extensions["{AGENTMODE}"].instances')
    assert all(f'"{slot}"' in problem["detail"] for slot in slots)


def test_config_follows_its_use_when_the_order_changes(app):
    create(app, use(config={"default_mode": "plain"}), use(id="a", config={"default_mode": "named"}))
    before = app.get(f"{PROFILES}/x").json["extensions"]
    patched = app.patch(f"{PROFILES}/x", {"runtime": {"middlewares": [use(id="a"), use()]}})

    assert patched.json["extensions"] == before


def test_config_stays_when_its_use_is_patched_away(app):
    create(app, use(id="a", config={"default_mode": "m"}))
    patched = app.patch(f"{PROFILES}/x", {"runtime": {}})

    assert patched.json["extensions"] == {AGENTMODE: {"instances": {"id:a": {"default_mode": "m"}}}}


def test_inline_config_in_a_patch_changes_its_slot_alone(app):
    create(app, use(id="a", config={"default_mode": "m"}), use(id="b", config={"default_mode": "n"}))
    runtime = {"middlewares": [use(id="a", config={"default_mode": "new"}), use(id="b")]}
    patched = app.patch(f"{PROFILES}/x", {"runtime": runtime})

    instances = patched.json["extensions"][AGENTMODE]["instances"]
    assert instances == {"id:a": {"default_mode": "new"}, "id:b": {"default_mode": "n"}}


@pytest.mark.parametrize("name", ["does_not_exist", "AgentMode", "agentmode2", "../agentmode", "x" * 300])
def test_unknown_middleware_is_refused_and_the_known_are_told(app, expect_problem, nothing_written, name):
    with nothing_written(app):
        problem = expect_problem(create(app, use(name)), 400, "validation error", f"{FIRST}.name")

    assert f'unknown middleware "{name[:70]}' in problem["detail"]
    assert "(agentmode, sqlite)" in problem["next_step"]


@pytest.mark.parametrize("unnamed", [{}, {"name": ""}, {"name": "  "}, {"name": None}])
def test_use_without_a_name_is_refused(app, expect_problem, unnamed):
    expect_problem(create(app, unnamed), 400, "validation error", f"{FIRST}.name")


def test_middleware_name_is_trimmed(app):
    assert create(app, use(" agentmode\n")).json["runtime"]["middlewares"] == [{"name": "agentmode"}]


def test_repeated_name_needs_ids(app, expect_problem, nothing_written):
    with nothing_written(app):
        problem = expect_problem(
            create(app, use(), use(), use(id=" ")),
            400,
            "validation error",
            "runtime.middlewares[1].id",
            "runtime.middlewares[2].id",
        )
        assert f"{FIRST} uses" in problem["detail"]
    assert create(app, use(), use(id="a"), use("sqlite"), use(id="b")).status == 201


@pytest.mark.parametrize(("sent", "stored"), [(" a ", "a"), ("a b", "a b"), ("é", "é"), ("\u00a0a", "a"), ("A", "A")])
def test_id_is_trimmed_and_otherwise_kept(app, sent, stored):
    created = create(app, use(id=sent, config={"default_mode": "m"})).json

    assert created["runtime"]["middlewares"] == [{"name": "agentmode", "id": stored}]
    assert list(created["extensions"][AGENTMODE]["instances"]) == [f"id:{stored}"]


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_blank_id_counts_as_none(app, blank):
    assert create(app, use(id=blank)).json["runtime"]["middlewares"] == [{"name": "agentmode"}]


@pytest.mark.parametrize("other", ["agentmode", "sqlite"])
def test_id_is_unique_in_the_profile(app, expect_problem, nothing_written, other):
    with nothing_written(app):
        answer = create(app, use(id="a"), use(other, id=" a"))
        problem = expect_problem(answer, 400, "validation error", "runtime.middlewares[1].id")
    assert 'the id "a" is used twice' in problem["detail"]


@pytest.mark.parametrize("enabled", [True, False])
def test_enabled_is_kept_as_it_was_sent(app, enabled):
    assert create(app, use(enabled=enabled)).json["runtime"]["middlewares"][0]["enabled"] is enabled


def test_config_that_breaks_the_schema_is_refused_with_the_path_below_it_in_the_reason(
    app, expect_problem, nothing_written
):
    with nothing_written(app):
        problem = expect_problem(create(app, use(config={"unknown": "x"})), 400, "validation error", f"{FIRST}.config")

    told = f'validation error ({FIRST}.config): unknown property "unknown" (allowed: default_mode)'
    assert problem["detail"] == told


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, 'missing required property "level"'),
        ({"level": "10"}, 'level: expected integer, got string "10"'),
        ({"level": True}, "level: expected integer, got boolean true"),
        ({"level": 1.5}, "level: expected integer, got number 1.5"),
        ({"level": None}, "level: expected integer, got null"),
        ({"level": 0}, "level: must be at least 1, got 0"),
        ({"level": 10}, "level: must be at most 9, got 10"),
        ({"level": 1, "mode": 5}, "mode: expected string, got integer 5"),
        ({"level": 1, "mode": "UP"}, 'mode: must match "^[a-z]+$", got "UP"'),
        ({"level": 1, "nested": {"flag": 1}}, "nested.flag: expected boolean, got integer 1"),
        ({"level": 1, "nested": {"flags": True}}, 'nested: unknown property "flags" (allowed: flag)'),
        ({"level": 1, "list": [1, "2"]}, 'list[1]: expected number, got string "2"'),
        ({"level": 1, "list": [1, 1.0]}, "list: must not hold the same item twice"),
        ({"level": 1, "list": [1, 2, 3, 4]}, "list: must have at most 3 items"),
    ],
)
def test_config_is_checked_by_every_rule_of_the_schema_inline_and_in_the_extension(
    strict_app, expect_problem, nothing_written, config, reason
):
    sent = {STRICT: {"instances": {"id:a": config}}}
    unused = f'extensions["{STRICT}"].instances["id:a"]'
    with nothing_written(strict_app):
        inline = create(strict_app, use("strict", config=config))
        assert reason in expect_problem(inline, 400, "validation error", f"{FIRST}.config")["detail"]
        used = create(strict_app, use("strict", id="a"), extensions=sent)
        problem = expect_problem(used, 400, "validation error", f"{FIRST}.config")
        assert f"{reason} (sent as {unused})" in problem["detail"]
        nobodys = create(strict_app, extensions=sent)
        assert reason in expect_problem(nobodys, 400, "validation error", unused)["detail"]


def test_integral_number_is_an_integer_and_kept_as_it_was_sent(strict_app):
    created = create(strict_app, use("strict", config={"level": 1, "free": "10"}))

    assert created.json["extensions"][STRICT]["instances"]["default"] == {"level": 1, "free": "10"}
    body = b'{"slug":"y","runtime":{"middlewares":[{"name":"strict","config":{"level": 2.0 }}]}}'
    assert b'{"level": 2.0 }' in strict_app.post(PROFILES, body).body


def test_all_problems_of_a_config_are_told(strict_app, expect_problem):
    config = {"mode": 5, "unknown": 1, "nested": {"flag": "x"}}

    expect_problem(create(strict_app, use("strict", config=config)), 400, "validation error", *[f"{FIRST}.config"] * 4)


def test_defaults_are_not_written_back(strict_app):
    created = create(strict_app, use("strict", config={"level": 1}), use(id="a"), use(id="b", config={}))

    assert created.json["extensions"] == {
        STRICT: {"instances": {"default": {"level": 1}}},
        AGENTMODE: {"instances": {"id:b": {}}},
    }


def test_use_without_a_config_lacks_a_required_property(strict_app, expect_problem, nothing_written):
    for uses in ([use("strict")], [use("strict", config=None)], [use("strict", enabled=False)]):
        with nothing_written(strict_app):
            problem = expect_problem(create(strict_app, *uses), 400, "validation error", f"{FIRST}.config")
        assert 'missing required property "level"' in problem["detail"]


def test_patch_that_takes_a_required_property_away_is_refused(strict_app, expect_problem, nothing_written):
    create(strict_app, use("strict", config={"level": 1}))
    with nothing_written(strict_app):
        for document in (
            {"extensions": {}},
            {"extensions": {"acme.badge@v1": 1}},
            {"extensions": {STRICT: {"instances": {}}}},
            {"extensions": {STRICT: {"instances": {"id:other": {"level": 1}}}}},
            {"runtime": {"middlewares": [use("strict", id="other")]}},
            {"runtime": {"middlewares": [use("strict")]}, "extensions": {}},
        ):
            problem = expect_problem(
                strict_app.patch(f"{PROFILES}/x", document), 400, "validation error", f"{FIRST}.config"
            )
            assert 'missing required property "level"' in problem["detail"]
    assert strict_app.patch(f"{PROFILES}/x", {"runtime": {"middlewares": [use("strict")]}}).status == 200
    assert strict_app.patch(f"{PROFILES}/x", {"runtime": {}, "extensions": {}}).status == 200


@pytest.mark.parametrize("config", [5, "x", [], True])
def test_config_that_is_no_object_is_refused(app, expect_problem, config):
    expect_problem(create(app, use(config=config)), 400, "validation error", f"{FIRST}.config")


def test_sqlite_dsn_outside_of_the_named_folders_is_refused(app, expect_problem, nothing_written):
    with nothing_written(app):
        answer = create(app, use("sqlite", config={"dsn": "/etc/passwd"}))
        problem = expect_problem(answer, 400, "validation error", f"{FIRST}.config")
    assert "--sqlite-tool-root" in problem["detail"]
