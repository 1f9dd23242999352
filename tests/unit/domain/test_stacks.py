"""Profiles over one another: every pair of values, and what policies allow together."""

import itertools

import msgspec
import pytest

from pinocchio_core.domain.profile import Metadata, MiddlewareUse, Policy, Profile, Runtime
from pinocchio_core.domain.stacks import effective, narrowed

ABSENT = object()
VALUES = [ABSENT, None, False, 0, "", "text", [1, {"a": 1}], {"a": 1, "b": {"c": 2}}, {"b": {"d": 3}}]
METADATA = Metadata(version=1, created_at_ms=0, updated_at_ms=0, created_by="", updated_by="", source="")
EXTENSION = "middleware.mw_config@v1"


def pairs(values):
    return list(itertools.product(values, repeat=2))


def profile(slug="p", *, policy=None, extensions=None, **runtime):
    return Profile(
        registry="default",
        slug=slug,
        runtime=Runtime(**runtime),
        policy=policy or Policy(allow_overrides=True, read_only=False),
        metadata=METADATA,
        extensions={key: msgspec.Raw(msgspec.json.encode(value)) for key, value in (extensions or {}).items()},
    )


def with_config(slug, value):
    config = {} if value is ABSENT else {"x": value}
    return profile(slug, extensions={EXTENSION: {"instances": {"default": config}}})


def over(lower, upper):
    """What a value over another one is, in the words of the documentation."""
    if upper is ABSENT:
        return lower
    if isinstance(lower, dict) and isinstance(upper, dict):
        keys = lower.keys() | upper.keys()
        return {key: over(lower.get(key, ABSENT), upper.get(key, ABSENT)) for key in keys}
    return upper


@pytest.mark.parametrize(("base", "leaf"), pairs(VALUES))
def test_config_of_a_leaf_goes_over_that_of_its_base(base, leaf):
    stack = [with_config("base", base), with_config("leaf", leaf)]
    config = effective(stack).config_of(MiddlewareUse(name="mw"))
    assert msgspec.json.encode(config.get("x", "absent"), order="sorted") == msgspec.json.encode(
        "absent" if over(base, leaf) is ABSENT else over(base, leaf), order="sorted"
    )


@pytest.mark.parametrize(("base", "leaf"), pairs(VALUES))
def test_step_settings_merge_by_section_and_field(base, leaf):
    stack = [
        profile(slug, step_settings_patch=None if value is ABSENT else {"s": {"f": value}, slug: {}})
        for slug, value in (("base", base), ("leaf", leaf))
    ]
    found = (effective(stack).runtime.step_settings_patch or {}).get("s", {}).get("f", ABSENT)
    expected = over(base, leaf)
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize(("base", "leaf"), pairs([None, "", "text"]))
def test_prompt_is_that_of_the_last_profile_that_has_one_and_empty_text_is_one(base, leaf):
    prompt = effective([profile(system_prompt=base), profile(system_prompt=leaf)]).runtime.system_prompt
    assert prompt == (base if leaf is None else leaf)


@pytest.mark.parametrize(("base", "leaf"), pairs([None, (), ("a",), ("b", "a")]))
def test_tools_are_those_of_the_last_profile_that_has_some_and_none_is_some(base, leaf):
    assert effective([profile(tools=base), profile(tools=leaf)]).runtime.tools == (base if leaf is None else leaf)


def test_uses_keep_the_order_of_the_base_and_new_ones_come_after_them():
    base = profile(middlewares=(MiddlewareUse(name="a"), MiddlewareUse(name="b", id="1", enabled=False)))
    leaf = profile(
        middlewares=(MiddlewareUse(name="c"), MiddlewareUse(name="b", id="1"), MiddlewareUse(name="a", enabled=False))
    )
    assert effective([base, leaf]).runtime.middlewares == (
        MiddlewareUse(name="a", enabled=False),
        MiddlewareUse(name="b", id="1", enabled=False),
        MiddlewareUse(name="c"),
    )


def test_other_extensions_replace_each_other_by_key_byte_for_byte():
    base = profile(extensions={"acme.x@v1": {"a": 1}, "acme.y@v1": 1})
    leaf = profile(extensions={"acme.x@v1": {"b": 2}})
    assert effective([base, leaf]).other_extensions() == {"acme.x@v1": {"b": 2}, "acme.y@v1": 1}


def test_a_stack_of_one_is_the_profile_itself():
    alone = profile(system_prompt="")
    assert effective([alone]) is alone


LISTS = [None, (), ("a",), ("a", "b"), ("b", "c")]


@pytest.mark.parametrize(("base", "leaf"), pairs(LISTS))
def test_allowed_keys_are_those_in_every_list_and_no_list_is_none(base, leaf):
    policies = [Policy(allow_overrides=True, read_only=False, allowed_override_keys=keys) for keys in (base, leaf)]
    allowed = narrowed(policies).allowed_override_keys
    given = [set(keys) for keys in (base, leaf) if keys is not None]
    assert (None if allowed is None else set(allowed)) == (set.intersection(*given) if given else None)


@pytest.mark.parametrize(("base", "leaf"), pairs(LISTS))
def test_denied_keys_are_those_in_any_list(base, leaf):
    policies = [Policy(allow_overrides=True, read_only=False, denied_override_keys=keys) for keys in (base, leaf)]
    assert set(narrowed(policies).denied_override_keys or ()) == {*(base or ()), *(leaf or ())}


@pytest.mark.parametrize(("base", "leaf"), pairs([False, True]))
def test_overrides_need_every_policy_and_read_only_is_the_leafs(base, leaf):
    policies = [Policy(allow_overrides=each, read_only=each) for each in (base, leaf)]
    assert narrowed(policies).allow_overrides == (base and leaf)
    assert narrowed(policies).read_only == leaf


def test_keys_of_policies_are_the_same_however_they_are_written():
    policies = [
        Policy(allow_overrides=True, read_only=False, allowed_override_keys=(key,))
        for key in ("systemPrompt", "system-prompt", "system_prompt")
    ]
    assert narrowed(policies).allowed_override_keys == ("system_prompt",)
