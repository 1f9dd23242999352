"""Which strings are slugs, and how strings look in messages."""

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pinocchio_core.domain.slugs import (
    SLUG_RULE,
    fold,
    has_control_characters,
    is_middleware_name,
    parse_slug,
    shown,
    trim,
)

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?")
WHITE_SPACE = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Zs", "Zl", "Zp")]
WHITE_SPACE += ["\t", "\n", "\v", "\f", "\r", "\x85"]
near_slugs = st.text(alphabet="aAzZ09._- \t\u00a0\u2003\u212a\u0130\x1c\0/%\u00e9", max_size=140)
any_text = st.text(alphabet=st.characters(), max_size=20)


def accepted(raw: str) -> str | None:
    try:
        return parse_slug(raw)
    except ValueError:
        return None


@given(st.one_of(near_slugs, any_text, st.from_regex(SLUG, fullmatch=True)))
@settings(max_examples=200, deadline=None)
def test_parse_slug_gives_only_slugs_and_takes_its_own_answer_as_it_is(raw: str) -> None:
    slug = accepted(raw)
    if slug is not None:
        assert SLUG.fullmatch(slug)
        assert parse_slug(slug) == slug


@given(st.from_regex(SLUG, fullmatch=True), st.text(WHITE_SPACE, max_size=3), st.text(WHITE_SPACE, max_size=3))
@settings(max_examples=100, deadline=None)
def test_parse_slug_takes_every_slug_in_capitals_and_between_white_space(slug: str, before: str, after: str) -> None:
    assert parse_slug(before + slug.upper() + after) == slug


@pytest.mark.parametrize("space", WHITE_SPACE, ids=lambda char: f"U+{ord(char):04X}")
def test_parse_slug_trims_all_white_space_of_unicode(space: str) -> None:
    assert parse_slug(f"{space}a{space}") == "a"
    assert trim(f"{space}a b{space}") == "a b"


@pytest.mark.parametrize("control", ["\x1c", "\x1d", "\x1e", "\x1f", "\x00", "\x7f", "\u200b", "\ufeff"])
def test_parse_slug_does_not_trim_what_is_no_white_space(control: str) -> None:
    assert accepted(f"{control}a") is None
    assert accepted(f"a{control}") is None
    assert trim(f"{control}a{control}") == f"{control}a{control}"


@given(
    st.text("ab-", max_size=5),
    st.characters(categories=["Cc"]).filter(lambda char: char not in WHITE_SPACE),
    st.text("ab-", max_size=5),
)
@settings(max_examples=100, deadline=None)
@example("a", "\0", "b")
def test_parse_slug_takes_no_control_character_anywhere(before: str, control: str, after: str) -> None:
    assert accepted(before + control + after) is None


@pytest.mark.parametrize(
    ("raw", "slug"),
    [
        ("Analyst", "analyst"),
        ("\u212aelvin", "kelvin"),
        ("\u0130x", "ix"),
        ("a", "a"),
        ("0", "0"),
        ("a.b_c-d", "a.b_c-d"),
    ],
)
def test_parse_slug_lowers_character_by_character(raw: str, slug: str) -> None:
    assert parse_slug(raw) == slug


@given(any_text)
@settings(max_examples=100, deadline=None)
def test_fold_keeps_the_length_of_what_is_left_after_trimming(text: str) -> None:
    assert len(fold(text)) == len(trim(text))


def test_parse_slug_takes_128_characters_and_not_129() -> None:
    assert parse_slug("a" * 128) == "a" * 128
    assert parse_slug(" " + "A" * 128 + "\n") == "a" * 128
    assert accepted("a" * 129) is None


@pytest.mark.parametrize(
    "raw", ["", " ", "-a", "a-", ".a", "a.", "_", "a b", "a/b", "..", "a%2Fb", "a\n\nb", "\u00e9", "\u0661"]
)
def test_parse_slug_refuses(raw: str) -> None:
    with pytest.raises(ValueError, match="invalid profile slug") as caught:
        parse_slug(raw)
    assert SLUG_RULE in str(caught.value)


def test_parse_slug_names_what_it_looked_for_and_what_it_got() -> None:
    with pytest.raises(ValueError, match=r'^invalid registry slug "a b": use 1 to 128 of a-z'):
        parse_slug("a b", what="registry slug")


@pytest.mark.parametrize("name", ["a", "9", "agentmode", "a_b-c", "a" * 64])
def test_is_middleware_name_takes(name: str) -> None:
    assert is_middleware_name(name)


@pytest.mark.parametrize("name", ["", "A", " a", "a ", "a.b", "-a", "a_", "a" * 65, "\u212a", "a\n", None, 5, b"a"])
def test_is_middleware_name_refuses(name: object) -> None:
    assert not is_middleware_name(name)


@pytest.mark.parametrize(
    ("text", "has"), [("a\0b", True), ("a\n", True), ("\x7f", True), ("\x85", True), ("a b\u00e9", False)]
)
def test_has_control_characters_finds_them(text: str, has: bool) -> None:
    assert has_control_characters(text) is has


@given(st.text(alphabet=st.characters(exclude_categories=())))
@settings(max_examples=200, deadline=None)
def test_shown_is_short_printable_and_storable_whatever_the_value(text: str) -> None:
    quoted = shown(text)
    assert quoted[0] == quoted[-1] == '"'
    assert quoted.isprintable()
    assert quoted.encode()
    assert len(quoted) <= 2 + 80 * len("\\U0010ffff")


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("a", '"a"'),
        ("", '""'),
        (5, '"5"'),
        ("a\nb\0", '"a\\u000ab\\u0000"'),
        ("\ud800", '"\\ud800"'),
        ("\u202e", '"\\u202e"'),
        ("x" * 80, '"' + "x" * 80 + '"'),
        ("x" * 81, '"' + "x" * 79 + '…"'),
    ],
)
def test_shown_quotes_escapes_and_cuts(value: object, quoted: str) -> None:
    assert shown(value) == quoted


def test_shown_cuts_to_the_limit_it_is_given() -> None:
    assert shown("0123456789", limit=4) == '"012…"'


def test_shown_tells_texts_apart_that_hold_quotes() -> None:
    assert shown('a"b') == r'"a\"b"'
    assert shown("a\\b") == r'"a\\b"'
    assert shown('a\\"') != shown('a"')
