"""Checks against schemas of plugins: as JSON Schema says, and without the ways in which a check can hang."""

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pinocchio_core.host.schemas import MAX_SEEN, CompiledSchema
from pinocchio_core.host.screening import fault_of

TOO_COMPLEX = ["is too complex to be checked against its schema"]


def problems(schema, value):
    assert fault_of(schema) == ""
    return [str(each) for each in CompiledSchema(schema).problems(value)]


def doubling(depth, keyword, leaf="integer"):
    """A schema of a few lines that stands for 2**depth references."""
    steps = {str(i): {keyword: [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(depth)}
    return {"$ref": "#/$defs/0", "$defs": steps | {str(depth): {"type": leaf}}}


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(a|a)*$", r"^(a|aa)+$", r"(.*a){20}$"])
def test_pattern_that_would_hang_a_backtracking_engine_is_just_checked(pattern):
    assert len(problems({"pattern": pattern}, "a" * 50_000 + "!")) == 1


def test_pattern_is_searched_for_anywhere_and_in_strings_only():
    assert problems({"pattern": "b"}, "abc") == []
    assert problems({"pattern": "^b"}, "abc") == ['must match "^b", got "abc"']
    assert problems({"pattern": "b"}, 5) == []


def test_pattern_property_names_that_would_hang_are_just_checked():
    schema = {"patternProperties": {r"^(a+)+$": {"type": "string"}}, "additionalProperties": False}

    assert problems(schema, {"a" * 1_000: "x"}) == []
    assert len(problems(schema, {"a" * 50_000 + "!": "x"})) == 1


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([], True),
        ([1, 2], True),
        ([1, 1.0], False),
        ([0, -0.0], False),
        ([{"a": [1]}, {"a": [1.0]}], False),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False),
        ([1, True], True),
        ([0, False], True),
        ([1, "1"], True),
        ([None, False, 0, ""], True),
        ([[1], [1]], False),
        ([1e300, 2], True),
        ([1e300, 1e300], False),
        ([2**64 - 1, -(2**63)], True),
    ],
)
def test_unique_items_compares_as_json_schema_does(items, unique):
    assert problems({"uniqueItems": True}, items) == ([] if unique else ["must not hold the same item twice"])
    assert problems({"uniqueItems": False}, items) == []


def test_unique_items_of_many_objects_is_just_checked():
    items = [{"n": number} for number in range(8_000)]

    assert problems({"uniqueItems": True}, items) == []
    assert len(problems({"uniqueItems": True}, [*items, {"n": 7.0}])) == 1


@pytest.mark.parametrize(("keyword", "value"), [("allOf", 5), ("anyOf", "x"), ("oneOf", 5), ("oneOf", "x")])
def test_references_that_double_at_each_step_are_given_up(keyword, value):
    assert problems(doubling(40, keyword), value) == TOO_COMPLEX


def test_references_that_double_are_given_up_under_unevaluated_properties_too():
    assert problems({"unevaluatedProperties": False} | doubling(40, "allOf", "object"), {"a": 1}) == TOO_COMPLEX


def test_a_check_that_was_given_up_does_not_spoil_the_next():
    assert [str(each) for each in CompiledSchema({"$ref": "#"}).problems("x")] == TOO_COMPLEX
    assert [str(each) for each in CompiledSchema(doubling(3, "allOf")).problems(5)] == []


def test_recursive_schema_checks_what_is_of_a_sane_depth():
    schema = {"properties": {"child": {"$ref": "#"}}, "additionalProperties": False}
    sound, deep = {}, {}
    for _ in range(20):
        sound = {"child": sound}
    for _ in range(5_000):
        deep = {"child": deep}

    assert problems(schema, sound) == []
    assert problems(schema, {"child": {"kid": 1}}) == ['child: unknown property "kid" (allowed: child)']
    assert problems(schema, deep) == TOO_COMPLEX


def test_endless_schema_that_was_never_screened_is_given_up():
    assert [str(each) for each in CompiledSchema({"$ref": "#"}).problems({})] == TOO_COMPLEX


@pytest.mark.parametrize("reference", ["http://localhost:1/x", "urn:x", "#/$defs/none"])
def test_reference_that_leads_nowhere_is_not_fetched(reference):
    (problem,) = CompiledSchema({"$ref": reference}).problems({})

    assert "has a reference that leads nowhere" in problem.reason


