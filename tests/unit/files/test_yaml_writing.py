"""YAML as it is written: any document comes back as it was, and comments stay with what is still there."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pinocchio_core.files.documents import json_of, plain_json
from pinocchio_core.files.yaml_text import json_of_yaml
from pinocchio_core.files.yaml_writing import yaml_of, yaml_over

TEXTS = (
    st.text(st.characters(codec="utf-8"))
    | st.sampled_from(
        [
            "yes",
            "No",
            "on",
            "null",
            "~",
            "1",
            "1.0",
            ".5",
            "0x1f",
            "2026-01-01",
            "<<",
            "=",
            "- a",
            "a: b",
            "a #b",
            "",
            "---",
        ]
    )
    | st.text(" \t\n\r\x85\u2028#:-ab", max_size=12)
)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
SLUGS = st.sampled_from(["a", "b", "on", "1", "x.y", "2026-01-01"])
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=4).map(lambda value: plain_json(json.dumps(value)))


@settings(deadline=None)  # a test of values, on a machine that may be busy
@given(DOCUMENTS)
def test_what_is_written_is_read_again_as_it_was(document):
    assert json_of(plain_json(json_of_yaml(yaml_of(document)))) == json_of(document)


@settings(deadline=None)  # a test of values, on a machine that may be busy
@given(DOCUMENTS, DOCUMENTS)
def test_what_is_written_over_another_says_the_new(old, new):
    assert json_of(plain_json(json_of_yaml(yaml_over(yaml_of(old), new)))) == json_of(new)


@pytest.mark.parametrize("spelling", ["1", "1.0", "1.50", "1E5", "1e-7", "-0.0", "18446744073709551615"])
def test_number_keeps_its_spelling(spelling):
    assert yaml_of(plain_json(f'{{"x": {spelling}}}')) == f"x: {spelling}\n"


def test_text_that_other_readers_take_for_something_else_is_quoted():
    words = ["yes", "no", "on", "off", "y", "null", "true", "1", "1.0", "1e3", "012", "2026-01-01", "12:30", "<<", "="]

    assert yaml.safe_load(yaml_of({"words": words}))["words"] == words
    assert yaml_of({"x": "yes"}) == 'x: "yes"\n'


def test_long_texts_are_blocks():
    text = yaml_of({"runtime": {"system_prompt": "You are kind.\nAnd brief.\n"}})

    assert text == "runtime:\n  system_prompt: |\n    You are kind.\n    And brief.\n"


OLD = """\
# who owns this: team blue
slug: team   # never change
profiles:
  # the careful one
  agent:
    runtime:
      # reviewed in May
      system_prompt: |
        Be careful.
      tools: [calculator]  # no sql
    description: old  # shown in lists
  # the other
  other: {}
"""


def test_comments_and_order_of_keys_stay():
    new = plain_json(json_of_yaml(OLD))
    new["profiles"]["agent"]["description"] = "new"
    new["profiles"]["agent"]["runtime"]["system_prompt"] = "Be quick.\n"
    new["profiles"]["third"] = {"description": "new"}

    expected = OLD.replace("old  #", "new  #").replace("Be careful", "Be quick")
    assert yaml_over(OLD, new).startswith(expected.rstrip("\n"))
    assert "third:\n    description: new" in yaml_over(OLD, new)


def test_text_that_says_the_same_already_is_not_touched():
    text = "slug:   'team'\nprofiles: { }  # none\n\n\n# end\n"

    assert yaml_over(text, plain_json(json_of_yaml(text))) == text


def test_comment_after_a_block_stays_when_the_block_changes():
    old = "system_prompt: |\n  one\n\n# about tools\ntools: [x]\n"

    assert yaml_over(old, {"system_prompt": "two\n", "tools": ["x"]}) == old.replace("one", "two")


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-13-45", "2001-12-14t21:59:43.10-99:30", "24:00:99.9", "1_000", "_1", "0x_", "0o9"]
)
def test_comments_stay_beside_a_text_that_other_readers_take_for_a_broken_date_or_number(text):
    old = f"# ours\nk: {text}   # and this\nj: a\n"

    written = yaml_over(old, {"k": text, "j": "b"})
    assert written.startswith("# ours\nk: ")
    assert "# and this\nj: b\n" in written


def test_text_that_ruamel_cannot_read_is_written_anew():
    text = "0x1F: a\n31: b\nj: 1\n"  # two keys in YAML 1.2 with texts as keys, one number to others

    assert yaml_over(text, {"0x1F": "a", "31": "b", "j": "x"}) == '"0x1F": a\n"31": b\nj: x\n'


SEVERAL = """\
slug: team
profiles:
  # about one
  one:
    tools: [a]
    list:
      - x   # kept
      - y

  # about two
  two:
    system_prompt: |
      # a heading, and no comment

      end
      # another
  # about three
  three:   {description:   odd}   # and its style
# the end
display_name: Team
"""


def test_comments_of_profiles_that_stay_are_kept_when_others_change_and_go():
    new = plain_json(json_of_yaml(SEVERAL))
    del new["profiles"]["two"]
    new["profiles"]["one"]["list"] = ["x"]
    new["profiles"]["four"] = {"system_prompt": "a\n\nb\n"}
    text = yaml_over(SEVERAL, new)

    gone = SEVERAL[SEVERAL.index("\n  # about two") : SEVERAL.index("  # about three")]
    expected = SEVERAL.replace(gone, "").replace("\n      - y", "")
    added = "  four:\n    system_prompt: |\n      a\n\n      b\n"
    assert text == expected.replace("# the end", added + "# the end")


def test_profiles_in_one_line_are_written_over_too():
    text = "slug: team\nprofiles: {one: {}, two: {description: x}} # all\n"
    text = yaml_over(text, {"slug": "team", "profiles": {"two": {"description": "why"}}})

    assert text.split() == ["slug:", "team", "profiles:", "{two:", "{description:", "why}}", "#", "all"]


@settings(deadline=None)  # a test of values, on a machine that may be busy
@given(
    st.dictionaries(SLUGS, DOCUMENTS, min_size=1, max_size=3), st.dictionaries(SLUGS, DOCUMENTS, min_size=1, max_size=3)
)
def test_whatever_profiles_become_is_what_is_written(old, new):
    before, after = {"slug": "x", "profiles": old}, {"profiles": new, "description": "y"}

    assert json_of(plain_json(json_of_yaml(yaml_over(yaml_of(before), after)))) == json_of(after)
