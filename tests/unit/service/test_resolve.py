"""What layers come to: every pair of them, with every kind of value."""

import itertools
import json
import tomllib

import msgspec
import pytest

from pinocchio_core.domain.profile import Metadata, MiddlewareUse, Policy, Profile, Runtime
from pinocchio_core.errors import InvalidRequest, OverrideRefused, SettingsError
from pinocchio_core.plugin import MiddlewareDefinition, ToolDefinition, hookimpl
from pinocchio_core.service.checking.overrides import allowed_overrides, parse_overrides
from pinocchio_core.service.operator import OperatorConfigs
from pinocchio_core.service.resolve import Resolver
from pinocchio_core.testing import make_host

ABSENT = object()
VALUES = [ABSENT, None, False, 0, "", "text", [1, {"a": 1}], {"a": 1, "b": {"c": 2}}, {"b": {"d": 3}}]
LAYERS = ["schema", "profile", "file", "environment", "flag", "request"]
METADATA = Metadata(version=3, created_at_ms=1, updated_at_ms=2, created_by="ann", updated_by="ann", source="test")


def pass_on(turn, following):
    return following(turn)


def plugin(schema):
    class Plugin:
        @hookimpl
        def pinocchio_middleware_definitions(self):
            return [MiddlewareDefinition(name, schema, lambda _: pass_on) for name in ("mw", "b")]

        @hookimpl
        def pinocchio_tools(self):
            schema = {"type": "object"}
            return [ToolDefinition(name, description="", arguments_schema=schema, call=str) for name in ("one", "two")]

    return make_host(Plugin())


def profile(uses=({"name": "mw"},), configs=None, policy=None, **runtime):
    configs = {} if configs is None else {"middleware.mw_config@v1": {"instances": configs}}
    return Profile(
        registry="default",
        slug="p",
        runtime=msgspec.convert({"middlewares": list(uses)} | runtime, Runtime),
        policy=policy or Policy(allow_overrides=True, read_only=False),
        metadata=METADATA,
        extensions={key: msgspec.Raw(msgspec.json.encode(value)) for key, value in configs.items()},
    )


def resolved(host, stored, overrides=None, *, collect=False, **operator):
    operator = {"environment": {}} | operator
    sent = parse_overrides(overrides, host.catalog)
    allowed = allowed_overrides(sent, stored, collect=collect)
    return Resolver(host.catalog, OperatorConfigs(host.catalog, **operator)).resolve((stored,), allowed)


def with_layers(tmp_path, values):
    """The config of one use where each layer gives this value to its member `x`."""
    given = {layer: value for layer, value in values.items() if value is not ABSENT}
    schema = {"type": "object", "properties": {"x": {"default": given["schema"]} if "schema" in given else {}}}
    configs = {"default": {"x": given["profile"]}} if "profile" in given else None
    file = None
    if "file" in given:
        file = tmp_path / "config.toml"
        file.write_text(f"[middlewares.mw]\nx = {as_toml(given['file'])}\n")
        assert tomllib.loads(file.read_text())
    environment = {"PINOCCHIO_MW_MW__X": json.dumps(given["environment"])} if "environment" in given else {}
    options = [f"mw.x={json.dumps(given['flag'])}"] if "flag" in given else []
    overrides = {"middlewares": [{"name": "mw", "config": {"x": given["request"]}}]} if "request" in given else None
    host = plugin(schema)
    made = resolved(host, profile(configs=configs), overrides, file=file, environment=environment, options=options)
    return made.middlewares[0].config.get("x", ABSENT)


def as_toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value)


def over(lower, upper):
    if upper is ABSENT or lower is ABSENT:
        return lower if upper is ABSENT else upper
    if isinstance(lower, dict) and isinstance(upper, dict):
        return {key: over(lower.get(key, ABSENT), upper.get(key, ABSENT)) for key in lower.keys() | upper.keys()}
    return upper


@pytest.mark.parametrize(("low", "high"), list(itertools.combinations(LAYERS, 2)))
def test_of_two_layers_the_higher_one_wins_whatever_its_value(tmp_path, low, high):
    for lower, upper in itertools.product(VALUES, VALUES):
        if "file" in (low, high) and None in (lower, upper):
            continue  # TOML has no null
        found, expected = with_layers(tmp_path, {low: lower, high: upper}), over(lower, upper)
        assert found == expected, (lower, upper)
        assert type(found) is type(expected), (lower, upper)


def test_all_layers_at_once(tmp_path):
    values = {layer: {layer: 1, "last": layer} for layer in LAYERS}
    assert with_layers(tmp_path, values) == dict.fromkeys(LAYERS, 1) | {"last": "request"}


