"""The helpers that authors of plugins test with."""

import json
import math
import sys
from types import ModuleType

import pytest

from pinocchio_core import testing
from pinocchio_core.errors import PluginsFailed
from pinocchio_core.plugin import (
    Block,
    BlockKind,
    EngineDefinition,
    EngineFailed,
    ExtensionSchema,
    MiddlewareDefinition,
    ProfileSeed,
    ToolDefinition,
    hookimpl,
)
from pinocchio_core.testing import check_plugin, defaults_of, installed, make_app, make_host


def build(config):
    return lambda turn, handler: handler(turn)


def plugin(*definitions, seeds=(), extensions=(), engines=(), tools=()):
    class Plugin:
        @hookimpl
        def pinocchio_middleware_definitions(self):
            return definitions

        @hookimpl
        def pinocchio_bootstrap_profiles(self):
            return seeds

        @hookimpl
        def pinocchio_extension_schemas(self):
            return extensions

        @hookimpl
        def pinocchio_engines(self):
            return engines

        @hookimpl
        def pinocchio_tools(self):
            return tools

    return Plugin()


def answering(settings, options):
    return lambda turn: turn.replace(blocks=(*turn.blocks, Block(kind=BlockKind.ASSISTANT, text="hi")))


def needy(settings, options):
    raise EngineFailed("it needs a base URL")


def failing(*_):
    raise LookupError("no such thing")


def leaving(*_):
    sys.exit("goodbye")


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def with_default(**schema):
    return plugin(MiddlewareDefinition("a", {"properties": {"n": schema}}, build))


def engine(build, *, schema=None, offline=True):
    return plugin(engines=[EngineDefinition("parrot", build=build, settings_schema=schema or {}, offline=offline)])


def tool(call, schema=None):
    return plugin(tools=[ToolDefinition("clock", description="", arguments_schema=schema or {}, call=call)])


MARK = {"properties": {"mark": {"type": "string", "default": "!"}}, "additionalProperties": False}
SHOUT = plugin(MiddlewareDefinition("shout", MARK, build))


def use(config):
    return {"slug": "a", "runtime": {"middlewares": [{"name": "shout", "config": config}]}}


@pytest.mark.parametrize(
    "sound",
    [
        SHOUT,
        plugin(MiddlewareDefinition("bare", {}, build)),
        plugin(MiddlewareDefinition("open", {"properties": {"any": True, "none": False}}, build)),
        plugin(MiddlewareDefinition("needy", {"properties": {"url": {"type": "string"}}, "required": ["url"]}, build)),
        plugin(MiddlewareDefinition("set", {"properties": {"n": {"default": 1}}, "required": ["n"]}, build)),
        plugin(extensions=[ExtensionSchema("acme.badge@v1", {})], seeds=[ProfileSeed("terse")]),
        plugin(
            MiddlewareDefinition("shout", MARK, build),
            seeds=[ProfileSeed("loud", document={"runtime": use({})["runtime"]})],
        ),
        plugin(MiddlewareDefinition("new", MARK, build, version=2, migrate_config=lambda config, version: config)),
        plugin(extensions=[ExtensionSchema("acme.badge@v1", MARK)]),
        engine(answering),
        engine(needy),
        engine(answering, schema={"properties": {"own": {"properties": {"n": {"default": 1, "type": "integer"}}}}}),
        engine(lambda settings, options: failing, offline=False),
        tool(lambda arguments: "now"),
        tool(lambda arguments: arguments["zone"], {"properties": {"zone": {"default": "UTC"}}}),
        tool(failing, {"required": ["zone"]}),
    ],
)
def test_check_plugin_is_content_with(sound):
    check_plugin(sound)


