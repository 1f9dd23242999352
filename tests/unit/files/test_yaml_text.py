"""YAML as it is read: what JSON it comes to, and what of it is refused on which line."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pinocchio_core.files.scalars import is_text_without_quotes, json_of_plain
from pinocchio_core.files.yaml_text import Flaw, json_of_yaml, lines_of


@pytest.mark.parametrize(
    ("plain", "becomes"),
    [
        ("", "null"),
        ("~", "null"),
        ("Null", "null"),
        ("nULL", '"nULL"'),
        ("true", "true"),
        ("TRUE", "true"),
        ("yes", '"yes"'),
        ("no", '"no"'),
        ("on", '"on"'),
        ("Off", '"Off"'),
        ("y", '"y"'),
        ("2026-01-01", '"2026-01-01"'),
        ("2026-01-01T10:00:00Z", '"2026-01-01T10:00:00Z"'),
        ("12:30:00", '"12:30:00"'),
        ("1_000", '"1_000"'),
        ("1", "1"),
        ("1.0", "1.0"),
        ("1.50", "1.50"),
        ("-0", "-0"),
        ("1E5", "1E5"),
        ("123456789012345678901", "123456789012345678901"),
        ("+1", "1"),
        ("007", "7"),
        ("-012", "-12"),
        ("0o17", "15"),
        ("0x1F", "31"),
        ("0b1", '"0b1"'),
        (".5", "0.5"),
        ("5.", "5.0"),
        ("+.5e+3", "0.5e+3"),
        ("-00.10", "-0.10"),
        (".", '"."'),
        ("-", '"-"'),
        ("1.2.3", '"1.2.3"'),
    ],
)
def test_plain_scalar_means_what_the_core_schema_says(plain, becomes):
    assert json_of_plain(plain) == becomes
    json.loads(becomes)


@pytest.mark.parametrize("plain", [".nan", ".NaN", ".inf", "-.inf", "+.INF", "1" * 401])
def test_number_that_json_does_not_have_is_refused(plain):
    with pytest.raises(ValueError, match="quote it"):
        json_of_plain(plain)


@given(st.text())
def test_text_without_quotes_is_text_to_readers_of_both_versions(text):
    if is_text_without_quotes(text):
        assert json.loads(json_of_plain(text)) == text
        resolver = yaml.SafeLoader("")
        assert resolver.resolve(yaml.ScalarNode, text, (True, False)) == "tag:yaml.org,2002:str"


def test_block_scalars_quotes_and_unicode_come_out_as_they_are():
    text = 'a: |\n  one\n  "two"\nb: "\\u00e9 \\0 \\x1b"\nc: \'1\'\n"ü d": [é, {"x": null}]\n'

    assert json.loads(json_of_yaml(text)) == {
        "a": 'one\n"two"\n',
        "b": "é \0 \x1b",
        "c": "1",
        "ü d": ["é", {"x": None}],
    }


@pytest.mark.parametrize(
    ("text", "line", "path", "reason"),
    [
        ("a: 1\nb:\n  - x\n  - &z y\n", 4, "b[1]", "anchors are not allowed"),
        ("a: 1\nb: *z\n", 2, "b", "aliases are not allowed"),
        ("&k a: 1\n", 1, "", "anchors are not allowed"),
        ("a:\n  <<: {x: 1}\n", 2, "a", "merge key"),
        ("a: !!str 1\n", 1, "a", 'the tag "tag:yaml.org,2002:str" is not allowed'),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "a", "is not allowed"),
        ("a: !local x\n", 1, "a", 'the tag "!local" is not allowed'),
        ("a: 1\nb: 2\n'a': 3\n", 3, "a", "the key is there more than once"),
        ("a:\n  ? [x]\n  : 1\n", 2, "a", "a key must be a text"),
        ("a: .inf\n", 1, "a", "no number that a profile can hold"),
        ("a: 1\n---\nb: 2\n", 2, "", "a second document"),
        ("%YAML 1.1\n---\na: 1\n", 1, "", "directives are not allowed"),
        ("a: [1, 2\n", 2, "", "is not YAML"),
        ("a: 1\n\tb: 2\n", 2, "", "is not YAML"),
        ('a: "\\ud800"\n', 1, "", "is not YAML"),
        ("", None, "", "is empty"),
        ("# only a comment\n", None, "", "is empty"),
    ],
)
def test_what_is_refused_is_named_with_line_and_path(text, line, path, reason):
    with pytest.raises(Flaw) as refused:
        json_of_yaml(text)

    assert (refused.value.line, refused.value.path) == (line, path)
    assert reason in refused.value.reason


@pytest.mark.parametrize("text", ["a: " + "[" * 5000, "a: " + "{x: " * 5000, "- " * 5000 + "x"])
def test_deep_nesting_is_refused_and_not_followed(text):
    with pytest.raises(Flaw) as refused:
        json_of_yaml(text)

    assert len(str(refused.value.path)) < 100


def test_bomb_of_aliases_is_refused_at_its_first_anchor():
    levels = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]

    with pytest.raises(Flaw) as refused:
        json_of_yaml("\n".join(levels))

    assert refused.value.line == 1


def test_lines_of_values_are_those_of_their_keys():
    lines = lines_of("slug: a\nprofiles:\n  one:\n    runtime:\n      tools: [x,\n        y]\n")

    assert lines["slug"] == 1
    assert lines["profiles.one"] == 3
    assert lines["profiles.one.runtime.tools"] == 5
    assert lines["profiles.one.runtime.tools[1]"] == 6
