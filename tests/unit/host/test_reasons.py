"""What is said of a value that does not fit: our own words, short, and without secrets."""

import pytest

from pinocchio_core.host.schemas import CompiledSchema
from pinocchio_core.host.screening import fault_of

HIDDEN = "hunter2-and-more"


def reasons(schema, value):
    assert fault_of(schema) == ""
    return [str(each) for each in CompiledSchema(schema).problems(value)]


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"type": "integer"}, "5", 'expected integer, got string "5"'),
        ({"type": ["integer", "null"]}, 1.5, "expected integer or null, got number 1.5"),
        ({"type": "object"}, [1], "expected object, got array"),
        ({"type": "array"}, {"a": 1}, "expected array, got object"),
        ({"type": "string"}, None, "expected string, got null"),
        ({"type": "string"}, True, "expected string, got boolean true"),
        ({"enum": ["a", 1]}, "b", 'must be one of ["a",1], got "b"'),
        ({"const": {"a": 1}}, 5, 'must be {"a":1}, got 5'),
        ({"minimum": 1}, 0, "must be at least 1, got 0"),
        ({"maximum": 1.5}, 2, "must be at most 1.5, got 2"),
        ({"exclusiveMinimum": 0}, 0, "must be more than 0, got 0"),
        ({"exclusiveMaximum": 0}, 0, "must be less than 0, got 0"),
        ({"multipleOf": 5}, 7, "must be a multiple of 5, got 7"),
        ({"minLength": 2}, "a", "must have at least 2 characters"),
        ({"maxLength": 2}, "abc", "must have at most 2 characters"),
        ({"pattern": "^a$"}, "b", 'must match "^a$", got "b"'),
        ({"minItems": 1}, [], "must have at least 1 items"),
        ({"maxItems": 0}, [1], "must have at most 0 items"),
        ({"uniqueItems": True}, [1, 1], "must not hold the same item twice"),
        ({"minProperties": 1}, {}, "must have at least 1 properties"),
        ({"maxProperties": 0}, {"a": 1}, "must have at most 0 properties"),
        ({"required": ["a"]}, {}, 'missing required property "a"'),
        ({"required": ["it's"]}, {}, 'missing required property "it\'s"'),
        ({"additionalProperties": False}, {"a": 1}, 'unknown property "a" (allowed: none)'),
        (
            {"additionalProperties": False, "properties": {"c": {}, "b": {}}},
            {"a": 1},
            'unknown property "a" (allowed: b, c)',
        ),
        ({"unevaluatedProperties": False}, {"a": 1}, "has properties that no part of the schema allows"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "a property needs another one: a needs b"),
        ({"contains": {"type": "null"}}, [1], "has no item, or not the right number of items, of the required kind"),
        ({"not": {"type": "null"}}, None, "is of a kind that is not allowed"),
        ({"oneOf": [{}, True]}, 1, "fits more than one of the alternatives, and must fit exactly one"),
        ({"properties": {"a": False}}, {"a": 1}, "a: is not allowed here"),
        (
            {"contains": {}, "maxContains": 1},
            [1, 2],
            "has no item, or not the right number of items, of the required kind",
        ),
    ],
)
def test_reason_says_in_words_what_is_wrong(schema, value, reason):
    assert reasons(schema, value) == [reason]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"prefixItems": [{}], "items": False}, [1, 2]),
        ({"prefixItems": [{}], "unevaluatedItems": False}, [1, 2]),
        ({"contains": {}, "minContains": 2}, [1]),
        ({"dependentSchemas": {"a": False}}, {"a": 1}),
        ({"additionalProperties": {"not": {}}}, {"a": 1}),
    ],
)
def test_reason_of_rarer_keywords_is_in_words_too(schema, value):
    (said,) = reasons(schema, value)

    assert "does not satisfy" not in said


def test_reason_of_a_property_name_says_which():
    (said,) = reasons({"propertyNames": {"maxLength": 1}}, {"a": 1, "bcd": 1})

    assert '"bcd"' in said


def test_reason_has_the_path_below_the_value():
    schema = {"properties": {"a b": {"items": {"properties": {"c": {"type": "null"}}}}}}

    assert reasons(schema, {"a b": [{}, {"c": 1}]}) == ['["a b"][1].c: expected null, got integer 1']


def test_reasons_are_all_of_them():
    schema = {"properties": {"a": {"type": "null"}}, "required": ["b", "c"], "additionalProperties": False}

    assert sorted(reasons(schema, {"a": 1, "x": 1, "y": 1})) == [
        "a: expected null, got integer 1",
        'missing required property "b"',
        'missing required property "c"',
        'unknown property "x" (allowed: a)',
        'unknown property "y" (allowed: a)',
    ]


