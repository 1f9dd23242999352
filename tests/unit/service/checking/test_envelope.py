"""From the bytes of a request to its fields: what fits is read, what does not is said, all of it at once."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinocchio_core.domain.json_text import parse_object
from pinocchio_core.errors import InvalidRequest
from pinocchio_core.service.checking.envelope import objects_at, open_envelope, value_at
from pinocchio_core.service.checking.requests import (
    ChooseProfile,
    CreateProfile,
    CreateRegistry,
    PatchProfile,
    SetDefault,
)

FULL: dict[str, Any] = {
    "slug": "analyst",
    "registry": "default",
    "display_name": "Analyst",
    "description": "d",
    "runtime": {
        "system_prompt": "p",
        "middlewares": [{"name": "m", "id": "a", "enabled": True, "config": {"x": 1}}],
        "tools": ["t"],
        "step_settings_patch": {"chat": {"field": 1.5}},
    },
    "policy": {
        "allow_overrides": True,
        "read_only": False,
        "allowed_override_keys": ["k"],
        "denied_override_keys": [],
    },
    "metadata": {
        "tags": ["t"],
        "version": 1,
        "created_at_ms": 1,
        "updated_at_ms": 1,
        "created_by": "a",
        "updated_by": "b",
        "source": "c",
    },
    "extensions": {"acme.x@v1": {"any": ["thing"]}},
    "set_default": True,
    "expected_version": 0,
    "is_default": False,
}


def problems(document: Any, kind: Any = CreateProfile) -> dict[str, str]:
    """What is wrong with a request: reasons by field."""
    tree, request, found = open_envelope(json.dumps(document).encode(), kind)
    assert tree == document
    assert (request is None) is bool(found)
    return {problem.field: problem.reason for problem in found}


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below: list[tuple[str | int, ...]] = []
    if path[:1] == ("extensions",) or "config" in path or path[1:2] == ("step_settings_patch",):
        return [path]
    if isinstance(value, dict):
        below = [each for key, item in value.items() for each in paths_of(item, (*path, key))]
    if isinstance(value, list):
        below = [each for index, item in enumerate(value) for each in paths_of(item, (*path, index))]
    return [path, *below]


def with_value(path: tuple[str | int, ...], value: Any) -> Any:
    document = json.loads(json.dumps(FULL))
    holder = document
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return document


def test_open_envelope_reads_every_field_of_a_profile() -> None:
    assert problems(FULL) == {}
    _, request, _ = open_envelope(json.dumps(FULL).encode(), CreateProfile)
    assert request is not None
    assert request.slug == "analyst"
    assert request.runtime is not None
    assert request.runtime.middlewares is not None
    assert bytes(request.runtime.middlewares[0].inline or b"") == b'{"x": 1}'


@pytest.mark.parametrize("path", paths_of(FULL)[1:], ids=str)
def test_open_envelope_takes_null_for_absent_at_every_field_and_says_where_a_type_is_wrong(
    path: tuple[str | int, ...],
) -> None:
    in_list = isinstance(path[-1], int)
    assert bool(problems(with_value(path, None))) is in_list
    if path[-1] == "config" or (path[0] == "extensions" and len(path) > 1):
        return  # any value may stand there, as far as the envelope goes
    wrong = [value for value in (5.5, "x", [5.5], {"x": 5.5}, True) if problems(with_value(path, value))]
    assert len(wrong) >= 4
    for value in wrong:
        for field in problems(with_value(path, value)):
            assert field.replace("[", ".").split(".")[0] == path[0]


@pytest.mark.parametrize(
    ("document", "field", "reason"),
    [
        ({"slg": "a"}, "slg", 'unknown field; did you mean "slug"?'),
        ({"display-name": "a"}, "display-name", 'unknown field; did you mean "display_name"?'),
        ({"runtime": {"system_promt": "x"}}, "runtime.system_promt", 'unknown field; did you mean "system_prompt"?'),
        (
            {"runtime": {"middlewares": [{"nme": "m"}]}},
            "runtime.middlewares[0].nme",
            'unknown field; did you mean "name"?',
        ),
        ({"policy": {"readonly": True}}, "policy.readonly", 'unknown field; did you mean "read_only"?'),
        ({"metadata": {"tag": []}}, "metadata.tag", 'unknown field; did you mean "tags"?'),
        ({"a\nb": 1}, '["a\\u000ab"]', "unknown field; known here: "),
    ],
)
def test_open_envelope_names_an_unknown_field_and_the_nearest_known_one(document: Any, field: str, reason: str) -> None:
    assert problems(document)[field].startswith(reason)


def test_open_envelope_lists_what_is_known_where_nothing_is_near() -> None:
    known = "unknown field; known here: expected_version, reason, registry"
    assert problems({"xyzzy": 1}, SetDefault)["xyzzy"] == known


def test_open_envelope_says_everything_at_once() -> None:
    document = {
        "slug": 5,
        "unknown": 1,
        "runtime": {"middlewares": [{"name": 1}, {"enabled": "yes"}], "tools": "t"},
        "policy": {"read_only": 0},
        "expected_version": -1,
    }
    assert set(problems(document)) == {
        "slug",
        "unknown",
        "runtime.middlewares[0].name",
        "runtime.middlewares[1].enabled",
        "runtime.tools",
        "policy.read_only",
        "expected_version",
    }


def test_open_envelope_tells_types_that_python_takes_for_one_apart() -> None:
    assert list(problems({"expected_version": True})) == ["expected_version"]
    assert list(problems({"expected_version": 1.5})) == ["expected_version"]
    assert list(problems({"expected_version": "1"})) == ["expected_version"]
    assert list(problems({"policy": {"read_only": 1}})) == ["policy.read_only"]


def test_field_names_are_exact() -> None:
    assert "Slug" in problems({"Slug": "a"})


@pytest.mark.parametrize("kind", [PatchProfile, CreateProfile, SetDefault, ChooseProfile, CreateRegistry])
def test_open_envelope_takes_an_empty_object_and_refuses_what_is_none(kind: Any) -> None:
    assert problems({}, kind) == {}
    with pytest.raises(InvalidRequest, match=r"^validation error \(body\): must be one JSON object$"):
        open_envelope(b"[]", kind)


def test_set_default_belongs_to_new_profiles_only() -> None:
    assert problems({"set_default": True}) == {}
    assert list(problems({"set_default": True}, PatchProfile)) == ["set_default"]


numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,20})?", fullmatch=True)


@given(numbers | st.text(max_size=8).map(json.dumps))
@settings(max_examples=200, deadline=None)
def test_both_readers_of_json_agree_on_every_leaf(leaf: str) -> None:
    """The strict reader admits a body, another one makes the fields: what only one of them takes would be a 500."""
    settings_patch, extensions = f'{{"a": {{"b": {leaf}}}}}', f'{{"x.y@v1": [{leaf}]}}'
    body = f'{{"runtime": {{"step_settings_patch": {settings_patch}}}, "extensions": {extensions}}}'.encode()
    try:
        parse_object(body)
    except InvalidRequest:
        return
    tree, request, found = open_envelope(body, CreateProfile)
    assert not found
    assert request is not None
    assert request.runtime is not None
    seen = request.runtime.step_settings_patch
    assert repr(seen) == repr(tree["runtime"]["step_settings_patch"])
    assert request.extensions is not None
    assert bytes(request.extensions["x.y@v1"]) == f"[{leaf}]".encode()


def test_value_at_and_objects_at_find_the_sound_parts_of_anything() -> None:
    tree: dict[str, Any] = {"a": {"b": [{"c": 1}, 5, {"d": 2}]}}
    assert value_at(tree, "a", "b", "c") is None
    assert value_at(tree, "a", "x") is None
    assert list(objects_at(tree, "a", "b")) == [(0, {"c": 1}), (2, {"d": 2})]
    assert list(objects_at(tree, "a")) == []
    assert list(objects_at({}, "a")) == []
