"""Profiles and requests are no place for secrets, and what the server is told of them does not come back."""

import json

import pytest

from pinocchio_core.plugin import EngineDefinition, ExtensionSchema, MiddlewareDefinition, hookimpl
from pinocchio_core.testing import make_app

PROFILES = "/api/chat/profiles"
ONE = f"{PROFILES}/one"
KEY = {"type": "string", "x-secret": True}
SCHEMA = {
    "type": "object",
    "properties": {
        "key": KEY,
        "servers": {"type": "array", "items": {"type": "object", "properties": {"password": KEY}}},
        "n": {"type": "integer"},
    },
    "patternProperties": {"^token_": KEY},
}
SECRET = "hunter2-and-more"  # noqa: S105  planted
BROUGHT = [
    ({"key": SECRET}, ".key"),
    ({"servers": [{}, {"password": SECRET}]}, ".servers[1].password"),
    ({"token_a": SECRET}, ".token_a"),
]


class Vault:
    """A middleware, an extension and an engine with secrets."""

    @hookimpl
    def pinocchio_middleware_definitions(self):
        return [
            MiddlewareDefinition("vault", version=1, config_schema=SCHEMA, build=lambda _: lambda turn, go: go(turn))
        ]

    @hookimpl
    def pinocchio_extension_schemas(self):
        return [ExtensionSchema("acme.vault@v1", SCHEMA)]

    @hookimpl
    def pinocchio_engines(self):
        settings = {"type": "object", "properties": {"safe": SCHEMA}}
        return [EngineDefinition("safe", settings_schema=settings, build=lambda *_: None)]


@pytest.fixture
def app():
    with make_app(Vault) as made:
        assert made.post(PROFILES, {"slug": "one", "runtime": {"middlewares": [{"name": "vault"}]}}).status == 201
        yield made


def uses(config):
    return {"runtime": {"middlewares": [{"name": "vault", "config": config}]}}


@pytest.mark.parametrize(("config", "path"), BROUGHT)
def test_a_secret_in_a_config_is_refused_in_every_write(app, expect_problem, nothing_written, config, path):
    stored = {"extensions": {"middleware.vault_config@v1": {"instances": {"id:nobody": config}}}}
    with nothing_written(app):
        for body, field in ((uses(config), "runtime.middlewares[0].config"), (stored, None)):
            for method, where in (("POST", PROFILES), ("PATCH", ONE), ("PUT", ONE)):
                sent = body | ({"slug": "new"} if method == "POST" else {})
                problem = expect_problem(app.request(method, where, sent), 400, "validation error")
                base = field or 'extensions["middleware.vault_config@v1"].instances["id:nobody"]'
                assert problem["errors"][0]["field"] == f"{base}{path}"
                assert "is a secret" in problem["errors"][0]["reason"]
                assert SECRET not in json.dumps(problem)


@pytest.mark.parametrize(("config", "path"), BROUGHT)
def test_a_secret_in_another_extension_or_in_engine_settings_is_refused(app, expect_problem, config, path):
    told = expect_problem(app.patch(ONE, {"extensions": {"acme.vault@v1": config}}), 400, "validation error")
    settings = {"runtime": {"step_settings_patch": {"safe": config}}}
    of_engine = expect_problem(app.patch(ONE, settings), 400, "validation error")

    assert told["errors"][0]["field"] == f'extensions["acme.vault@v1"]{path}'
    assert of_engine["errors"][0]["field"] == f"runtime.step_settings_patch.safe{path}"
    assert SECRET not in json.dumps([told, of_engine])


@pytest.mark.parametrize(("config", "path"), BROUGHT)
@pytest.mark.parametrize("route", [f"{ONE}/resolve", "/chat/one"])
def test_a_secret_in_overrides_is_refused(app, expect_problem, route, config, path):
    for overrides, base in (
        (uses(config)["runtime"], "overrides.middlewares[0].config"),
        ({"step_settings_patch": {"safe": config}}, "overrides.step_settings_patch.safe"),
    ):
        sent = {"overrides": overrides} | ({"prompt": "x"} if route == "/chat/one" else {})
        problem = expect_problem(app.post(route, sent), 400, "validation error")
        assert [error["field"] for error in problem["errors"]] == [f"{base}{path}"]
        assert SECRET not in json.dumps(problem)


def test_an_empty_place_for_a_secret_is_none(app):
    assert app.patch(ONE, uses({"n": 1, "servers": [{}]})).status == 200