@pytest.mark.parametrize("name", ["system_prompt", "tools", "step_settings_patch"])
def test_a_request_overrides_each_part_of_the_runtime(name):
    host = plugin({"type": "object"})
    stored = {"system_prompt": "stored", "tools": ["one"], "step_settings_patch": {"s": {"a": 1, "b": {"c": 1}}}}
    sent = {"system_prompt": "", "tools": [], "step_settings_patch": {"s": {"b": {"d": 2}}, "t": {}}}
    expected = {
        "system_prompt": "",
        "tools": [],
        "step_settings_patch": {"s": {"a": 1, "b": {"c": 1, "d": 2}}, "t": {}},
    }
    runtime = resolved(host, profile(**stored), {name: sent[name]}).runtime()
    assert {key: runtime[key] for key in stored} == stored | {name: expected[name]}
    assert resolved(host, profile(**stored), {name: None}).runtime() == resolved(host, profile(**stored)).runtime()


# uses of middlewares

TWO = ({"name": "mw", "id": "one"}, {"name": "mw", "id": "two", "enabled": False}, {"name": "b"})


def uses_of(made):
    return [(use.name, use.id, use.enabled, dict(use.config)) for use in made.middlewares]


def test_uses_are_overridden_by_name_and_id_and_new_ones_come_last():
    host, stored = plugin({"type": "object"}), profile(TWO, configs={"id:one": {"x": 1}, "id:two": {"x": 2}})
    overrides = [
        {"name": "mw", "id": "two", "enabled": True, "config": {"y": 1}},
        {"name": "b", "enabled": False},
        {"name": "mw", "id": "new", "config": {"z": 1}},
    ]
    assert uses_of(resolved(host, stored, {"middlewares": overrides})) == [
        ("mw", "one", True, {"x": 1}),
        ("mw", "two", True, {"x": 2, "y": 1}),
        ("b", None, False, {}),
        ("mw", "new", True, {"z": 1}),
    ]


@pytest.mark.parametrize(
    ("overrides", "field", "reason"),
    [
        ([{"name": "mw"}], "overrides.middlewares[0].id", "is ambiguous; specify id"),
        ([{"name": "b"}, {"name": "b"}], "overrides.middlewares[1]", "once more"),
        ([{"name": "mw", "id": "n"}, {"name": "mw", "id": "n"}], "overrides.middlewares[1]", "once more"),
        ([{"name": "c"}], "overrides.middlewares[0].name", 'unknown middleware "c"'),
        ([{}], "overrides.middlewares[0].name", "must not be empty"),
        ([5], "overrides.middlewares[0]", "must be an object, is a number"),
        ([{"name": "b", "more": 1}], "overrides.middlewares[0].more", "unknown field"),
        ([{"name": "b", "enabled": "yes"}], "overrides.middlewares[0].enabled", "must be a boolean, is a string"),
        ([{"name": "b", "config": []}], "overrides.middlewares[0].config", "must be an object, is an array"),
        ({"name": "b"}, "overrides.middlewares", "must be an array, is an object"),
    ],
)
def test_a_wrong_override_of_a_use_is_named(overrides, field, reason):
    with pytest.raises(InvalidRequest) as refused:
        resolved(plugin({"type": "object"}), profile(TWO), {"middlewares": overrides})
    (problem,) = refused.value.problems
    assert problem.field == field
    assert reason in problem.reason


def test_a_config_that_is_valid_in_each_layer_and_not_merged_is_refused_with_its_layers():
    host = plugin({"type": "object", "maxProperties": 1})
    with pytest.raises(InvalidRequest) as refused:
        resolved(host, profile(configs={"default": {"x": 1}}), {"middlewares": [{"name": "mw", "config": {"y": 1}}]})
    (problem,) = refused.value.problems
    assert problem.field == "overrides.middlewares[0].config"
    assert problem.reason.endswith("(merged from profile, request)")


def test_a_disabled_use_is_there_and_its_config_is_not_checked():
    host = plugin({"type": "object", "required": ["x"]})
    made = resolved(host, profile([{"name": "mw", "enabled": False}]))
    assert uses_of(made) == [("mw", None, False, {})]
    with pytest.raises(InvalidRequest, match=r"runtime\.middlewares"):
        resolved(host, profile())


def test_what_is_not_installed_cannot_be_resolved_and_all_of_it_is_said():
    with pytest.raises(InvalidRequest) as refused:
        resolved(plugin({"type": "object"}), profile([{"name": "gone"}, {"name": "mw"}], tools=["one", "gone"]))
    assert [each.field for each in refused.value.problems] == ["runtime.middlewares[0].name", "runtime.tools[1]"]


