"""The OpenAPI document, the router, the decoder of requests and real answers all say the same."""

import re
from contextlib import closing

import falcon.inspect
import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import pinocchio_agentmode
from pinocchio_core.bootstrap import assemble, version
from pinocchio_core.domain import limits
from pinocchio_core.domain.configs import SentUse
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.plugin import hookimpl
from pinocchio_core.service.checking import requests
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp, make_app
from pinocchio_plugins import calculator, echo, starter_profile, starter_suggestions
from pinocchio_plugins.sqlite import SqlitePlugin

PLUGINS = (SqlitePlugin, starter_profile, starter_suggestions, pinocchio_agentmode, calculator, echo)

BODIES = {
    "CreateProfile": requests.CreateProfile,
    "PatchProfile": requests.PatchProfile,
    "ReplaceProfile": requests.ReplaceProfile,
    "SetDefault": requests.SetDefault,
    "BatchRequest": requests.BatchRequest,
    "SentWrite": requests.SentWrite,
    "ResolveProfile": requests.ResolveProfile,
    "ChatRequest": requests.ChatRequest,
    "ChooseProfile": requests.ChooseProfile,
    "PutLabel": requests.PutLabel,
    "RestoreRevision": requests.RestoreRevision,
    "CreateRegistry": requests.CreateRegistry,
    "PatchRegistry": requests.PatchRegistry,
    "RuntimeInput": requests.SentRuntime,
    "BaseInput": requests.SentBase,
    "PolicyInput": requests.SentPolicy,
    "MetadataInput": requests.SentMetadata,
    "MiddlewareUseInput": SentUse,
}


@pytest.fixture
def app():
    with make_app(*PLUGINS) as made:
        yield made


@pytest.fixture
def document(app):
    return app.get("/openapi.json").json


def test_openapi_document_is_valid(document):
    OpenAPIV31SpecValidator(document).validate()

    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == version()
    assert document["servers"] == [{"url": "/"}]


def test_openapi_document_names_the_prefix_it_is_served_under(tmp_path):
    dsn = dsn_of_path(str(tmp_path / "profiles.db"))
    with closing(assemble(Host(given_plugins([])), dsn, default_registry="default", root="/x")) as program:
        app = TestApp(program)
        document = app.get("/x/openapi.json").json

    assert document["servers"] == [{"url": "/x"}]
    assert {f"/x{path}" for path in document["paths"]} == {path for path, _ in _routes(app)}


def test_openapi_document_has_every_route_and_no_other(app, document):
    described = {(path, method.upper()) for path, item in document["paths"].items() for method in item}

    assert described == _routes(app)


def test_openapi_operations_are_told_apart_and_explained(document):
    parameters = document["components"]["parameters"]
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]

    assert len(ids) == len(set(ids))
    for path, operation in [(path, each) for path, item in document["paths"].items() for each in item.values()]:
        assert operation["summary"]
        assert operation["description"].endswith(".")
        assert operation["tags"][0] in [tag["name"] for tag in document["tags"]]
        named = [parameters[parameter["$ref"].rpartition("/")[2]] for parameter in operation["parameters"]]
        assert re.findall(r"{(\w+)}", path) == [each["name"] for each in named if each["in"] == "path"]
        assert "X-Request-Id" in [each["name"] for each in named]


@pytest.mark.parametrize("name", BODIES)
def test_openapi_request_schema_has_the_fields_that_are_decoded(document, name):
    schema = document["components"]["schemas"][name]

    assert set(schema["properties"]) == {field.encode_name for field in msgspec.structs.fields(BODIES[name])}
    assert schema["additionalProperties"] is False


def test_openapi_request_schemas_have_the_limits_of_the_domain(document):
    schemas = document["components"]["schemas"]
    runtime, policy = schemas["RuntimeInput"]["properties"], schemas["PolicyInput"]["properties"]

    assert runtime["middlewares"]["maxItems"] == limits.MAX_MIDDLEWARES
    assert runtime["extends"]["maxItems"] == limits.MAX_EXTENDS
    assert runtime["tools"]["maxItems"] == limits.MAX_TOOLS
    assert {policy[f"{kind}_override_keys"]["maxItems"] for kind in ("allowed", "denied")} == {limits.MAX_OVERRIDE_KEYS}
    assert schemas["MetadataInput"]["properties"]["tags"]["maxItems"] == limits.MAX_TAGS
    assert schemas["ExtensionsInput"]["maxProperties"] == limits.MAX_EXTENSIONS
    assert schemas["NameInput"]["maxLength"] == limits.MAX_NAME_LENGTH
    assert schemas["MiddlewareUseInput"]["properties"]["id"]["maxLength"] == limits.MAX_NAME_LENGTH
    assert schemas["PatchProfile"]["properties"]["display_name"]["maxLength"] == limits.MAX_DISPLAY_NAME_LENGTH
    assert schemas["ExpectedVersion"]["maximum"] == limits.MAX_INTEGER
    assert schemas["BatchRequest"]["properties"]["writes"]["maxItems"] == limits.MAX_BATCH
    assert schemas["Reason"]["maxLength"] == limits.MAX_REASON_LENGTH
    for name in ("Limit", "PageLimit"):
        sent, _blank = document["components"]["parameters"][name]["schema"]["anyOf"]
        assert sent["maximum"] == limits.MAX_PAGE
    for bound in (limits.MAX_BODY_BYTES, limits.MAX_NODES, limits.MAX_DEPTH):
        assert str(bound) in document["info"]["description"]


def test_openapi_parameters_that_may_be_blank_let_a_blank_pass(document):
    parameters = document["components"]["parameters"]
    blank = {
        name: each["schema"] for name, each in parameters.items() if "lank counts as absent" in each["description"]
    }

    refusing = [name for name, schema in blank.items() if not Draft202012Validator(schema).is_valid(" ")]

    assert blank
    assert not refusing


def test_openapi_problem_of_a_fraction_names_its_field(app):
    answer = app.post("/api/chat/profiles", b'{"slug": "x", "expected_version": 1.0}')

    assert [problem["field"] for problem in answer.json["errors"]] == ["expected_version"]


def test_openapi_refused_default_stays_what_it_was(app):
    with app.program.store.write():
        app.program.store.database.run("UPDATE profiles SET payload_json = '{}' WHERE slug = 'agent'")

    assert app.post("/api/chat/profiles/agent/default").status == 409
    assert app.get("/api/chat/registries/default").json["default_profile_slug"] == "default"


class Faulty:
    @hookimpl
    def pinocchio_validate_profile(self, profile):
        raise RuntimeError("boom")


def test_openapi_request_id_of_a_plugin_fault_is_in_the_log(caplog):
    with make_app(Faulty) as app:
        answer = app.post("/api/chat/profiles", {"slug": "x"})

    assert answer.status == 500
    assert answer.json["request_id"] in caplog.text


def _routes(app) -> set[tuple[str, str]]:
    return {
        (route.path, method.method)
        for route in falcon.inspect.inspect_app(app.program.app).routes
        for method in route.methods
        if not method.internal and method.method not in ("HEAD", "OPTIONS")
    }
