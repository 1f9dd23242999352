"""A plugin that was installed and is no more: its profiles stay readable, editable elsewhere, and byte-identical."""

import json

import pytest

import pinocchio_agentmode

PROFILES = "/api/chat/profiles"
USING = f"{PROFILES}/using"
CONFIG = b'{"instances": {"id:a":{"default_mode" : "m\\u00e9"}, "default":{} }}'
BODY = (
    b'{"slug":"using","runtime":{"middlewares":[{"name":"agentmode","id":"a"}]},'
    b'"extensions":{"middleware.agentmode_config@v1":' + CONFIG + b"}}"
)


@pytest.fixture
def database(tmp_path, opened):
    """A database with a profile, `using`, that uses agentmode."""
    path = tmp_path / "profiles.db"
    with opened(path, pinocchio_agentmode) as app:
        assert app.post(PROFILES, BODY).status == 201
    return path


def test_profile_of_a_missing_plugin_is_read_byte_for_byte(database, opened):
    with opened(database, pinocchio_agentmode) as app:
        before = app.get(USING).body
    with opened(database) as app:
        assert app.get(USING).body == before
        assert CONFIG in before
        assert CONFIG in app.get(PROFILES).body
        assert app.get("/api/chat/schemas/middlewares").json == []


def test_profile_of_a_missing_plugin_keeps_its_config_through_other_edits(database, opened):
    with opened(database) as app:
        for document in (
            {"description": "d"},
            {"display_name": "n"},
            {"policy": {"allow_overrides": True}},
            {"metadata": {"tags": ["t"]}},
        ):
            patched = app.patch(USING, document)
            assert patched.status == 200
            assert CONFIG in patched.body
            assert patched.json["runtime"]["middlewares"] == [{"name": "agentmode", "id": "a"}]
        assert app.post(f"{USING}/default").status == 200
    with opened(database, pinocchio_agentmode) as app:
        assert CONFIG in app.get(USING).body


def test_profile_of_a_missing_plugin_may_have_its_extensions_replaced(database, opened):
    with opened(database) as app:
        extensions = {"middleware.agentmode_config@v1": {"instances": {"id:a": {"now": "unchecked"}}}, "a.b@v1": 1}
        assert app.patch(USING, {"extensions": extensions}).json["extensions"] == extensions
        assert "extensions" not in app.patch(USING, {"extensions": {}}).json


def test_missing_plugin_cannot_be_used_anew(database, expect_problem, opened):
    with opened(database) as app:
        runtime = {"middlewares": [{"name": "agentmode", "id": "b"}]}
        for answer in (app.post(PROFILES, {"slug": "new", "runtime": runtime}), app.patch(USING, {"runtime": runtime})):
            problem = expect_problem(answer, 400, "validation error", "runtime.middlewares[0].name")
            assert 'unknown middleware "agentmode"' in problem["detail"]


def test_use_of_a_missing_plugin_can_be_taken_out(database, opened):
    with opened(database) as app:
        patched = app.patch(USING, {"runtime": {}})

        assert (patched.status, patched.json["runtime"]) == (200, {})
        assert CONFIG in patched.body


def test_profile_of_a_missing_plugin_can_be_deleted(database, opened):
    with opened(database) as app:
        assert app.delete(USING).status == 204


def test_document_of_a_profile_whose_plugin_is_back_writes_nothing(database, opened):
    with opened(database) as app:
        document = app.get(USING).json
    with opened(database, pinocchio_agentmode) as app:
        before = app.get(USING).body
        assert app.patch(USING, json.dumps(document, indent=1).encode()).body == before


def test_bootstrap_profiles_do_not_come_back(database, opened):
    with opened(database, pinocchio_agentmode) as app:
        assert app.delete(USING).status == app.delete(f"{PROFILES}/agent").status == 204
    with opened(database, pinocchio_agentmode) as app:
        assert app.get(PROFILES).json == []
