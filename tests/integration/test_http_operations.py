"""What may be used, and how the server is."""

import json
import re

import pytest
from jsonschema import Draft202012Validator

from pinocchio_core.bootstrap import assemble
from pinocchio_core.domain.slugs import trim
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.plugin import ExtensionSchema, MiddlewareDefinition, hookimpl
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp, make_app

PROFILES = "/api/chat/profiles"


class Shouting:
    """A plugin with one middleware that says as little of itself as possible, and one extension."""

    @hookimpl
    def pinocchio_middleware_definitions(self):
        yield MiddlewareDefinition(
            "shout", {"type": "object", "title": "Shout!", "required": ["times"]}, dict, version=7
        )
        yield MiddlewareDefinition("bare", {}, dict)

    @hookimpl
    def pinocchio_extension_schemas(self):
        yield ExtensionSchema("Acme.Badge@v2", {"type": "object", "minProperties": 1})


class Broken:
    """A plugin that cannot be started."""

    @hookimpl
    def pinocchio_startup(self, info):
        raise RuntimeError("out of order")


def test_middleware_schemas_are_listed_by_name_with_all_five_fields(app):
    answer = app.get("/api/chat/schemas/middlewares")

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert [item["name"] for item in answer.json] == ["agentmode", "sqlite"]
    for item in answer.json:
        assert list(item) == ["name", "version", "display_name", "description", "schema"]
        Draft202012Validator.check_schema(item["schema"])
    agentmode = answer.json[0]
    assert (agentmode["version"], agentmode["display_name"]) == (1, "Agent Mode")
    assert agentmode["schema"]["properties"] == {"default_mode": {"type": "string", "default": "default"}}


def test_middleware_that_says_little_of_itself_has_all_five_fields_too():
    with make_app(Shouting) as app:
        bare, shout = app.get("/api/chat/schemas/middlewares").json

    assert bare == {"name": "bare", "version": 1, "display_name": "bare", "description": "", "schema": {}}
    assert (shout["display_name"], shout["description"], shout["version"]) == ("Shout!", "", 7)


def test_extension_schemas_are_listed_by_key_with_those_of_middlewares():
    with make_app(Shouting) as app:
        listed = app.get("/api/chat/schemas/extensions").json
        config_schema = app.get("/api/chat/schemas/middlewares").json[1]["schema"]

    keys = ["acme.badge@v2", "middleware.bare_config@v1", "middleware.shout_config@v7"]
    assert [item["key"] for item in listed] == keys
    assert all(list(item) == ["key", "schema"] for item in listed)
    assert listed[2]["schema"] == {
        "type": "object",
        "properties": {"instances": {"type": "object", "additionalProperties": config_schema}},
        "required": ["instances"],
        "additionalProperties": False,
    }


def test_schemas_that_are_served_are_those_that_are_enforced(expect_problem):
    with make_app(Shouting) as app:
        expect_problem(
            app.post(PROFILES, {"slug": "x", "extensions": {"acme.badge@v2": {}}}),
            400,
            "validation error",
            'extensions["acme.badge@v2"]',
        )
        uses = {"middlewares": [{"name": "shout"}]}
        answer = app.post(PROFILES, {"slug": "x", "runtime": uses})
        expect_problem(answer, 400, "validation error", "runtime.middlewares[0].config")
        uses["middlewares"][0]["config"] = {"times": "as published, of any type"}
        assert app.post(PROFILES, {"slug": "x", "runtime": uses}).status == 201


@pytest.mark.parametrize("kind", ["middlewares", "extensions"])
def test_schemas_are_empty_arrays_without_plugins(kind):
    with make_app() as app:
        assert app.get(f"/api/chat/schemas/{kind}").body == b"[]"


def test_plugins_are_listed_with_origin_and_contributions(app):
    listed = app.get("/api/chat/plugins").json
    members = {"name", "target", "distribution", "version", "status", "detail", "hooks", "contributes"}

    assert [plugin["name"] for plugin in listed] == [
        "SqlitePlugin",
        "starter_profile",
        "starter_suggestions",
        "pinocchio_agentmode",
        "calculator",
        "echo",
        "Tools",
    ]
    assert all(plugin.keys() == members for plugin in listed)
    assert {plugin["status"] for plugin in listed} == {"active"}
    assert listed[3]["contributes"]["middlewares"] == ["agentmode"]
    assert listed[3]["contributes"]["extensions"] == [
        "middleware.agentmode_config@v1",
        "agentmode.modes@v1",
    ]
    assert "pinocchio_bootstrap_profiles" in listed[3]["hooks"]


