"""What schema discovery shows, and that it is what writes are checked against."""

import json
from copy import deepcopy

import pytest

from pinocchio_core.host.catalog import Catalog, extension_entry, middleware_entry
from pinocchio_core.plugin import ExtensionSchema, MiddlewareDefinition

SCHEMA = {
    "title": "Shout Middleware",
    "description": "Says it louder.",
    "type": "object",
    "properties": {"mark": {"type": "string", "default": "!"}},
    "additionalProperties": False,
}


def definition(name="shout", schema=SCHEMA, **fields):
    return MiddlewareDefinition(name, schema, lambda config: lambda turn, handler: handler(turn), **fields)


def catalog_of(*definitions):
    entries = [middleware_entry(each) for each in definitions]
    return Catalog(
        middlewares={entry.definition.name: entry for entry in entries},
        extensions={entry.key: entry.extension for entry in entries},
    )


def documents_of(*definitions):
    return json.loads(catalog_of(*definitions).middlewares_json())


def test_middleware_document_has_all_five_fields():
    (document,) = documents_of(definition(version=3, display_name="Shout", description="LOUD"))

    assert document == {
        "name": "shout",
        "version": 3,
        "display_name": "Shout",
        "description": "LOUD",
        "schema": SCHEMA,
    }


@pytest.mark.parametrize(
    ("fields", "schema", "display_name", "description"),
    [
        ({}, SCHEMA, "Shout Middleware", "Says it louder."),
        ({}, {}, "shout", ""),
        ({"display_name": "S"}, SCHEMA, "S", "Says it louder."),
        ({"description": "D"}, {"title": "T"}, "T", "D"),
        ({}, {"title": "", "description": ""}, "shout", ""),
    ],
)
def test_middleware_document_falls_back_to_the_schema_and_then_to_the_name(fields, schema, display_name, description):
    (document,) = documents_of(definition(schema=schema, **fields))

    assert (document["display_name"], document["description"]) == (display_name, description)


def test_catalog_documents_are_sorted_and_never_null():
    assert [each["name"] for each in documents_of(definition("b"), definition("a-b"), definition("a"))] == [
        "a",
        "a-b",
        "b",
    ]
    assert (Catalog().middlewares_json(), Catalog().extensions_json()) == (b"[]", b"[]")


def test_extension_of_a_middleware_is_exactly_this():
    catalog = catalog_of(definition(version=2))

    assert json.loads(catalog.extensions_json()) == [
        {
            "key": "middleware.shout_config@v2",
            "schema": {
                "type": "object",
                "properties": {"instances": {"type": "object", "additionalProperties": SCHEMA}},
                "required": ["instances"],
                "additionalProperties": False,
            },
        }
    ]


def test_catalog_knows_the_middleware_of_an_extension_in_its_version_only():
    catalog = catalog_of(definition(version=2))

    entry = catalog.middleware_of("middleware.shout_config@v2")
    assert entry is catalog.middlewares["shout"]
    others = ("middleware.shout_config@v1", "middleware.other_config@v2", "middleware.shout@v2", "acme.shout_config@v2")
    assert [catalog.middleware_of(key) for key in others] == [None] * 4


def test_config_is_checked_against_what_is_served():
    entry = middleware_entry(definition())

    assert entry.problems({"mark": "?"}) == []
    assert [str(problem) for problem in entry.problems({"mark": 5, "loud": True})] == [
        "mark: expected string, got integer 5",
        'unknown property "loud" (allowed: mark)',
    ]


def test_catalog_stays_as_it_is_when_a_plugin_changes_its_schema_later():
    schema = deepcopy(SCHEMA)
    catalog = catalog_of(definition(schema=schema))
    before = catalog.middlewares_json(), catalog.extensions_json()

    schema["properties"]["mark"]["type"] = "integer"

    assert catalog.middlewares["shout"].problems({"mark": "!"}) == []
    assert (catalog.middlewares_json(), catalog.extensions_json()) == before


def test_extension_key_is_canonical():
    assert extension_entry(ExtensionSchema(" Acme.Badge@v1 ", {})).key == "acme.badge@v1"


def test_extension_of_a_middleware_resolves_references_inside_the_config_schema():
    # the config schema stands deep inside the extension's, where "#" is another document
    schema = {"properties": {"mark": {"$ref": "#/$defs/mark"}}, "$defs": {"mark": {"type": "string"}}}
    entry = middleware_entry(definition(schema=schema))

    assert [str(each) for each in entry.problems({"mark": 5})] == ["mark: expected string, got integer 5"]
    assert [str(each) for each in entry.extension.schema.problems({"instances": {"default": {"mark": 5}}})] == [
        "instances.default.mark: expected string, got integer 5"
    ]
