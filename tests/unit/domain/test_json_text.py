"""Strict JSON: what may be stored is read as it is, everything else is said with its path."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinocchio_core.domain import limits
from pinocchio_core.domain.json_text import WHOLE, parse_object
from pinocchio_core.errors import InvalidRequest

names = st.text(max_size=5)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(limits.MIN_INTEGER, limits.MAX_INTEGER),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=10),
)
values = st.recursive(
    leaves,
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(names, below, max_size=4)),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=4)


def problems(text: str | bytes) -> list[tuple[str, str]]:
    """What is wrong with a document: fields and reasons."""
    with pytest.raises(InvalidRequest) as caught:
        parse_object(text if isinstance(text, bytes) else text.encode())
    return [(problem.field, problem.reason) for problem in caught.value.problems]


def fields(text: str | bytes) -> list[str]:
    return [field for field, _ in problems(text)]


@given(objects, st.booleans(), st.sampled_from([None, 1, "\t"]))
@settings(max_examples=150, deadline=None)
def test_parse_object_reads_whatever_is_within_the_limits(
    document: dict[str, Any], ascii_only: bool, indent: Any
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    assert json.dumps(parse_object(text.encode())) == json.dumps(document)


@given(st.binary(max_size=60) | st.text('{}[]",:0123e-.\\u d8tNaI', max_size=40).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_parse_object_gives_an_object_or_says_what_is_wrong(text: bytes) -> None:
    try:
        assert isinstance(parse_object(text), dict)
    except InvalidRequest as error:
        assert error.problems
        assert str(error).startswith("validation error (")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a": 1, "a": 1}', ["a"]),
        ('{"a": {"b": [0, {"c": 1, "c": 2}]}}', ["a.b[1].c"]),
        ('{"a": 1, "\\u0061": 2}', ["a"]),
        ('{"a": {"x": 1, "x": 2}, "b": {"y": 1, "y": 2}}', ["a.x", "b.y"]),
        ('{"a": 1, "b": 2, "a": 3, "b": 4, "a": 5}', ["a", "b"]),
        ('{"a b": 1, "a b": 1}', ['["a b"]']),
        ('[{"a": 1, "a": 1}]', ["[0].a"]),
    ],
)
def test_parse_object_names_every_duplicate_key(text: str, where: list[str]) -> None:
    assert problems(text) == [(field, "the key is there more than once") for field in where]


def test_parse_object_looks_into_an_object_that_has_duplicate_keys() -> None:
    assert problems('{"a": 1, "a": {"b": NaN}}') == [
        ("a", "the key is there more than once"),
        ("a.b", "NaN is not JSON"),
    ]


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_parse_object_refuses_numbers_that_json_does_not_have(name: str) -> None:
    assert problems(f'{{"a": [{name}]}}') == [("a[0]", f"{name} is not JSON")]


@pytest.mark.parametrize("number", [limits.MIN_INTEGER, limits.MAX_INTEGER, 2**63 - 1, 0, -1])
def test_parse_object_keeps_integers_of_64_bits(number: int) -> None:
    assert parse_object(b'{"a": %d}' % number) == {"a": number}


@pytest.mark.parametrize("digits", [str(2**64), str(-(2**63) - 1), "9" * 400, "-" + "9" * 400, "9" * 100_000])
def test_parse_object_refuses_longer_integers(digits: str) -> None:
    ((field, reason),) = problems(f'{{"a": {digits}}}')
    assert field == "a"
    assert reason.startswith('the integer "')
    assert reason.endswith('" does not fit into 64 bits')
    assert len(reason) < 100


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e309", "9" * 310 + ".5"])
def test_parse_object_refuses_numbers_too_large_for_a_float(number: str) -> None:
    assert problems(f'{{"a": {number}}}') == [("a", "the number is too large")]


@pytest.mark.parametrize("escape", ["\\ud800", "\\udfff", "\\ud800x", "\\udc00\\ud800"])
def test_parse_object_refuses_lone_surrogates(escape: str) -> None:
    assert problems(f'{{"a": "{escape}"}}') == [("a", "is not valid Unicode (a lone surrogate)")]
    ((field, reason),) = problems(f'{{"a": {{"{escape}": 1}}}}')
    assert field == "a"
    assert "is not valid Unicode" in reason


def test_parse_object_takes_surrogates_in_pairs() -> None:
    assert parse_object(b'{"\\ud83d\\ude00": "\\ud83d\\ude00"}') == {"\U0001f600": "\U0001f600"}


@pytest.mark.parametrize(("before", "after"), [('{"a":', "}"), ("[", "]")])
def test_parse_object_goes_64_deep_and_no_deeper(before: str, after: str) -> None:
    inner = limits.MAX_DEPTH - 1
    fits = f'{{"a":{before * (inner - 1)}{{}}{after * (inner - 1)}}}'
    assert parse_object(fits.encode())
    ((_, reason),) = problems(f'{{"a":{before * inner}{{}}{after * inner}}}')
    assert reason == f"is nested more than {limits.MAX_DEPTH} deep"


@pytest.mark.parametrize("text", ['{"a":' * 10_000 + "1" + "}" * 10_000, '{"a":' + "[" * 10_000, "[" * 500_000])
def test_parse_object_refuses_any_depth_beyond(text: str) -> None:
    ((_, reason),) = problems(text)
    assert "nested more than 64 deep" in reason


def test_parse_object_counts_values_at_every_level() -> None:
    most = limits.MAX_NODES - 2  # the object and the list count too
    assert len(parse_object(b'{"a": [%s]}' % b",".join([b"1"] * most))["a"]) == most
    assert problems(b'{"a": [%s]}' % b",".join([b"1"] * (most + 1))) == [(WHOLE, "has more than 50000 values")]


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true", "[{}]"])
def test_parse_object_refuses_what_is_no_object(text: str) -> None:
    assert problems(text) == [(WHOLE, "must be one JSON object")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is empty"),
        (b" \n ", "is empty"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a": "\xff"}', "is not valid UTF-8 (byte 7)"),
        (b'{"a": "\xed\xa0\x80"}', "is not valid UTF-8"),
        (b"{} {}", "Extra data (line 1, column 4)"),
        (b'{"a": 1}x', "Extra data"),
        (b'{"a": 1', "is not valid JSON"),
        (b'{"a": 1,}', "is not valid JSON"),
        (b"{'a': 1}", "is not valid JSON"),
        (b'{"a": "\n"}', "Invalid control character"),
        (b'{"a": 01}', "is not valid JSON"),
        (b"// no\n{}", "is not valid JSON"),
        (b"\0", "is not valid JSON"),
    ],
)
def test_parse_object_refuses_what_is_not_one_text_of_json(text: bytes, reason: str) -> None:
    ((field, said),) = problems(text)
    assert field == WHOLE
    assert reason in said


def test_parse_object_says_everything_at_once() -> None:
    assert fields('{"a": NaN, "b": [1e999, "\\ud800"], "c": {"d": 1, "d": 2}}') == ["a", "b[0]", "b[1]", "c.d"]


def test_parse_object_is_done_with_many_duplicate_keys() -> None:
    assert problems("{" + '"a":1,' * 100_000 + '"a":1}') == [("a", "the key is there more than once")]
    assert len(fields("{" + ",".join(f'"k{n}":1,"k{n}":1' for n in range(10_000)) + "}")) > 0


@pytest.mark.parametrize(("depth", "key_length"), [(1, 20_000), (50, 79)])
def test_parse_object_says_no_more_about_a_document_than_the_document_could_be_long(
    depth: int, key_length: int
) -> None:
    """Every problem carries its path: 2,000 bad numbers under long keys, 30 kB, must not make an answer of 40 MB."""
    text = f'{{"{"k" * key_length}":' * depth + "[" + ",".join(["NaN"] * 2_000) + "]" + "}" * depth
    assert sum(len(field) + len(reason) for field, reason in problems(text)) < limits.MAX_BODY_BYTES
