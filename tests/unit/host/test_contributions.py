"""What plugins contribute: all of a plugin or nothing, and every fault with its owner."""

import pytest

from pinocchio_core.host.discovery import Candidate
from pinocchio_core.host.host import Host
from pinocchio_core.host.records import PluginStatus
from pinocchio_core.plugin import (
    EngineDefinition,
    ExtensionSchema,
    MiddlewareDefinition,
    ToolDefinition,
    hookimpl,
)

OBJECT = {"type": "object"}


def build(config):
    raise AssertionError("nothing is built at bootstrap")


def middleware(name="shout", schema=OBJECT, **fields):
    return MiddlewareDefinition(name, schema, build, **fields)


def tool(name, **fields):
    return ToolDefinition(name, **{"description": "", "arguments_schema": OBJECT, "call": str} | fields)


class Contributing:
    """A plugin that contributes what it is told to."""

    def __init__(self, *, middlewares=(), extensions=(), engines=(), tools=()):
        self.given = middlewares, extensions, engines, tools

    @hookimpl
    def pinocchio_middleware_definitions(self):
        return self.given[0]

    @hookimpl
    def pinocchio_extension_schemas(self):
        return self.given[1]

    @hookimpl
    def pinocchio_engines(self):
        return self.given[2]

    @hookimpl
    def pinocchio_tools(self):
        return self.given[3]


def candidate(plugin, name="one"):
    return Candidate(name=name, target=name, distribution=f"acme-{name}", version="1.5", load=lambda: plugin)


def host_of(**plugins):
    return Host([candidate(plugin, name) for name, plugin in plugins.items()])


def fault_of(**contributed):
    """The fault of a plugin that contributes this; nothing of it is in the catalog."""
    host = host_of(one=Contributing(**contributed))
    (record,) = host.records
    assert record.source == "one (acme-one 1.5)"
    assert record.status is PluginStatus.CONTRIBUTION_FAILED
    catalog = host.catalog
    assert not [*catalog.middlewares, *catalog.extensions, *catalog.engines, *catalog.tools]
    return record.detail


def test_contributions_of_every_kind_are_in_the_catalog_and_in_the_documents():
    host = host_of(
        one=Contributing(
            middlewares=[middleware()],
            extensions=[ExtensionSchema("acme.badge@v1", OBJECT)],
            engines=[EngineDefinition("parrot", build=build)],
            tools=[tool("clock")],
        )
    )

    (document,) = host.documents()
    assert document["status"] == "active"
    assert document["contributes"] == {
        "middlewares": ["shout"],
        "extensions": ["middleware.shout_config@v1", "acme.badge@v1"],
        "engines": ["parrot"],
        "tools": ["clock"],
    }
    catalog = host.catalog
    assert set(catalog.middlewares) | set(catalog.engines) | set(catalog.tools) == {"shout", "parrot", "clock"}
    assert set(catalog.extensions) == {"middleware.shout_config@v1", "acme.badge@v1"}


def test_contributions_may_be_none_at_all():
    host = host_of(one=Contributing(middlewares=None, extensions=[], engines=iter(()), tools=()))

    assert not host.faults
    assert host.catalog.middlewares_json() == b"[]"


def test_contributions_fail_where_a_generator_raises_half_way():
    def definitions():
        yield middleware()
        raise LookupError("no second one")

    detail = fault_of(middlewares=definitions())

    assert detail.startswith("pinocchio_middleware_definitions raised LookupError: no second one (at ")
    assert __file__ in detail


def test_contributions_fail_where_a_hook_calls_sys_exit():
    class Leaving:
        @hookimpl
        def pinocchio_tools(self):
            raise SystemExit("enough")

    (record,) = host_of(one=Leaving()).faults

    assert record.detail.startswith("pinocchio_tools raised SystemExit: enough")


@pytest.mark.parametrize(
    ("contributed", "says"),
    [
        ({"middlewares": 5}, "pinocchio_middleware_definitions returned int, not an iterable of MiddlewareDefinition"),
        ({"middlewares": middleware()}, "returned MiddlewareDefinition, not an iterable of MiddlewareDefinition"),
        ({"middlewares": [{"name": "x"}]}, "returned a dict where a MiddlewareDefinition was due"),
        ({"middlewares": "shout"}, "returned a str where a MiddlewareDefinition was due"),
        ({"extensions": [middleware()]}, "returned a MiddlewareDefinition where a ExtensionSchema was due"),
        ({"engines": [None]}, "returned a NoneType where a EngineDefinition was due"),
        ({"tools": [OBJECT]}, "pinocchio_tools returned a dict where a ToolDefinition was due"),
    ],
)
def test_contributions_fail_where_they_are_of_the_wrong_type(contributed, says):
    assert says in fault_of(**contributed)


@pytest.mark.parametrize("name", ["", "Shout", "-x", "x-", "a b", "a.b", "é", "x\n", None, 5, "x" * 65])
def test_contributions_fail_on_illegal_names_of_middlewares(name):
    assert "a name is 1 to 57 of a-z, 0-9, _ and -" in fault_of(middlewares=[middleware(name)])


def test_contributions_fail_on_a_name_that_is_too_long_for_its_extension():
    assert host_of(one=Contributing(middlewares=[middleware("x" * 57)])).catalog.middlewares
    assert 'middleware "xxx' in fault_of(middlewares=[middleware("x" * 58)])


@pytest.mark.parametrize("version", [0, -1, 100_000, True, 1.0, None, "1"])
def test_contributions_fail_on_versions_that_are_none(version):
    assert "version" in fault_of(middlewares=[middleware(version=version)])


@pytest.mark.parametrize("field", ["display_name", "description"])
@pytest.mark.parametrize("value", [object(), 5])
def test_contributions_fail_on_texts_that_are_none(field, value):
    assert field in fault_of(middlewares=[middleware(**{field: value})])