def test_health_says_that_the_process_is_up(app):
    assert (app.get("/healthz").status, app.get("/healthz").json) == (200, {"status": "ok"})


def test_readiness_says_that_all_is_well(app):
    assert (app.get("/readyz").status, app.get("/readyz").json) == (200, {"status": "ok", "reasons": []})


def test_readiness_names_a_plugin_that_failed(tmp_path, shipped):
    host = Host(given_plugins([*shipped, Broken]))
    program = assemble(host, dsn_of_path(str(tmp_path / "p.db")), default_registry="default", strict=False)
    try:
        app = TestApp(program)
        ready = app.get("/readyz")
        broken = app.get("/api/chat/plugins").json[-1]
        gauge = app.get("/metrics").body
        assert app.get("/healthz").status == app.get(PROFILES).status == 200
    finally:
        program.close()
    assert (ready.status, ready.json["status"]) == (503, "degraded")
    assert "Broken (given 0)" in ready.json["reasons"][0]
    assert (broken["status"], "out of order" in broken["detail"]) == ("contribution_failed", True)
    assert b"pinocchio_plugin_faults 1.0" in gauge


def test_metrics_count_requests_by_route_and_writes_by_kind(app):
    app.post(PROFILES, {"slug": "x"})
    app.get(f"{PROFILES}/x")
    app.get(f"{PROFILES}/nobody")
    app.get("/somewhere/else")
    answer = app.get("/metrics")

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.body.decode()
    assert 'pinocchio_writes_total{op="create"} 1.0' in text
    counted = "pinocchio_http_request_duration_seconds_count"
    assert f'{counted}{{method="GET",route="/api/chat/profiles/{{slug}}",status="200"}} 1.0' in text
    assert f'{counted}{{method="GET",route="/api/chat/profiles/{{slug}}",status="404"}} 1.0' in text
    assert "nobody" not in text
    assert "somewhere" not in text


def test_metrics_do_not_grow_with_what_clients_make_up(app):
    for made_up in range(5):
        app.request(f"MADEUP{made_up}", PROFILES)
        app.get(f"/made/up/{made_up}")

    assert b"MADEUP" not in app.get("/metrics").body


def test_metrics_count_writes_that_were_refused_as_stale(app):
    app.patch(f"{PROFILES}/agent", {"description": "d", "expected_version": 9})

    assert b"pinocchio_write_conflicts_total 1.0" in app.get("/metrics").body


def test_metrics_count_no_write_where_nothing_was_written(app):
    app.patch(f"{PROFILES}/agent", {})

    assert b'op="update"' not in app.get("/metrics").body


def test_openapi_describes_this_version_under_this_prefix(app):
    answer = app.get("/openapi.json")

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    document = json.loads(answer.body)
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/"}]


def test_prefix_is_in_front_of_every_route_and_of_every_address_given_out(tmp_path, shipped, expect_problem):
    host = Host(given_plugins(shipped))
    program = assemble(host, dsn_of_path(str(tmp_path / "p.db")), default_registry="default", root="/pin")
    try:
        app = TestApp(program)
        assert app.post(f"/pin{PROFILES}", {"slug": "x"}).headers["location"] == f"/pin{PROFILES}/x"
        created = app.post("/pin/api/chat/registries", {"slug": "team"})
        assert created.headers["location"] == "/pin/api/chat/registries/team"
        assert app.get(f"/pin{PROFILES}?limit=1").headers["link"].startswith(f"</pin{PROFILES}?")
        assert app.get("/pin/openapi.json").json["servers"] == [{"url": "/pin"}]
        assert app.get("/pin/healthz").status == 200
        expect_problem(app.get(PROFILES), 404, "not found")
    finally:
        program.close()


def test_openapi_calls_the_same_characters_white_space_as_the_server(app):
    document = app.get("/openapi.json").json
    _, blank = document["components"]["parameters"]["Limit"]["schema"]["anyOf"]
    assert {chr(n) for n in range(0x10000) if re.fullmatch(blank["pattern"], chr(n))} == {
        chr(n) for n in range(0x10000) if not trim(chr(n))
    }
    assert not re.search(r"\\\\[sS]", app.get("/openapi.json").body.decode())
