"""The OpenAPI document and the running app agree: which requests are taken, and what the answers look like."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

import pinocchio_agentmode
from pinocchio_core.bootstrap import More, assemble
from pinocchio_core.domain import limits
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.plugin import hookimpl
from pinocchio_core.service.access.attempts import LIMIT
from pinocchio_core.settings import parse_address
from pinocchio_core.settings.access import parse_access
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.testing import TestApp, make_app
from pinocchio_core.web.browsers import SECURITY_HEADERS
from pinocchio_plugins import calculator, echo, starter_profile, starter_suggestions
from pinocchio_plugins.sqlite import SqlitePlugin

PLUGINS = (SqlitePlugin, starter_profile, starter_suggestions, pinocchio_agentmode, calculator, echo)
OF_EVERY_ANSWER = {name.lower() for name in SECURITY_HEADERS}
PROFILES = "/api/chat/profiles"
REGISTRIES = "/api/chat/registries"
CURRENT = "/api/chat/profile"
BATCH = "/api/chat/batch"


class Faulty:
    @hookimpl
    def pinocchio_validate_profile(self, profile):
        if profile.slug == "boom":
            raise RuntimeError("boom")
        return ()


class Lame:
    @hookimpl
    def pinocchio_startup(self, info):
        raise RuntimeError("lame")


@pytest.fixture
def app():
    with make_app(*PLUGINS) as app:
        yield app


@pytest.fixture
def made(tmp_path):
    """Makes an app that hardly waits for locks, and that may start with faulty plugins."""
    with ExitStack() as stack:

        def make(*plugins, strict=True):
            dsn = parse_dsn(f"file:{tmp_path}/profiles.db?_busy_timeout=1")
            program = assemble(Host(given_plugins(plugins)), dsn, default_registry="default", strict=strict)
            return TestApp(stack.enter_context(closing(program)))

        yield make


@pytest.fixture
def contract(app):
    return Contract(app.get("/openapi.json").json)


class Contract:
    """The document as something to hold answers against."""

    def __init__(self, document):
        self.document = document
        self.closed = _closed(document)
        self.operations = {
            operation["operationId"]: operation for item in document["paths"].values() for operation in item.values()
        }

    def problems(self, schema, value):
        registry = Registry().with_resource("urn:x", Resource(self.closed, DRAFT202012))
        validator = Draft202012Validator(_absolute(schema), registry=registry)
        return [error.message for error in validator.iter_errors(value)]

    def resolved(self, node):
        while "$ref" in node:
            node = _at(self.closed, node["$ref"])
        return node

    def check(self, operation_id, answer):
        """Hold one answer against what the document says of its operation."""
        answers = self.operations[operation_id]["responses"]
        assert str(answer.status) in answers, (operation_id, answer.status, answer.body)
        self.check_against(answers[str(answer.status)], answer)

    def check_against(self, reference, answer):
        response = self.resolved(reference)
        declared = {name.lower(): self.resolved(header) for name, header in response["headers"].items()}
        assert {name for name in declared if declared[name].get("required")} <= answer.headers.keys()
        for name in answer.headers.keys() - {"content-type", "content-length"} - OF_EVERY_ANSWER:
            assert name in declared, f"{name} is not in the document"
            assert not self.problems(declared[name]["schema"], answer.headers[name])
        if "content" not in response:
            assert not answer.body
            return
        media_type = answer.headers["content-type"].partition(";")[0]
        value = answer.body.decode() if media_type.startswith("text/") else answer.json
        assert not self.problems(response["content"][media_type]["schema"], value), answer.body


FAILING = {"step_settings_patch": {"echo": {"fail": "away", "fail-status": 503}}}
VALUES = [None, True, -1, 7, 1.5, "", " ", "text", "a\x00b", "x" * 300, [], ["x"], [""], [7], {}, {"x": 1}, {"x": {}}]
ONE, ONE_REGISTRY = f"{PROFILES}/text", f"{REGISTRIES}/text"
PLACES = {
    "CreateProfile": ("CreateProfile", "POST", PROFILES, lambda sent: {"slug": "new"} | sent),
    "PatchProfile": ("PatchProfile", "PATCH", ONE, lambda sent: sent),
    "ReplaceProfile": ("ReplaceProfile", "PUT", ONE, lambda sent: sent),
    "SetDefault": ("SetDefault", "POST", f"{ONE}/default", lambda sent: sent),
    "BatchRequest": ("BatchRequest", "POST", BATCH, lambda sent: {"writes": [{"op": "patch", "slug": "text"}]} | sent),
    "SentWrite": ("BatchRequest", "POST", BATCH, lambda sent: {"writes": [{"op": "patch", "slug": "text"} | sent]}),
    "ResolveProfile": ("ResolveProfile", "POST", f"{ONE}/resolve", lambda sent: sent),
    "ChatRequest": ("ChatRequest", "POST", "/chat", lambda sent: {"prompt": "hello"} | sent),
    "RestoreRevision": ("RestoreRevision", "POST", f"{ONE}/revisions/1/restore", lambda sent: sent),
    "PutLabel": ("PutLabel", "PUT", f"{ONE}/labels/beta", lambda sent: {"version": 1} | sent),
    "ChooseProfile": ("ChooseProfile", "POST", CURRENT, lambda sent: {"slug": "text"} | sent),
    "CreateRegistry": ("CreateRegistry", "POST", REGISTRIES, lambda sent: {"slug": "new"} | sent),
    "PatchRegistry": ("PatchRegistry", "PATCH", ONE_REGISTRY, lambda sent: sent),
    "RuntimeInput": ("PatchProfile", "PATCH", ONE, lambda sent: {"runtime": sent}),
    "PolicyInput": ("PatchProfile", "PATCH", ONE, lambda sent: {"policy": sent}),
    "MetadataInput": ("PatchProfile", "PATCH", ONE, lambda sent: {"metadata": sent}),
    "MiddlewareUseInput": (
        "PatchProfile",
        "PATCH",
        ONE,
        lambda sent: {"runtime": {"middlewares": [{"name": "agentmode"} | sent]}},
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_openapi_request_schema_refuses_what_the_app_refuses(app, contract, name):
    schema, method, path, body = PLACES[name]
    assert app.post(PROFILES, {"slug": "text"}).status == 201
    assert app.post(REGISTRIES, {"slug": "text"}).status == 201
    differences = []
    for field in [*contract.document["components"]["schemas"][name]["properties"], "unheard_of"]:
        for value in VALUES:
            sent = body({field: value})
            refused = app.request(method, path, sent).status == 400
            if refused != bool(contract.problems({"$ref": f"#/components/schemas/{schema}"}, sent)):
                differences.append((field, value, "refused" if refused else "taken"))
            app.patch(ONE, {"policy": {"read_only": False}})

    assert differences == ONLY_THE_CATALOG_REFUSES.get(name, [])


ONLY_THE_CATALOG_REFUSES = {
    "RuntimeInput": [("tools", ["x"], "refused")],
    # what a document may be depends on the op
    "SentWrite": [("document", value, "refused") for value in ({"x": 1}, {"x": {}})],
    "MiddlewareUseInput": [
        ("name", "text", "refused"),
        ("config", {"x": 1}, "refused"),
        ("config", {"x": {}}, "refused"),
    ],
}


def test_openapi_examples_fit_their_schemas(contract):
    seen = [
        (name, contract.problems(media["schema"], contract.resolved(example)["value"]))
        for media in _media_types(contract.document)
        for name, example in media.get("examples", {}).items()
    ]

    assert {name for name, _ in seen} == set(contract.document["components"]["examples"])
    assert [each for each in seen if each[1]] == []


def test_openapi_examples_are_what_the_app_answers(app, contract):
    examples = {name: example["value"] for name, example in contract.document["components"]["examples"].items()}
    anonymous = {"request_id": ""}
    no_middleware = app.post(PROFILES, examples["CreateWithUnknownMiddleware"]).json
    no_config = app.post(PROFILES, examples["CreateWithInvalidConfig"]).json
    no_profile = app.get(f"{PROFILES}/analyst").json

    assert no_middleware | anonymous == examples["UnknownMiddleware"] | anonymous
    assert no_config | anonymous == examples["InvalidConfig"] | anonymous
    assert no_profile | anonymous == examples["ProfileNotFound"] | anonymous
    assert app.get(PROFILES).json == examples["AllProfiles"]
    assert app.post(PROFILES, examples["CreateAnalyst"]).json | {"metadata": {}} == examples["Analyst"] | {
        "metadata": {}
    }
    assert examples["AgentmodeSchema"][0] in app.get("/api/chat/schemas/middlewares").json


def test_openapi_responses_are_what_the_app_answers(app, contract):
    read_only = {"slug": "locked", "policy": {"read_only": True}}
    whole = {
        "slug": "whole",
        "display_name": "Whole",
        "description": "Everything",
        "runtime": {"system_prompt": "p", "tools": ["calculator"], "step_settings_patch": {"a": {"b": 1}}},
        "policy": {"allowed_override_keys": ["x"], "denied_override_keys": ["y"]},
        "metadata": {"tags": ["t"]},
        "extensions": {"acme.kept@v1": [1], starter_suggestions.KEY: {"items": ["a"]}},
    }
    conversation = [
        ("createProfile", "POST", PROFILES, whole, {}, 201),
        ("createProfile", "POST", PROFILES, whole, {}, 409),
        ("createProfile", "POST", PROFILES, whole, {"if_none_match": "*"}, 412),
        ("createProfile", "POST", PROFILES, {"slug": "x", "a": 1, "b": 2}, {}, 400),
        ("createProfile", "POST", f"{PROFILES}?registry=nope", {"slug": "x"}, {}, 404),
        ("createProfile", "POST", PROFILES, {"slug": "x"}, {"content_type": "text/plain"}, 415),
        ("createProfile", "POST", PROFILES, b" " * (limits.MAX_BODY_BYTES + 1), {}, 413),
        ("createProfile", "POST", PROFILES, read_only, {}, 201),
        ("listProfiles", "GET", PROFILES, None, {}, 200),
        ("listProfiles", "GET", f"{PROFILES}?limit=1", None, {}, 200),
        ("listProfiles", "GET", f"{PROFILES}?limit=0", None, {}, 400),
        ("readProfile", "GET", f"{PROFILES}/whole", None, {}, 200),
        ("readProfile", "GET", f"{PROFILES}/whole", None, {"if_none_match": "*"}, 304),
        ("readProfile", "GET", f"{PROFILES}/nope", None, {}, 404),
        ("readProfile", "GET", f"{PROFILES}/whole?raw=true", None, {}, 200),
        ("readProfile", "GET", f"{PROFILES}/whole?raw=1", None, {}, 400),
        ("replaceProfile", "PUT", f"{PROFILES}/whole", whole, {}, 200),
        ("replaceProfile", "PUT", f"{PROFILES}/nope", {}, {}, 404),
        ("replaceProfile", "PUT", f"{PROFILES}/whole", {"slug": "other"}, {}, 400),
        ("replaceProfile", "PUT", f"{PROFILES}/locked", {}, {}, 403),
        ("replaceProfile", "PUT", f"{PROFILES}/whole", {"expected_version": 9}, {}, 409),
        ("replaceProfile", "PUT", f"{PROFILES}/whole", {}, {"if_match": '"old"'}, 412),
        ("patchProfile", "PATCH", f"{PROFILES}/whole", {"display_name": ""}, {}, 200),
        ("patchProfile", "PATCH", f"{PROFILES}/whole", {"expected_version": 9}, {}, 409),
        ("patchProfile", "PATCH", f"{PROFILES}/whole", {}, {"if_match": '"old"'}, 412),
        ("patchProfile", "PATCH", f"{PROFILES}/locked", {"description": "x"}, {}, 403),
        ("putLabel", "PUT", f"{PROFILES}/whole/labels/beta", {"version": 1, "reason": "r"}, {}, 201),
        ("putLabel", "PUT", f"{PROFILES}/whole/labels/beta", {"version": 2, "protected": True}, {}, 200),
        ("putLabel", "PUT", f"{PROFILES}/whole/labels/7", {"version": 1}, {}, 400),
        ("putLabel", "PUT", f"{PROFILES}/whole/labels/beta", {"version": 99}, {}, 404),
        ("putLabel", "PUT", f"{PROFILES}/whole/labels/beta", {"version": 1, "expected_version": 9}, {}, 409),
        ("putLabel", "PUT", f"{PROFILES}/whole/labels/beta", {"version": 1}, {"if_match": '"old"'}, 412),
        ("putLabel", "PUT", f"{PROFILES}/whole/labels/beta?dry_run=true", {"version": 1}, {}, 200),
        ("deleteLabel", "DELETE", f"{PROFILES}/whole/labels/beta?dry_run=true", None, {}, 200),
        ("listLabels", "GET", f"{PROFILES}/whole/labels", None, {}, 200),
        ("readLabel", "GET", f"{PROFILES}/whole/labels/beta", None, {}, 200),
        ("readLabel", "GET", f"{PROFILES}/whole/labels/beta", None, {"if_none_match": "*"}, 304),
        ("readLabel", "GET", f"{PROFILES}/whole/labels/nope", None, {}, 404),
        ("deleteProfile", "DELETE", f"{PROFILES}/whole?force=1", None, {}, 400),
        ("readRevision", "GET", f"{PROFILES}/whole/revisions/beta", None, {}, 200),
        ("readProfile", "GET", f"{PROFILES}/whole@beta", None, {}, 200),
        ("deleteLabel", "DELETE", f"{PROFILES}/whole/labels/beta?expected_version=9", None, {}, 409),
        ("deleteLabel", "DELETE", f"{PROFILES}/whole/labels/beta?reason=r", None, {}, 204),
        ("putLabel", "PUT", f"{PROFILES}/agent/labels/beta", {"version": 1}, {}, 201),
        ("deleteProfile", "DELETE", f"{PROFILES}/agent", None, {}, 409),
        ("deleteLabel", "DELETE", f"{PROFILES}/agent/labels/beta", None, {}, 204),
        ("restoreRevision", "POST", f"{PROFILES}/whole/revisions/1/restore", {"reason": "r"}, {}, 200),
        ("restoreRevision", "POST", f"{PROFILES}/whole/revisions/0/restore", None, {}, 400),
        ("restoreRevision", "POST", f"{PROFILES}/whole/revisions/99/restore", None, {}, 404),
        ("restoreRevision", "POST", f"{PROFILES}/whole/revisions/1/restore", {"expected_version": 1}, {}, 409),
        ("restoreRevision", "POST", f"{PROFILES}/whole/revisions/1/restore", None, {"if_match": '"old"'}, 412),
        ("restoreRevision", "POST", f"{PROFILES}/locked/revisions/1/restore", None, {}, 403),
        ("createProfile", "POST", PROFILES, {"slug": "gone"}, {}, 201),
        ("deleteProfile", "DELETE", f"{PROFILES}/gone", None, {}, 204),
        ("restoreRevision", "POST", f"{PROFILES}/gone/revisions/1/restore", None, {}, 201),
        ("listRevisions", "GET", f"{PROFILES}/whole/revisions?limit=1", None, {}, 200),
        ("listRevisions", "GET", f"{PROFILES}/whole/revisions?limit=0&before=x", None, {}, 400),
        ("listRevisions", "GET", f"{PROFILES}/nope/revisions", None, {}, 404),
        ("readRevision", "GET", f"{PROFILES}/whole/revisions/1", None, {}, 200),
        ("readRevision", "GET", f"{PROFILES}/whole/revisions/1", None, {"if_none_match": "*"}, 304),
        ("readRevision", "GET", f"{PROFILES}/whole/revisions/0", None, {}, 400),
        ("readRevision", "GET", f"{PROFILES}/whole/revisions/99", None, {}, 404),
        ("diffRevisions", "GET", f"{PROFILES}/whole/diff", None, {}, 200),
        ("diffRevisions", "GET", f"{PROFILES}/whole/diff?from=!", None, {}, 400),
        ("diffRevisions", "GET", f"{PROFILES}/whole/diff?to=nothing", None, {}, 404),
        ("resolveProfile", "POST", f"{PROFILES}/agent/resolve", {"explain": True}, {}, 200),
        ("resolveProfile", "POST", f"{PROFILES}/agent/resolve", None, {}, 200),
        ("resolveProfile", "POST", f"{PROFILES}/nope/resolve", {}, {}, 404),
        ("resolveProfile", "POST", f"{PROFILES}/whole/resolve", {"overrides": []}, {}, 400),
        ("chat", "POST", "/chat", {"prompt": "hello", "conv_id": "c"}, {}, 200),
        ("chat", "POST", "/chat", {"prompt": "hello", "stream": True}, {}, 200),
        ("chat", "POST", "/chat", {"prompt": " "}, {}, 400),
        ("chatWithProfile", "POST", "/chat/agent", {"prompt": "hello"}, {}, 200),
        ("chatWithProfile", "POST", "/chat/nope", {"prompt": "hello"}, {}, 404),
        ("chatWithProfile", "POST", "/chat/agent", {"prompt": "x", "overrides": FAILING}, {}, 502),
        ("listConversations", "GET", "/api/chat/conversations", None, {}, 200),
        ("readConversation", "GET", "/api/chat/conversations/c", None, {}, 200),
        ("readConversation", "GET", "/api/chat/conversations/nope", None, {}, 404),
        ("deleteConversation", "DELETE", "/api/chat/conversations/c", None, {}, 204),
        ("deleteConversation", "DELETE", "/api/chat/conversations/c", None, {}, 404),
        ("listChanges", "GET", "/api/chat/changes", None, {}, 200),
        ("listChanges", "GET", "/api/chat/changes?after=x", None, {}, 400),
        ("listChanges", "GET", "/api/chat/changes?after=999", None, {}, 410),
        ("listProfiles", "GET", f"{PROFILES}?limit=1&middleware=sqlite&changed_since=1", None, {}, 200),
        ("listRegistries", "GET", f"{REGISTRIES}?limit=1", None, {}, 200),
        ("listEngineSchemas", "GET", "/api/chat/schemas/engines", None, {}, 200),
        ("setDefaultProfile", "POST", f"{PROFILES}/whole/default", None, {}, 200),
        ("setDefaultProfile", "POST", f"{PROFILES}/agent/default", {"expected_version": 1}, {}, 409),
        ("createProfile", "POST", f"{PROFILES}?dry_run=true", {"slug": "tried"}, {}, 200),
        ("patchProfile", "PATCH", f"{PROFILES}/whole?dry_run=true", {"description": "d"}, {}, 200),
        ("replaceProfile", "PUT", f"{PROFILES}/whole?dry_run=true", {}, {}, 200),
        ("deleteProfile", "DELETE", f"{PROFILES}/agent?dry_run=true", None, {}, 200),
        ("deleteProfile", "DELETE", f"{PROFILES}/agent?dry_run=1", None, {}, 400),
        ("setDefaultProfile", "POST", f"{PROFILES}/agent/default?dry_run=true", None, {}, 200),
        ("createRegistry", "POST", f"{REGISTRIES}?dry_run=true", {"slug": "tried"}, {}, 200),
        ("patchRegistry", "PATCH", f"{REGISTRIES}/default?dry_run=true", {"description": "d"}, {}, 200),
        ("patchProfile", "PATCH", f"{PROFILES}/whole", {"description": "d", "expected_version": 1}, {}, 409),
        ("writeProfiles", "POST", BATCH, {"writes": [{"op": "patch", "slug": "whole"}]}, {}, 200),
        ("writeProfiles", "POST", f"{BATCH}?dry_run=true", {"writes": [{"op": "delete", "slug": "agent"}]}, {}, 200),
        ("writeProfiles", "POST", BATCH, {"writes": [{"op": "delete", "slug": "nope"}]}, {}, 404),
        ("writeProfiles", "POST", BATCH, {"writes": [{"op": "create", "slug": "whole"}]}, {}, 409),
        ("writeProfiles", "POST", BATCH, {"writes": []}, {}, 400),
        ("deleteProfile", "DELETE", f"{PROFILES}/whole", None, {}, 409),
        ("deleteProfile", "DELETE", f"{PROFILES}/agent", None, {}, 204),
        ("readCurrentProfile", "GET", CURRENT, None, {}, 200),
        ("chooseCurrentProfile", "POST", CURRENT, {"slug": "whole"}, {}, 200),
        ("chooseCurrentProfile", "POST", CURRENT, {"slug": "nope"}, {}, 404),
        ("createRegistry", "POST", REGISTRIES, {"slug": "team", "metadata": {"tags": ["t"]}}, {}, 201),
        ("createRegistry", "POST", REGISTRIES, {"slug": "team"}, {}, 409),
        ("listRegistries", "GET", REGISTRIES, None, {}, 200),
        ("listRegistries", "GET", f"{REGISTRIES}?limit=0", None, {}, 400),
        ("readRegistry", "GET", f"{REGISTRIES}/team", None, {}, 200),
        ("patchRegistry", "PATCH", f"{REGISTRIES}/team", {"description": "ours"}, {}, 200),
        ("deleteRegistry", "DELETE", f"{REGISTRIES}/default", None, {}, 409),
        ("deleteRegistry", "DELETE", f"{REGISTRIES}/team", None, {}, 204),
        ("listMiddlewareSchemas", "GET", "/api/chat/schemas/middlewares", None, {}, 200),
        ("listExtensionSchemas", "GET", "/api/chat/schemas/extensions", None, {}, 200),
        ("listPlugins", "GET", "/api/chat/plugins", None, {}, 200),
        ("listPlugins", "GET", "/api/chat/plugins", None, {"if_none_match": "broken"}, 400),
        ("readHealth", "GET", "/healthz", None, {}, 200),
        ("readReadiness", "GET", "/readyz", None, {}, 200),
        ("readMetrics", "GET", "/metrics", None, {}, 200),
        ("readOpenapi", "GET", "/openapi.json", None, {}, 200),
    ]
    for operation_id, method, path, body, headers, status in conversation:
        answer = app.request(method, path, body, **headers)
        assert answer.status == status, (operation_id, answer)
        contract.check(operation_id, answer)

    answered = {step[0] for step in conversation if step[-1] < 300}
    assert answered == set(contract.operations)


def test_openapi_responses_cover_faults(made, contract):
    app = made(Faulty, starter_profile)
    contract.check("createProfile", boom := app.post(PROFILES, {"slug": "boom"}))
    with app.program.store.write():
        contract.check("deleteProfile", busy := app.delete(f"{PROFILES}/default"))
        app.program.store.database.run("UPDATE profiles SET payload_json = '{}'")
        app.program.store.database.run("UPDATE profile_registries SET payload_json = '{}'")
    contract.check("readProfile", damaged := app.get(f"{PROFILES}/default"))
    contract.check("readRegistry", quarantined := app.get(f"{REGISTRIES}/default"))
    contract.check_against({"$ref": "#/components/responses/MethodNotAllowed"}, wrong := app.request("PUT", PROFILES))

    assert (boom.status, busy.status, damaged.status, wrong.status) == (500, 503, 409, 405)
    assert quarantined.json["state"] == "quarantined"


def test_openapi_responses_cover_refusals_of_access(tmp_path, contract):
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    more = More(access=parse_access(parse_address(":0"), tokens, [], [], insecure=False))
    dsn = parse_dsn(f"{tmp_path}/profiles.db")
    with closing(assemble(Host(given_plugins(PLUGINS)), dsn, default_registry="default", more=more)) as program:
        app = TestApp(program)
        refused = [app.get(PROFILES), app.post("/chat"), app.post(PROFILES, origin="null")]
        refused += [app.get(PROFILES, host="evil.example"), app.get("/healthz", host="evil.example")]
        refused += [app.get(PROFILES, authorization="Bearer x") for _ in range(LIMIT + 1)]
    operations = ["listProfiles", "chat", "createProfile", "listProfiles", "readHealth"]
    operations += ["listProfiles"] * (LIMIT + 1)

    for operation_id, answer in zip(operations, refused, strict=True):
        contract.check(operation_id, answer)
    assert [answer.status for answer in refused] == [401, 401, 403, 421, 421, *[401] * LIMIT, 429]


def test_openapi_readiness_covers_faulty_plugins(made, contract):
    answer = made(Lame, strict=False).get("/readyz")

    assert answer.status == 503
    contract.check("readReadiness", answer)


def _media_types(node) -> Iterator[dict]:
    if isinstance(node, dict):
        yield from node.get("content", {}).values()
        for child in node.values():
            yield from _media_types(child)


def _closed(node):
    """The document with every object of known properties refusing others, to find what it forgets."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: value if key in ("examples", "example") else _closed(value) for key, value in node.items()}
    return {"additionalProperties": False} | closed if node.get("type") == "object" and "properties" in node else closed


def _absolute(schema):
    """The schema with its references leading into the document from outside."""
    if isinstance(schema, dict):
        return {key: f"urn:x{value}" if key == "$ref" else _absolute(value) for key, value in schema.items()}
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema


def _at(document, reference):
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document
