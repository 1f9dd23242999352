"""Every field of a request with values of every JSON type, and fields that there are not."""

import copy
import itertools

import pytest

PROFILES = "/api/chat/profiles"
AGENT = f"{PROFILES}/agent"
OF_EACH_TYPE = {
    "null": None,
    "boolean": True,
    "integer": 7,
    "number": 1.5,
    "string": "text",
    "array": [],
    "object": {},
}
COMMON = {
    "registry": {"string"},
    "display_name": {"string"},
    "description": {"string"},
    "runtime": {"object"},
    "runtime.system_prompt": {"string"},
    "runtime.middlewares": {"array"},
    "runtime.middlewares[0].id": {"string"},
    "runtime.middlewares[0].enabled": {"boolean"},
    "runtime.middlewares[0].config": {"object"},
    "runtime.tools": {"array"},
    "runtime.step_settings_patch": {"object"},
    "policy": {"object"},
    "policy.allow_overrides": {"boolean"},
    "policy.read_only": {"boolean"},
    "policy.allowed_override_keys": {"array"},
    "policy.denied_override_keys": {"array"},
    "metadata": {"object"},
    "metadata.tags": {"array"},
    "metadata.version": {"integer"},
    "metadata.created_at_ms": {"integer"},
    "metadata.updated_at_ms": {"integer"},
    "metadata.created_by": {"string"},
    "metadata.updated_by": {"string"},
    "metadata.source": {"string"},
    "extensions": {"object"},
    "expected_version": {"integer"},
    "is_default": {"boolean"},
}
WITHOUT_NULL = {
    "runtime.middlewares[0]": {"object"},
    "runtime.middlewares[0].name": {"string"},
    "runtime.tools[0]": {"string"},
    "runtime.step_settings_patch.section": {"object"},
    "policy.allowed_override_keys[0]": {"string"},
    "policy.denied_override_keys[0]": {"string"},
    "metadata.tags[0]": {"string"},
}
FIELDS = COMMON | WITHOUT_NULL
FREE = ["runtime.step_settings_patch.section.field"]


def steps_of(path):
    for part in path.replace("[0]", ".0").split("."):
        yield int(part) if part == "0" else part


def with_value(path, value):
    """A create request that is sound apart from the value at `path`."""
    document = {"slug": "new"}
    steps = list(steps_of(path))
    last = steps[-1]
    node = document
    for step, following in itertools.pairwise(steps):
        child = [] if following == 0 else {}
        if step == 0:
            node.append(child)
        else:
            node[step] = child
        node = child
    if last == 0:
        node.append(value)
    else:
        node[last] = value
    if path.startswith("runtime.middlewares[0]."):
        document["runtime"]["middlewares"][0].setdefault("name", "agentmode")
    return document


@pytest.mark.parametrize("path", FIELDS)
def test_field_refuses_values_of_every_other_type(app, expect_problem, nothing_written, path):
    allowed = FIELDS[path] | ({"null"} if path in COMMON else set())
    with nothing_written(app):
        for kind in OF_EACH_TYPE.keys() - allowed:
            document = with_value(path, OF_EACH_TYPE[kind])
            created = app.post(PROFILES, document)
            patched = app.patch(AGENT, {name: value for name, value in document.items() if name != "slug"})
            for answer in (created, patched):
                problem = expect_problem(answer, 400, "validation error")
                assert path in {error["field"] for error in problem["errors"]}, kind


@pytest.mark.parametrize("path", COMMON)
def test_field_that_is_null_counts_as_absent(app, path):
    assert app.post(PROFILES, with_value(path, None)).status == 201


@pytest.mark.parametrize("kind", OF_EACH_TYPE)
@pytest.mark.parametrize("path", FREE)
def test_engine_settings_may_be_of_any_type_and_are_kept(app, path, kind):
    document = with_value(path, OF_EACH_TYPE[kind])

    assert app.post(PROFILES, document).json["runtime"] == document["runtime"]