@pytest.mark.parametrize(
    ("faulty", "says"),
    [
        (ModuleType("empty"), "empty (given 0)  it implements no hook"),
        (plugin(MiddlewareDefinition("BAD", {}, build)), "a name is 1 to 57 of a-z"),
        (plugin(MiddlewareDefinition("a", {"type": "nope"}, build)), "config_schema: not valid draft 2020-12"),
        (plugin(MiddlewareDefinition("a", {"$ref": "http://localhost/x"}, build)), "must stay inside the schema"),
        (plugin(extensions=[ExtensionSchema("badge", {})]), "invalid extension key"),
        (plugin(MiddlewareDefinition("a", {}, build), MiddlewareDefinition("a", {}, build)), "is claimed twice by"),
        (
            plugin(MiddlewareDefinition("a", {"properties": {"n": {"type": "integer", "default": "x"}}}, build)),
            "middleware 'a': the defaults of its schema are not valid under it: n: expected integer",
        ),
        (
            plugin(
                MiddlewareDefinition(
                    "a", {"properties": {"n": {"type": "integer", "default": "x"}, "u": {}}, "required": ["u"]}, build
                )
            ),
            "middleware 'a': the defaults of its schema are not valid under it: n: expected integer",
        ),
        (plugin(MiddlewareDefinition("a", {}, lambda config: None)), "build returned something that cannot be called"),
        (plugin(MiddlewareDefinition("a", {}, lambda config: config["gone"])), "middleware 'a': build raised KeyError"),
        (plugin(MiddlewareDefinition("a", {}, leaving)), "middleware 'a': build raised SystemExit: goodbye"),
        (
            with_default(default=math.nan),
            "middleware 'a': the defaults of its schema have nan at n, which is no number",
        ),
        (
            with_default(default=2**64),
            "middleware 'a': the defaults of its schema have an integer of more than 64 bits",
        ),
        (with_default(default=nested(100)), "middleware 'a': the defaults of its schema are refused in profiles: "),
        (
            with_default(**{"default": "key", "x-secret": True}),
            "middleware 'a': the defaults of its schema are refused in profiles: runtime.middlewares[0].config.n: ",
        ),
        (
            with_default(type="string", default=10**400),
            "the defaults of its schema are not valid under it: n: expected",
        ),
        (
            plugin(MiddlewareDefinition("a", {}, build, migrate_config=lambda config: config)),
            "middleware 'a': migrate_config takes a config and a version",
        ),
        (
            plugin(extensions=[ExtensionSchema("a.b@v1", {"properties": {"n": {"type": "null", "default": 1}}})]),
            "extension 'a.b@v1': the defaults of its schema are not valid under it: n: expected null",
        ),
        (
            engine(
                answering,
                schema={"properties": {"own": {"properties": {"n": {"default": "x", "type": "integer"}}}}},
            ),
            "engine 'parrot': the defaults of its schema are not valid under it: own.n: expected integer",
        ),
        (engine(failing), "engine 'parrot': build raised LookupError: no such thing"),
        (engine(lambda settings, options: None), "build returned something that cannot be called"),
        (engine(lambda settings, options: failing), "engine 'parrot': answering raised LookupError"),
        (engine(lambda settings, options: lambda turn: turn), "its answer is not the turn that it got with further"),
        (engine(lambda settings, options: lambda turn: None), "its answer is not the turn that it got with further"),
        (engine(leaving), "engine 'parrot': build raised SystemExit: goodbye"),
        (tool(leaving), "tool 'clock': call raised SystemExit: goodbye"),
        (tool(failing), "tool 'clock': call raised LookupError"),
        (tool(lambda arguments: 5), "tool 'clock': call returned int, not text"),
        (plugin(seeds=[ProfileSeed("A B")]), 'its profile "A B" is not sound'),
        (plugin(seeds=[ProfileSeed("a", document=use({}))]), "unknown middleware"),
    ],
)
def test_check_plugin_says_what_is_wrong(faulty, says):
    with pytest.raises(AssertionError) as failed:
        check_plugin(faulty)

    assert says in str(failed.value)


def test_make_host_has_these_plugins_alone():
    host = make_host(SHOUT)

    assert [record.source for record in host.records] == ["Plugin (given 0)"]
    assert set(host.catalog.middlewares) == {"shout"}


@pytest.mark.parametrize("make", [make_host, lambda faulty: make_app(faulty).__enter__()])
def test_makers_refuse_a_plugin_that_is_not_sound(make):
    with pytest.raises(PluginsFailed, match="it implements no hook"):
        make(ModuleType("empty"))


def test_make_app_enforces_the_schema_of_the_plugin():
    with make_app(SHOUT) as app:
        refused, created = app.post("/api/chat/profiles", use({"mark": 5})), app.post("/api/chat/profiles", use({}))

    assert (refused.status, created.status) == (400, 201)
    assert refused.headers["content-type"] == "application/problem+json"
    assert "runtime.middlewares[0].config" in refused.json["detail"]
    assert created.headers["location"].endswith("/api/chat/profiles/a")


def test_make_app_has_a_database_of_its_own_each_time():
    for _ in range(2):
        with make_app(plugin(seeds=[ProfileSeed("seed")])) as app:
            assert [item["slug"] for item in app.get("/api/chat/profiles").json] == ["seed"]
            assert app.post("/api/chat/profiles", {"slug": "more"}).status == 201


def test_make_app_takes_the_default_registry():
    with make_app(default_registry="team") as app:
        assert app.post("/api/chat/profiles", {"slug": "a"}).json["registry"] == "team"


def test_app_sends_methods_headers_queries_and_raw_bytes():
    with make_app() as app:
        etag = app.post("/api/chat/profiles", {"slug": "a"}).headers["etag"]

        assert app.get("/api/chat/profiles/a", if_none_match=etag).status == 304
        assert app.patch("/api/chat/profiles/a", {"description": "x"}, if_match='"no"').status == 412
        assert app.patch("/api/chat/profiles/a", {"description": "x"}).json["description"] == "x"
        assert app.delete("/api/chat/profiles/a?expected_version=1").status == 409
        assert app.delete("/api/chat/profiles/a").status == 204
        assert app.post("/api/chat/profiles", b"{").status == 400
        assert app.post("/api/chat/profiles", b"{}", content_type="text/plain").status == 415
        assert app.request("HEAD", "/healthz").body == b""


def test_answer_decodes_its_body():
    with make_app() as app:
        answer = app.get("/healthz")

    assert answer.json == json.loads(answer.body) == {"status": "ok"}


@pytest.mark.parametrize(
    ("schema", "defaults"),
    [(MARK, {"mark": "!"}), ({}, {}), ({"properties": {"a": True, "b": {"default": None}, "c": {}}}, {"b": None})],
)
def test_defaults_of_a_definition_are_those_of_its_properties(schema, defaults):
    assert defaults_of(MiddlewareDefinition("a", schema, build)) == defaults


def test_testing_exports_what_is_documented():
    assert sorted(testing.__all__) == [
        "Answer",
        "TestApp",
        "check_plugin",
        "defaults_of",
        "installed",
        "make_app",
        "make_host",
    ]


def test_installed_plugins_go_with_ones_own():
    with make_app(SHOUT, *installed("echo")) as app:
        assert app.post("/api/chat/profiles", {"slug": "a"}).status == 201
        answered = app.post("/chat", {"prompt": "hello", "profile": "a"})

    assert answered.status == 200


def test_plugin_that_is_not_installed_is_named_with_those_that_are():
    with pytest.raises(LookupError, match=r"no plugin nope is installed; there are: .*echo"):
        installed("echo", "nope")
