"""Keys of extensions: `namespace.feature@vN`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinocchio_core.domain.slugs import EXTENSION_KEY_RULE, ExtensionKey, middleware_key, parse_extension_key

part = st.from_regex(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?", fullmatch=True)
keys = st.builds(ExtensionKey, part, part, st.integers(1, 99_999))
LONGEST_MIDDLEWARE = 57


@given(keys)
@settings(max_examples=100, deadline=None)
def test_parse_extension_key_reads_what_a_key_writes(key: ExtensionKey) -> None:
    assert parse_extension_key(str(key)) == key


@given(keys, st.sampled_from(["", " ", "\t\n", "\u00a0", "\u3000"]))
@settings(max_examples=100, deadline=None)
def test_parse_extension_key_trims_and_lowers(key: ExtensionKey, space: str) -> None:
    assert parse_extension_key(space + str(key).upper() + space) == key


@given(st.text(alphabet="aA.@vV019_- \0", max_size=20))
@settings(max_examples=200, deadline=None)
def test_parse_extension_key_gives_a_key_that_reads_back_or_says_why_not(raw: str) -> None:
    try:
        key = parse_extension_key(raw)
    except ValueError as error:
        assert EXTENSION_KEY_RULE in str(error)
    else:
        assert parse_extension_key(str(key)) == key


@pytest.mark.parametrize("version", ["1", "9", "10", "99999"])
def test_parse_extension_key_takes_versions_up_to_99999(version: str) -> None:
    assert parse_extension_key(f"a.b@v{version}").version == int(version)


@pytest.mark.parametrize(
    "raw",
    [
        "a.b@v0",
        "a.b@v01",
        "a.b@v100000",
        "a.b@v-1",
        "a.b@v\u0661",
        "a.b@v",
        "a.b@1",
        "a.b",
        "a@v1",
        ".b@v1",
        "a.@v1",
        "a.b.c@v1",
        "-a.b@v1",
        "a.b-@v1",
        "a b.c@v1",
        "a.b@v1\x1c",
        "a.b @v1",
        "",
        f"{'a' * 65}.b@v1",
        f"a.{'b' * 65}@v1",
    ],
)
def test_parse_extension_key_refuses(raw: str) -> None:
    with pytest.raises(ValueError, match="invalid extension key"):
        parse_extension_key(raw)


def test_parse_extension_key_takes_parts_of_64_characters() -> None:
    assert parse_extension_key(f"{'a' * 64}.{'b' * 64}@v1") == ExtensionKey("a" * 64, "b" * 64, 1)


@pytest.mark.parametrize("name", ["agentmode", "a", "a-b_c", "x_config", "m" * LONGEST_MIDDLEWARE])
def test_middleware_key_leads_back_to_its_middleware(name: str) -> None:
    key = middleware_key(name, 3)
    assert str(key) == f"middleware.{name}_config@v3"
    assert key.middleware == name


@pytest.mark.parametrize(
    ("name", "version"), [("m" * (LONGEST_MIDDLEWARE + 1), 1), ("a.b", 1), ("", 1), ("a", 0), ("a", 100_000)]
)
def test_middleware_key_refuses_what_gives_no_key(name: str, version: int) -> None:
    with pytest.raises(ValueError, match="invalid extension key"):
        middleware_key(name, version)


@pytest.mark.parametrize(
    "raw",
    ["webchat.starter_suggestions@v1", "middleware.agentmode@v1", "other.agentmode_config@v1", "middleware.config@v1"],
)
def test_other_keys_belong_to_no_middleware(raw: str) -> None:
    assert parse_extension_key(raw).middleware is None
