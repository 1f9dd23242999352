"""Which JSON Schemas of plugins may be used, and what is said of the others."""

from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker, SchemaError
from jsonschema_specifications import REGISTRY

from pinocchio_core.host.schemas import CompiledSchema
from pinocchio_core.host.screening import MAX_SCHEMA_NODES, fault_of

DRAFT = "https://json-schema.org/draft/2020-12/schema"
STRING = {"type": "string"}


def nested(depth):
    schema = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {},
        MappingProxyType({"type": "object"}),
        {"$schema": DRAFT},
        {"$schema": f"{DRAFT}#"},
        {"$ref": "#/$defs/a", "$defs": {"a": STRING}},
        {"$ref": "#a", "$defs": {"a": {"$anchor": "a", "type": "string"}}},
        {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": STRING}},
        {"properties": {"child": {"$ref": "#"}}},
        {"items": {"anyOf": [STRING, {"$ref": "#"}]}},
        {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": STRING}},
        {"pattern": r"^(a+)+$", "patternProperties": {r"^\d{2,5}$": True}},
        {"default": {"$ref": "http://localhost/x"}, "enum": [{"pattern": "("}], "const": {"$ref": "x"}},
        {"examples": [{"patternProperties": {"(": 1}}]},
        {"unevaluatedProperties": False, "properties": {"a": True}},
        {"properties": {"$ref": STRING, "pattern": STRING, "enum": STRING, "properties": STRING, "not": {"not": {}}}},
        {"x-secret": True, "x-anything": {"of": ["mine"]}},
        {"format": "no-such-format"},
        {"pattern": r"^\p{L}+$"},  # RE2 knows classes that Python's own engine does not
    ],
)
def test_screening_admits(schema):
    assert fault_of(schema) == ""


@pytest.mark.parametrize("schema", [True, False, None, [], "{}", 5])
def test_screening_refuses_what_is_no_object(schema):
    assert fault_of(schema) == "a schema must be an object"


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "nope"}, "at type: "),
        ({"properties": {"mark": {"minLength": -1}}}, "at properties.mark.minLength: "),
        ({"required": "mark"}, "at required: "),
        ({"anyOf": []}, "at anyOf: "),
        ({"items": [STRING]}, "at items: "),
        ({"additionalProperties": "no"}, "at additionalProperties: "),
    ],
)
def test_screening_refuses_what_is_not_valid_and_says_where(schema, where):
    assert fault_of(schema).startswith(f"not valid draft 2020-12 {where}")


KEYWORDS = {
    *Draft202012Validator.META_SCHEMA["properties"],
    *(
        name
        for each in REGISTRY.values()
        if "2020-12/meta" in each.id()
        for name in each.contents.get("properties", ())
    ),
} - {"$schema", "$id", "$ref", "$dynamicRef", "$vocabulary"}
VALUES = st.none() | st.booleans() | st.integers(-1, 2) | st.floats(0, 2) | st.sampled_from(["object", "x", "^a", ""])
SCHEMAS = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(sorted(KEYWORDS)) | st.just("x-own"), inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(KEYWORDS)), SCHEMAS, min_size=1, max_size=3))
def test_screening_takes_for_valid_what_the_metaschema_does(schema):
    try:
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
    except SchemaError:
        assert fault_of(schema).startswith("not valid draft 2020-12")
    else:
        assert not fault_of(schema).startswith("not valid draft 2020-12")


def test_screening_cuts_what_it_quotes():
    assert len(fault_of({"type": "x" * 10_000})) < 300


@pytest.mark.parametrize("draft", ["http://json-schema.org/draft-07/schema#", "", 5, None, ["x"]])
def test_screening_refuses_other_drafts(draft):
    assert fault_of({"$schema": draft}) == f"$schema must be {DRAFT}, or be left out"


@pytest.mark.parametrize(
    "reference",
    ["http://localhost/x", "https://localhost/x#/a", "file:///etc/passwd", "other.json", "//localhost/x", DRAFT, ""],
)
@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
def test_screening_refuses_references_that_leave_the_schema(keyword, reference):
    fault = fault_of({"properties": {"a": {keyword: reference}}})

    assert fault.startswith(f'properties.a["{keyword}"] is "{reference}"')
    assert "must stay inside the schema" in fault


@pytest.mark.parametrize("reference", ["#/$defs/b", "#b", "#/$defs/a/0", "#/$defs/a/type"])
def test_screening_refuses_references_to_no_schema(reference):
    assert fault_of({"$ref": reference, "$defs": {"a": STRING}}).startswith('["$ref"] is "')