def test_defaults_inside_an_object_count_only_where_it_is_there():
    inner = {"type": "object", "properties": {"a": {"default": 1}, "b": {}}, "required": ["b"]}
    host = plugin({"type": "object", "properties": {"o": {"$ref": "#/$defs/o"}}, "$defs": {"o": inner}})
    assert uses_of(resolved(host, profile()))[0][3] == {}
    assert uses_of(resolved(host, profile(configs={"default": {"o": {"b": 2}}})))[0][3] == {"o": {"a": 1, "b": 2}}


# policy


def policy(*, allow=True, allowed=None, denied=None):
    return Policy(allow_overrides=allow, read_only=False, allowed_override_keys=allowed, denied_override_keys=denied)


SENT = {
    "system_prompt": "x",
    "tools": ["one"],
    "middlewares": [{"name": "b"}],
    "step_settings_patch": {"ai-chat": {"ai-engine": "small"}},
}


@pytest.mark.parametrize("key", SENT)
@pytest.mark.parametrize("spelled", [str, lambda key: key.replace("_", "-"), lambda key: key.title().replace("_", "")])
def test_policy_is_about_every_key_however_it_is_written(key, spelled):
    host, sent = plugin({"type": "object"}), {spelled(key): SENT[key]}
    for each in (policy(), policy(allowed=(spelled(key),)), policy(denied=("other",))):
        resolved(host, profile(policy=each), sent)
    for each in (policy(allowed=()), policy(allowed=("other",)), policy(denied=(spelled(key),))):
        with pytest.raises(OverrideRefused) as refused:
            resolved(host, profile(policy=each), sent)
        assert list(refused.value.reasons) == [key]
    with pytest.raises(InvalidRequest, match="profile does not allow engine overrides"):
        resolved(host, profile(policy=policy(allow=False)), sent)


def test_a_profile_that_allows_nothing_takes_no_override_at_all():
    made = resolved(plugin({"type": "object"}), profile(policy=policy(allow=False)), {"tools": None})
    assert made.refused == {}


@pytest.mark.parametrize("denied", ["ai-chat", "aiEngine", "ai_engine"])
def test_a_denied_section_or_field_of_settings_is_refused(denied):
    with pytest.raises(OverrideRefused, match=r"step_settings_patch: policy\.denied_override_keys has"):
        resolved(
            plugin({"type": "object"}),
            profile(policy=policy(denied=(denied,))),
            {"step_settings_patch": SENT["step_settings_patch"]},
        )


def test_denied_wins_over_allowed():
    with pytest.raises(OverrideRefused):
        resolved(
            plugin({"type": "object"}), profile(policy=policy(allowed=("tools",), denied=("TOOLS",))), {"tools": []}
        )


def test_what_policy_refuses_can_be_told_instead():
    made = resolved(plugin({"type": "object"}), profile(policy=policy(denied=("tools",))), SENT, collect=True)
    assert (list(made.refused), made.tools, made.system_prompt) == (["tools"], (), "x")


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ([], "overrides"),
        ({"prompt": "x"}, "overrides.prompt"),
        ({"system_prompt": 5}, "overrides.system_prompt"),
        ({"tools": "one"}, "overrides.tools"),
        ({"tools": ["one", 5]}, "overrides.tools[1]"),
        ({"tools": ["gone"]}, "overrides.tools[0]"),
        ({"step_settings_patch": []}, "overrides.step_settings_patch"),
        ({"step_settings_patch": {"ai-chat": 5}}, "overrides.step_settings_patch.ai-chat"),
        ({"systemPrompt": "x", "system_prompt": "y"}, "overrides.system_prompt"),
    ],
)
def test_a_wrong_override_is_named(overrides, field):
    with pytest.raises(InvalidRequest) as refused:
        resolved(plugin({"type": "object"}), profile(), overrides)
    assert [each.field for each in refused.value.problems] == [field]


# fingerprints


def test_a_fingerprint_is_the_same_in_every_process_and_another_for_what_differs():
    host = plugin({"type": "object", "properties": {"d": {"default": 0.5}}})
    stored = profile(configs={"default": {"b": 1, "a": [1.0, "ü"]}}, system_prompt="x", tools=["one"])
    made = resolved(host, stored)
    assert made.fingerprint == "sha256:d6388b9094c841e25873cb21f96d6a3ba2e021b148f3340d38603c0448dc172c"
    other_order = profile(configs={"default": {"a": [1.0, "ü"], "b": 1}}, system_prompt="x", tools=["one"])
    assert resolved(host, other_order).fingerprint == made.fingerprint
    for different in ({"system_prompt": ""}, {"tools": []}, {"middlewares": [{"name": "mw", "config": {"b": 1.0}}]}):
        assert resolved(host, stored, different).fingerprint != made.fingerprint
    assert resolved(host, stored, {"tools": ["one"]}).fingerprint == made.fingerprint