def test_contributions_fail_where_build_cannot_be_called():
    definition = MiddlewareDefinition("shout", OBJECT, build="acme.build")  # type: ignore[arg-type]

    assert fault_of(middlewares=[definition]).endswith('middleware "shout": build must be callable')


@pytest.mark.parametrize("key", ["badge", "acme.badge", "acme.badge@v0", "acme badge@v1", None, 5])
def test_contributions_fail_on_illegal_extension_keys(key):
    assert fault_of(extensions=[ExtensionSchema(key, OBJECT)]).startswith("pinocchio_extension_schemas: ")


@pytest.mark.parametrize(
    ("contributed", "says"),
    [
        ({"engines": [EngineDefinition("A B", build=build)]}, 'engine "A B": needs a legal name and a callable build'),
        ({"engines": [EngineDefinition("a", build=None)]}, 'engine "a": needs a legal name and a callable build'),
        ({"tools": [tool("")]}, 'tool "": needs a legal name and a callable call'),
        ({"tools": [tool("a", call=None)]}, 'tool "a": needs a legal name and a callable call'),
    ],
)
def test_contributions_fail_on_engines_and_tools_that_cannot_be_used(contributed, says):
    assert says in fault_of(**contributed)


@pytest.mark.parametrize(
    ("contributed", "where"),
    [
        ({"middlewares": [middleware(schema={"type": "nope"})]}, 'middleware "shout", config_schema: not valid'),
        ({"extensions": [ExtensionSchema("a.b@v1", {"type": 5})]}, "extension a.b@v1: not valid draft 2020-12 at type"),
        (
            {"engines": [EngineDefinition("a", build=build, settings_schema=[])]},
            'engine "a", settings_schema: a schema',
        ),
        ({"tools": [tool("a", arguments_schema={"type": 5})]}, 'tool "a", arguments_schema: not valid'),
        (
            {"middlewares": [middleware(schema={"$ref": "http://localhost/x"})]},
            "a reference must stay inside the schema",
        ),
    ],
)
def test_contributions_fail_on_schemas_that_are_refused(contributed, where):
    assert where in fault_of(**contributed)


def test_contributions_fail_on_a_schema_with_a_value_that_is_no_json():
    assert 'middleware "shout", config_schema' in fault_of(middlewares=[middleware(schema={"default": object()})])


def test_middleware_of_two_plugins_is_a_conflict_that_names_both_with_versions():
    host = host_of(
        one=Contributing(middlewares=[middleware()]), two=Contributing(middlewares=[middleware(), middleware("own")])
    )

    (record,) = host.faults
    assert (record.name, record.status) == ("two", PluginStatus.CONFLICT)
    assert record.detail == 'middleware "shout" is claimed by one (acme-one 1.5) and by two (acme-two 1.5)'
    assert set(host.catalog.middlewares) == {"shout"}


def test_middleware_names_that_differ_in_version_only_are_a_conflict():
    host = host_of(one=Contributing(middlewares=[middleware()]), two=Contributing(middlewares=[middleware(version=2)]))

    assert [record.name for record in host.faults] == ["two"]


def test_middleware_of_one_plugin_twice_is_a_conflict():
    host = host_of(one=Contributing(middlewares=[middleware(), middleware()]))

    (record,) = host.faults
    assert record.detail == 'middleware "shout" is claimed twice by one (acme-one 1.5)'
    assert not host.catalog.middlewares


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("extension", ExtensionSchema("acme.badge@v1", OBJECT)),
        ("engine", EngineDefinition("parrot", build=build)),
        ("tool", tool("clock")),
    ],
)
def test_other_names_of_two_plugins_are_a_conflict_and_twice_in_one_too(kind, item):
    between = host_of(one=Contributing(**{f"{kind}s": [item]}), two=Contributing(**{f"{kind}s": [item]}))
    within = host_of(one=Contributing(**{f"{kind}s": [item, item]}))

    assert "is claimed by one (acme-one 1.5) and by two (acme-two 1.5)" in between.faults[0].detail
    assert between.faults[0].detail.startswith(f'{kind} "')
    assert within.faults
    assert within.faults[0].detail.startswith(f'{kind} "')
    assert "is claimed twice by one" in within.faults[0].detail


@pytest.mark.parametrize("key", ["middleware.shout_config@v1", " MIDDLEWARE.shout_config@v1 "])
def test_extension_key_of_anothers_middleware_is_a_conflict(key):
    host = host_of(
        one=Contributing(middlewares=[middleware()]), two=Contributing(extensions=[ExtensionSchema(key, OBJECT)])
    )

    (record,) = host.faults
    assert record.status is PluginStatus.CONFLICT
    assert record.detail.startswith(
        'extension "middleware.shout_config@v1" is claimed by one (acme-one 1.5) and by two'
    )


def test_extension_key_of_the_application_wins_over_every_plugin():
    plugin = Contributing(middlewares=[middleware()], extensions=[ExtensionSchema("acme.badge@v1", OBJECT)])
    own = [ExtensionSchema(key, {"type": "null"}) for key in ("acme.badge@v1", "middleware.shout_config@v1")]

    host = Host([candidate(plugin)], extension_schemas=own)

    assert not host.faults
    assert [host.catalog.extensions[schema.key].schema.schema for schema in own] == [{"type": "null"}] * 2


def test_a_plugin_that_fails_leaves_the_others_whole():
    host = host_of(
        one=Contributing(middlewares=[middleware(), middleware("BAD")]),
        two=Contributing(middlewares=[middleware(), middleware("two")]),
    )

    assert [record.name for record in host.faults] == ["one"]
    assert set(host.catalog.middlewares) == {"shout", "two"}