@pytest.mark.parametrize("kind", OF_EACH_TYPE)
def test_slug_must_be_a_string(app, expect_problem, nothing_written, kind):
    if kind != "string":
        with nothing_written(app):
            expect_problem(app.post(PROFILES, {"slug": OF_EACH_TYPE[kind]}), 400, "validation error", "slug")
    if kind not in ("string", "null"):
        with nothing_written(app):
            expect_problem(app.patch(AGENT, {"slug": OF_EACH_TYPE[kind]}), 400, "validation error", "slug")


@pytest.mark.parametrize("kind", OF_EACH_TYPE)
def test_set_default_must_be_a_boolean(app, expect_problem, kind):
    answer = app.post(PROFILES, {"slug": "new", "set_default": OF_EACH_TYPE[kind]})

    if kind in ("boolean", "null"):
        assert answer.status == 201
    else:
        expect_problem(answer, 400, "validation error", "set_default")


def test_wrong_type_is_told_with_both_types(app, expect_problem):
    problem = expect_problem(
        app.post(PROFILES, {"slug": "x", "runtime": {"tools": "t"}}), 400, "validation error", "runtime.tools"
    )

    assert problem["errors"] == [
        {"field": "runtime.tools", "reason": 'expected array, got string "t"', "expected": "array", "actual": "string"}
    ]


FULL = {
    "slug": "new",
    "runtime": {"middlewares": [{"name": "agentmode", "id": "a", "config": {}}], "step_settings_patch": {}},
    "policy": {},
    "metadata": {},
}


@pytest.mark.parametrize(
    ("place", "unknown", "near"),
    [
        ("", "displayname", "display_name"),
        ("", "Display_Name", "display_name"),
        ("", "slugs", "slug"),
        ("", "extension", "extensions"),
        ("", "set_defualt", "set_default"),
        ("runtime", "systemprompt", "system_prompt"),
        ("runtime", "middleware", "middlewares"),
        ("runtime.middlewares[0]", "configs", "config"),
        ("runtime.middlewares[0]", "Name", "name"),
        ("policy", "readonly", "read_only"),
        ("policy", "allowed_overrides_keys", "allowed_override_keys"),
        ("metadata", "tag", "tags"),
        ("metadata", "create_by", "created_by"),
    ],
)
def test_unknown_field_is_refused_with_its_path_and_the_nearest_name(
    app, expect_problem, nothing_written, place, unknown, near
):
    document = copy.deepcopy(FULL)
    node = document
    for step in steps_of(place) if place else ():
        node = node[step]
    node[unknown] = "x"
    field = f"{place}.{unknown}" if place else unknown
    with nothing_written(app):
        problem = expect_problem(app.post(PROFILES, document), 400, "validation error", field)
    assert problem["errors"][0]["reason"] == f'unknown field; did you mean "{near}"?'


def test_unknown_field_that_is_near_to_nothing_is_told_with_those_there_are(app, expect_problem):
    problem = expect_problem(app.post(PROFILES, {"slug": "x", "zzz": 1}), 400, "validation error", "zzz")

    for name in ("slug", "display_name", "expected_version"):
        assert name in problem["detail"]


def test_several_unknown_fields_are_all_told(app, expect_problem):
    document = {"slug": "x", "one!": 1, "two": {}, "runtime": {"three": 3}}

    expect_problem(app.post(PROFILES, document), 400, "validation error", '["one!"]', "two", "runtime.three")


def test_unknown_fields_of_the_other_requests_are_refused(app, expect_problem, nothing_written):
    with nothing_written(app):
        for method, path in (
            ("POST", f"{AGENT}/default"),
            ("POST", "/api/chat/profile"),
            ("PATCH", "/api/chat/registries/default"),
        ):
            document = {"registri": "x"} | ({"slug": "agent"} if path.endswith("profile") else {})
            expect_problem(app.request(method, path, document), 400, "validation error", "registri")