def test_reason_of_a_dependent_property_names_what_is_missing_only():
    schema = {"dependentRequired": {"a": ["b", "c"]}}

    assert reasons(schema, {"a": 1, "b": 2}) == ["a property needs another one: a needs c"]


def test_reason_carries_expected_and_actual_types():
    (problem,) = CompiledSchema({"type": ["integer", "null"]}).problems("x")

    assert (problem.expected, problem.actual) == ("integer or null", "string")


def test_reason_carries_the_unknown_property_and_the_known_ones():
    schema = {"properties": {"mark": {}, "loud": {}}, "additionalProperties": False}
    (problem,) = CompiledSchema(schema).problems({"marc": 1})

    assert (problem.unknown, problem.known) == ("marc", ("loud", "mark"))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, "x" * 5_000),
        ({"enum": ["a"]}, "x" * 5_000),
        ({"enum": ["y" * 500, "z" * 500]}, 1),
        ({"const": 1}, list(range(1_000))),
        ({"pattern": "^a" + "b" * 500}, "x" * 5_000),
        ({"minimum": 1}, -(10**60)),
        ({"additionalProperties": False}, {"x" * 5_000: 1}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x" * 5_000),
    ],
)
def test_reason_cuts_values_to_80_characters(schema, value):
    (said,) = reasons(schema, value)

    assert "…" in said or "x" * 80 not in said
    assert "x" * 81 not in said
    assert len(said) < 300


def test_reason_shows_control_characters_escaped():
    assert reasons({"type": "null"}, "a\n\x1b[31m\u202e") == ['expected null, got string "a\\u000a\\u001b[31m\\u202e"']


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "integer"},
        {"enum": ["a"]},
        {"const": "a"},
        {"pattern": "^a$"},
        {"maxLength": 2},
        {"not": {"type": "string"}},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        {"oneOf": [{"type": "integer", "x-secret": True}, {"type": "null"}]},
        {"allOf": [{"pattern": "^a$"}]},
        {"if": {}, "then": {"enum": ["a"]}},
        {"$ref": "#/$defs/port"},
    ],
)
def test_reason_never_shows_a_secret(rule):
    schema = {"properties": {"key": rule | {"x-secret": True}}, "$defs": {"port": {"type": "integer"}}}

    said = reasons(schema, {"key": HIDDEN})

    assert said
    assert all(each.startswith("key: ") for each in said)
    assert not any("hunter2" in each for each in said)


@pytest.mark.parametrize(
    "rule",
    [
        {"properties": {"inner": {"type": "integer"}}},
        {"additionalProperties": {"pattern": "^a$"}},
        {"patternProperties": {".": {"enum": ["a"]}}},
    ],
)
def test_reason_never_shows_what_is_inside_a_secret(rule):
    said = reasons({"properties": {"key": rule | {"x-secret": True}}}, {"key": {"inner": HIDDEN}})

    assert said
    assert not any("hunter2" in each for each in said)


def test_reason_says_that_it_keeps_a_secret():
    schema = {"properties": {"key": {"type": "integer", "x-secret": True}}}

    assert reasons(schema, {"key": HIDDEN}) == ["key: expected integer, got string (secret)"]
    assert reasons({"properties": {"key": {"type": "integer", "x-secret": False}}}, {"key": "a"})[0].endswith('"a"')


BRANCHES = [
    {"title": "by file", "type": "object", "properties": {"path": {"type": "string"}}, "required": ["path", "mode"]},
    {"type": "object", "properties": {"host": {"type": "string"}}, "required": ["port"]},
    {"type": "null"},
]


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
@pytest.mark.parametrize(
    ("value", "closest"),
    [
        ({"path": "a"}, '"by file", says: missing required property "mode"'),
        ({"path": 5, "mode": 5, "host": 5, "port": 5}, '"by file", says: path: expected string, got integer 5'),
        ({"host": 5, "port": 5}, "number 2, says: host: expected string, got integer 5"),
        (5, '"by file", says: expected object, got integer 5'),
    ],
)
def test_reason_of_alternatives_names_the_closest(keyword, value, closest):
    schema = {"properties": {"where": {keyword: BRANCHES}}}

    assert reasons(schema, {"where": value}) == [f"where: fits none of 3 alternatives; the closest, {closest}"]


@pytest.mark.parametrize("branches", [[False], [False, {"type": "null"}], [{"type": "null"}, False]])
def test_reason_of_alternatives_of_which_one_is_never(branches):
    (said,) = reasons({"anyOf": branches}, 5)

    assert said.startswith(f"fits none of {len(branches)} alternatives")
