"""What the server is told in confidence is in no answer, no log, no output of a command and no file of its own."""

import hashlib
import json
import re

import pytest

SOURCE = """
import hashlib
from pinocchio_core.plugin import MiddlewareDefinition, hookimpl

KEY = {"type": "string", "x-secret": True, "pattern": "^planted"}
SCHEMA = {"type": "object", "additionalProperties": False, "properties": {
    "file": KEY, "variable": KEY, "option": KEY, "nested": {"type": "object", "properties": {"list": {"type": "array",
    "items": {"type": "object", "properties": {"password": KEY}}}}}}}

def build(config):
    told = [config["file"], config["variable"], config["option"], config["nested"]["list"][0]["password"]]
    mark = hashlib.sha256("".join(told).encode()).hexdigest()
    def middleware(turn, go):
        if "fall over" in turn.blocks[-1].text:
            raise RuntimeError("as asked")
        return go(turn).replace(state={"knows": mark})
    return middleware

@hookimpl
def pinocchio_middleware_definitions():
    return [MiddlewareDefinition("vault", version=1, config_schema=SCHEMA, build=build)]
"""
PLANTED = {name: f"planted-{name}-5ecret-0f-the-server" for name in ("file", "variable", "option", "nested", "key")}
TOML = f"""
[middlewares.vault]
file = "{PLANTED["file"]}"
nested = {{ list = [ {{ password = "{PLANTED["nested"]}" }} ] }}
"""
PROFILES = "/api/chat/profiles"


@pytest.fixture
def told(distribution, tmp_path):
    """What the server is told: `(options, variables)`."""
    config = tmp_path / "operator" / "pinocchio.toml"
    config.parent.mkdir()
    config.write_text(TOML)
    options = ["--config", config, "--middleware-config", f"vault.option={PLANTED['option']}"]
    variables = {
        "PYTHONPATH": distribution(tmp_path / "site", "vault", SOURCE),
        "PINOCCHIO_MW_VAULT__VARIABLE": PLANTED["variable"],
        "PINOCCHIO_ENGINE_API_KEY": PLANTED["key"],
        "PINOCCHIO_PROFILE_REGISTRY_DB": tmp_path / "data/profiles.db",
    }
    return options, variables


def everything_asked(server, token):
    """Every answer of the server as bytes, headers too: each route, well and badly."""
    may = {"authorization": f"Bearer {token}"}
    guessed = {"runtime": {"middlewares": [{"name": "vault", "config": {"option": PLANTED["option"], "file": 7}}]}}
    bodies = {"POST": {"slug": "x", "prompt": "hello"}, "PATCH": guessed, "PUT": guessed}
    paths = server.request("GET", "/openapi.json", **may).json["paths"]
    asks = [(m.upper(), path, bodies.get(m.upper())) for path, item in paths.items() for m in item if m != "delete"]
    asks += [("POST", f"{PROFILES}/one/resolve", {"explain": True}), ("GET", f"{PROFILES}/one?raw=true", None)]
    for text in ("hi", "fall over"):
        asks += [("POST", "/chat/one", {"prompt": text, "conv_id": "c", "stream": stream}) for stream in (True, False)]
    asks += [("GET", "/api/chat/conversations/c", None)]
    for authorization in (f"Bearer {token}", f"Bearer {token}x", f"Basic {token}", None):
        sent = {"authorization": authorization} if authorization else {}
        for method, path, body in asks:
            named = path.replace("{slug}", "one").replace("{conv_id}", "c")
            answer = server.request(method, named, body, **sent)
            yield str(answer.headers).encode() + answer.body


def test_what_is_told_in_confidence_comes_out_nowhere(serving, run, told, tmp_path):
    options, variables = told
    tokens = tmp_path / "operator" / "tokens"
    made = run(tmp_path, "tokens", "create", "ann", "--role", "admin", "--file", tokens, "--json")
    token = json.loads(made.stdout)["token"]
    variables["PINOCCHIO_TOKEN"] = token
    with serving(tmp_path, *options, "--access-log", "--auth-tokens", tokens, **variables) as server:
        server.may_log_tracebacks = True
        profile = {"slug": "one", "runtime": {"middlewares": [{"name": "vault"}]}}
        assert server.request("POST", PROFILES, profile, authorization=f"Bearer {token}").status == 201
        outputs = list(everything_asked(server, token))
        log = server.log
    outputs += [log.encode(), server.log.encode()]

    database = ["--profile-registry-db", tmp_path / "data/profiles.db"]
    explain = ["profiles", "explain", "one", *database]
    for command in (
        ["plugins"],
        ["tokens", "list", "--file", tokens],
        ["tokens", "list", "--file", tokens, "--json"],
        *(["profiles", name, *database] for name in ("list", "doctor", "backup", "export")),
        ["profiles", "show", "one", *database],
        [*explain, *options],
        [*explain, *options, "--json"],
        [*explain, "--middleware-config", f"vault={PLANTED['option']}"],
        [*explain, "--middleware-config", f"vault.gone={PLANTED['option']}"],
        [*explain, "--middleware-config", f"vault.nested.list={PLANTED['option']}"],
        ["web-chat", *database, "--engine", "gone", *options],
    ):
        ran = run(tmp_path, *command, **variables)
        outputs.append(f"{ran.stdout}{ran.stderr}".encode())
    outputs += [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    outputs += [tokens.read_bytes(), (tmp_path / "stdout").read_bytes()]

    known = "".join(PLANTED[name] for name in ("file", "variable", "option", "nested"))
    whole = b"\n".join(outputs)
    assert hashlib.sha256(known.encode()).hexdigest().encode() in whole, "the middleware was told something else"
    assert whole.count(b"(secret)") >= 8
    for secret in (*PLANTED.values(), token):
        found = [output for output in outputs if secret.encode() in output]
        assert not found, re.search(rb".{0,200}" + secret.encode(), found[0], re.DOTALL)