# secrets


def test_a_secret_is_used_and_never_shown():
    host = plugin({"type": "object", "properties": {"key": {"type": "string", "x-secret": True}}})
    made = resolved(host, profile(), environment={"PINOCCHIO_MW_MW__KEY": "s3cret"})
    assert made.middlewares[0].config == {"key": "s3cret"}
    assert b"s3cret" not in msgspec.json.encode(made.runtime())
    assert "s3cret" not in repr(list(made.explained()))
    assert made.fingerprint != resolved(host, profile()).fingerprint


# what operators set


def test_settings_for_one_use_go_over_those_for_all(tmp_path):
    host = plugin({"type": "object", "properties": {"max_rows": {"type": "integer"}, "s": {"type": "string"}}})
    stored = profile([{"name": "mw", "id": "one"}, {"name": "mw", "id": "t-wo"}])
    file = tmp_path / "config.toml"
    file.write_text('[middlewares."mw#one"]\ns = "file one"\n[middlewares.mw]\ns = "file"\nmax_rows = 1\n')
    environment = {"PINOCCHIO_MW_MW_T_WO__MAX_ROWS": "2", "PINOCCHIO_MW_MW__S": "7", "PINOCCHIO_MW_MW__MAX_ROWS": " "}
    made = resolved(host, stored, file=file, environment=environment, options=["mw#one.s=a=b", "mw.max_rows=3"])
    assert [use[3] for use in uses_of(made)] == [{"s": "a=b", "max_rows": 3}, {"s": "7", "max_rows": 3}]
    made = resolved(host, stored, file=file, environment=environment)
    assert [use[3] for use in uses_of(made)] == [{"s": "7", "max_rows": 1}, {"s": "7", "max_rows": 2}]


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        ({"options": ["mw"]}, "is none"),
        ({"options": ["gone.x=1"]}, 'unknown middleware "gone"'),
        ({"options": ["mw.y=1"]}, "has no y"),
        ({"options": ["mw.n=many"]}, '"many" is no integer'),
        ({"options": ["mw.f=maybe"]}, '"maybe" is no boolean'),
        ({"environment": {"PINOCCHIO_MW_GONE__X": "1"}}, "names no middleware"),
        ({"environment": {"PINOCCHIO_MW_MW": "1"}}, "names no middleware"),
        ({"environment": {"PINOCCHIO_MW_MW__Y": "1"}}, "has no y"),
        ({"environment": {"PINOCCHIO_MW_MW__N": "[1"}}, "is no integer"),
        ({"file": "middlewares = 5"}, "is no table"),
        ({"file": "[middlewares]\ngone = {}"}, 'unknown middleware "gone"'),
        ({"file": "[middlewares]\nmw = 5"}, "is no table"),
        ({"file": "[middlewares.mw]\nn = 1\n[other]"}, 'unknown table "other"'),
        ({"file": "x = "}, "Invalid value"),
        ({"file": None}, "No such file"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_at_the_start(tmp_path, operator, said):
    properties = {"n": {"type": "integer"}, "f": {"type": "boolean"}}
    host = plugin({"type": "object", "properties": properties, "additionalProperties": False})
    if "file" in operator:
        text, operator = operator["file"], {"file": tmp_path / "config.toml"}
        if text is not None:
            operator["file"].write_text(text)
    with pytest.raises(SettingsError) as refused:
        OperatorConfigs(host.catalog, **({"environment": {}} | operator))
    assert said in str(refused.value)
    assert refused.value.next_step


def test_types_of_variables_are_those_of_the_schema():
    kinds = {"s": "string", "n": "number", "f": "boolean", "a": "array", "o": "object"}
    host = plugin({"type": "object", "properties": {name: {"type": kind} for name, kind in kinds.items()}})
    texts = {"S": "1", "N": "1.5", "F": "on", "A": "[1]", "O": '{"x": 1}'}
    environment = {f"PINOCCHIO_MW_MW__{name}": text for name, text in texts.items()}
    made = resolved(host, profile(), environment=environment)
    assert uses_of(made)[0][3] == {"s": "1", "n": 1.5, "f": True, "a": [1], "o": {"x": 1}}


def test_a_use_that_no_plugin_knows_has_no_settings():
    host = plugin({"type": "object"})
    assert list(OperatorConfigs(host.catalog, environment={}).layers(MiddlewareUse(name="gone"))) == []