@pytest.mark.parametrize("name", ["default", "enum", "pattern", "const", "examples", "properties", "$ref"])
@pytest.mark.parametrize("keyword", ["properties", "$defs", "patternProperties", "dependentSchemas"])
def test_screening_looks_into_schemas_whatever_they_are_called(keyword, name):
    outside = fault_of({keyword: {name: {"$ref": "http://localhost/x"}}})
    pattern = fault_of({keyword: {name: {"pattern": "(?=a)"}}})

    # "$ref" as a regular expression is one; "default" and the others are too
    assert "must stay inside the schema" in outside
    assert "needs more than a linear-time engine offers" in pattern


@pytest.mark.parametrize("keyword", ["items", "contains", "propertyNames", "not", "if", "unevaluatedItems"])
def test_screening_looks_into_every_keyword_that_holds_a_schema(keyword):
    assert "must stay inside" in fault_of({keyword: {"$ref": "http://localhost/x"}})
    assert "must stay inside" in fault_of({"anyOf": [True, {keyword: {"$ref": "http://localhost/x"}}]})


@pytest.mark.parametrize(
    ("place", "reference"),
    [("default", "#/default"), ("x-own", "#/x-own"), ("definitions", "#/definitions/default")],
)
@pytest.mark.parametrize("hidden", [{"pattern": "(?=a)"}, {"type": 5}, {"$ref": "http://localhost/x"}])
def test_screening_looks_at_whatever_a_reference_leads_to(place, reference, hidden):
    # JSON pointers reach values that are no schemas where they stand, and a check would run into them
    held = {"default": hidden} if place == "definitions" else hidden

    assert fault_of({place: held, "properties": {"x": {"$ref": reference}}})


@pytest.mark.parametrize("pattern", [r"(?=a)", r"(?!a)", r"(?<=a)b", r"(a)\1", "a{2000}"])
def test_screening_refuses_patterns_beyond_a_linear_time_engine(pattern):
    says = "needs more than a linear-time engine offers: "

    assert fault_of({"properties": {"a": {"pattern": pattern}}}).startswith(
        f"the pattern at properties.a.pattern {says}"
    )
    assert fault_of({"patternProperties": {pattern: True}}).startswith(f"the pattern at patternProperties {says}")


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "a**"])
def test_screening_refuses_patterns_that_are_none(pattern):
    assert "at properties.a.pattern" in fault_of({"properties": {"a": {"pattern": pattern}}})


def test_screening_refuses_unevaluated_properties_with_patterns():
    says = "unevaluatedProperties together with patternProperties is not supported"

    assert fault_of({"unevaluatedProperties": False, "patternProperties": {"^x-": True}}) == says
    assert fault_of({"unevaluatedProperties": False, "allOf": [{"patternProperties": {"a": True}}]}) == says


def test_screening_takes_a_property_of_that_name_for_a_property():
    assert fault_of({"unevaluatedProperties": False, "properties": {"patternProperties": STRING}}) == ""


def test_screening_takes_the_default_of_a_property_called_properties_for_data():
    assert fault_of({"properties": {"properties": {"default": {"$ref": "http://localhost/x"}}}}) == ""


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"anyOf": [STRING, {"not": {"$ref": "#"}}]},
        {"if": {"$ref": "#"}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"oneOf": [{"$ref": "#/$defs/a"}]}}},
        {"$defs": {"unused": {"$ref": "#/$defs/unused"}}},
        {"dependentSchemas": {"a": {"$ref": "#"}}},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
    ],
)
def test_screening_refuses_references_that_lead_back_without_descending(schema):
    assert fault_of(schema) == "a $ref leads back to itself without descending into the document"


def test_screening_bounds_the_size():
    assert fault_of({"$defs": {str(i): True for i in range(500)}}) == ""
    assert (
        fault_of({"$defs": {str(i): True for i in range(MAX_SCHEMA_NODES)}}) == "the schema has more than 10000 values"
    )


def test_screening_bounds_the_depth():
    assert fault_of(nested(50)) == ""
    assert fault_of(nested(5_000)) == "the schema is nested too deeply"


def test_admitted_schema_with_an_outside_id_fetches_nothing():
    schema = {"$id": "http://localhost:1/schema", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": STRING}}

    assert fault_of(schema) == ""
    assert [str(each) for each in CompiledSchema(schema).problems({"a": 5})] == ["a: expected string, got integer 5"]