def test_additional_properties_spares_those_of_patterns():
    schema = {"properties": {"a": {}}, "patternProperties": {"^x-": {"type": "integer"}}}

    closed, typed = schema | {"additionalProperties": False}, schema | {"additionalProperties": {"type": "null"}}
    value = {"a": 1, "x-b": 2, "c": 3}

    assert problems(closed, value) == ['unknown property "c" (allowed: a)']
    assert problems(typed, value) == ["c: expected null, got integer 3"]
    assert problems(typed, {"x-b": "two", "c": None}) == ['x-b: expected integer, got string "two"']


@pytest.mark.parametrize("keyword", ["additionalProperties", "patternProperties", "pattern", "uniqueItems"])
def test_keywords_of_other_types_do_not_apply(keyword):
    schema = {keyword: {"patternProperties": {"a": False}, "pattern": "a"}.get(keyword, keyword == "uniqueItems")}

    assert problems(schema, 5) == problems(schema, None) == []


def test_types_are_taken_as_they_are():
    assert problems({"type": "integer"}, 5.0) == []
    assert problems({"type": "integer"}, "10") == ['expected integer, got string "10"']
    assert problems({"items": {"type": "integer"}}, [True]) == ["[0]: expected integer, got boolean true"]
    assert problems({"type": "number"}, "5") == ['expected number, got string "5"']


def test_format_is_not_asserted():
    assert problems({"format": "email"}, "nobody") == []


def test_one_schema_serves_many_threads():
    schema = CompiledSchema(doubling(5, "allOf"))
    outcomes = []

    def check():
        outcomes.extend(len(schema.problems("x")) for _ in range(5))

    threads = [threading.Thread(target=check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [32] * 40


KEYS = st.sampled_from(["a", "b", "x-a"])
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, 2.0]) | st.text("ab", max_size=3)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
SCHEMAS = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional={"type": TYPES, "const": LEAVES, "minimum": st.integers(-2, 2)}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES,
            "properties": st.dictionaries(KEYS, inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^x-", "a", "^[ab]$"]), inner, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "uniqueItems": st.booleans(),
            "pattern": st.sampled_from(["^a", "b+$", "^(a|b)*$"]),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "required": st.lists(KEYS, max_size=2, unique=True),
            "minItems": st.integers(0, 2),
        },
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, VALUES)
def test_check_agrees_with_the_plain_validator(schema, value):
    schema = schema if isinstance(schema, dict) else {"not": {} if schema is False else False}
    found = CompiledSchema(schema).problems(value)

    assert bool(found) is not Draft202012Validator(schema).is_valid(value), json.dumps([schema, value])
    assert all(each.reason and "does not satisfy" not in each.reason for each in found)


@pytest.mark.parametrize("schema", [{"type": "integer"}, {"type": ["null", "string"]}, {"const": {"a": 1}}])
def test_what_was_found_sound_is_taken_for_nothing_else(schema):
    values = [
        1,
        True,
        1.5,
        "1",
        None,
        float("inf"),
        float("nan"),
        [1],
        {"a": 1},
        {"a": "1"},
        {"a": None},
        2**70,
        "\ud800",
    ]
    remembering = CompiledSchema(schema)

    for _ in range(2):
        for value in values:
            assert [str(found) for found in remembering.problems(value)] == [
                str(found) for found in CompiledSchema(schema).problems(value)
            ]


def test_a_value_without_secrets_is_taken_for_none_that_has_one():
    schema = CompiledSchema({"properties": {"key": {"x-secret": True}}})

    assert schema.secrets({"other": "k"}) == []
    assert schema.secrets({"key": "k"}) == [("key",)]
    assert schema.secrets({"other": "k"}) == []
    assert schema.secrets({"key": "k"}) == [("key",)]


def test_a_schema_forgets_what_it_saw_before_it_remembers_too_much():
    schema = CompiledSchema({"type": "integer"})

    for number in range(MAX_SEEN + 1):
        assert not schema.problems(number)
    assert schema.problems("1")
    assert not schema.problems(0)


@pytest.mark.parametrize(
    ("schema", "value", "says"),
    [
        ({"type": "string"}, 10**400, "expected string, got integer 1000"),
        ({"type": "string"}, 10**5000, "has a number that cannot be checked against its schema"),
        ({"const": 1}, 10**5000, "must be 1, got (a number that is too long to be shown)"),
        ({"multipleOf": 0.5}, 10**400, "has a number that cannot be checked against its schema"),
        ({"multipleOf": 0.5}, float("nan"), "has a number that cannot be checked against its schema"),
    ],
    ids=["long", "longer than Python shows", "the same as a constant", "divided", "no number"],
)
def test_numbers_of_any_size_have_a_problem_and_no_exception(schema, value, says):
    (found,) = problems(schema, value)

    assert found.startswith(says)
