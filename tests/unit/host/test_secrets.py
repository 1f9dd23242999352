"""Secrets are found wherever in a document a schema marks them."""

import pytest

from pinocchio_core.host.schemas import CompiledSchema
from pinocchio_core.host.secrets import HIDDEN

KEY = {"type": "string", "x-secret": True}
TREE = {"$defs": {"t": {"properties": {"k": KEY, "in": {"$ref": "#/$defs/t"}}}}, "$ref": "#/$defs/t"}


@pytest.mark.parametrize(
    ("schema", "value", "found"),
    [
        ({"properties": {"key": KEY}}, {"key": "s", "other": "s"}, [("key",)]),
        ({"properties": {"a": {"properties": {"key": KEY}}}}, {"a": {"key": "s"}}, [("a", "key")]),
        ({"properties": {"a": {"items": KEY}}}, {"a": ["s", None, "t"]}, [("a", 0), ("a", 2)]),
        ({"prefixItems": [{}, KEY], "items": {"properties": {"k": KEY}}}, ["x", "s", {"k": "s"}], [(1,), (2, "k")]),
        ({"contains": KEY}, ["s"], [(0,)]),
        ({"patternProperties": {"^key": KEY}}, {"key1": "s", "other": "s"}, [("key1",)]),
        ({"properties": {"a": {}}, "additionalProperties": KEY}, {"a": "x", "b": "s"}, [("b",)]),
        ({"unevaluatedProperties": KEY}, {"b": "s"}, [("b",)]),
        ({"$defs": {"k": KEY}, "properties": {"key": {"$ref": "#/$defs/k"}}}, {"key": "s"}, [("key",)]),
        (TREE, {"in": {"in": {"k": "s"}}}, [("in", "in", "k")]),
        ({"allOf": [{"properties": {"key": KEY}}]}, {"key": "s"}, [("key",)]),
        ({"anyOf": [{"required": ["x"], "properties": {"key": KEY}}, {}]}, {"key": "s"}, [("key",)]),
        ({"oneOf": [{"properties": {"key": KEY}}, {"type": "object"}]}, {"key": "s"}, [("key",)]),
        ({"if": {"required": ["x"]}, "else": {"properties": {"key": KEY}}}, {"key": "s"}, [("key",)]),
        ({"dependentSchemas": {"a": {"properties": {"key": KEY}}}}, {"a": 1, "key": "s"}, [("key",)]),
        ({"properties": {"key": KEY | {"type": "object"}}}, {"key": {"in": ["s"]}}, [("key",)]),
        ({"properties": {"key": KEY, "a": False}}, {"key": 7, "a": "x"}, [("key",)]),
        (KEY, "s", [()]),
    ],
)
def test_a_secret_is_found_and_hidden_whether_it_fits_or_not(schema, value, found):
    compiled = CompiledSchema(schema)

    assert compiled.secrets(value) == found
    masked = compiled.masked(value)
    for path in found:
        at = masked
        for step in path:
            at = at[step]
        assert at == HIDDEN
    assert compiled.secrets(value) == found, "the value itself was changed"
    assert '"s"' not in str(masked).replace("'", '"').replace('"other": "s"', "")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"key": KEY}}, {"key": None}),
        ({"properties": {"key": KEY}}, {"other": {"key": "s"}}),
        ({"properties": {"key": KEY | {"x-secret": False}}}, {"key": "s"}),
        ({"properties": {"key": {"type": "string"}}}, {"key": "s"}),
        ({"properties": {"key": KEY}}, ["s"]),
    ],
)
def test_what_is_no_secret_is_left_as_it_is(schema, value):
    compiled = CompiledSchema(schema)

    assert compiled.secrets(value) == []
    assert compiled.masked(value) == value


def test_where_secrets_cannot_be_found_all_is_one():
    compiled = CompiledSchema({"properties": {"key": KEY}, "$ref": "#"})

    assert compiled.masked({"key": "s"}) == HIDDEN


@pytest.mark.parametrize("rule", [{"const": {}}, {"enum": [1]}, {"type": "array"}, {"anyOf": [{"const": {}}]}])
def test_what_is_wrong_around_a_secret_does_not_show_it(rule):
    schema = {"properties": {"in": rule | {"properties": {"key": KEY}}}}
    problems = CompiledSchema(schema).problems({"in": {"key": "hunter2"}})

    assert problems
    assert "hunter2" not in str(problems)
