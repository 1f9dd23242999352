"""POST /api/chat/profiles/{slug}/resolve, and the command that prints the same."""

import hashlib

from pinocchio_core.plugin import MiddlewareDefinition, hookimpl
from pinocchio_core.testing import make_app
from pinocchio_plugins import echo, starter_profile

PROFILES = "/api/chat/profiles"
RESOLVE = f"{PROFILES}/agent/resolve"


def test_a_profile_resolves_to_its_runtime_with_defaults_applied(app):
    stored = app.post(PROFILES, {"slug": "plain", "runtime": {"middlewares": [{"name": "agentmode"}]}}).json
    answer = app.post(f"{PROFILES}/PLAIN/resolve")
    assert answer.status == 200
    assert answer.json == {
        "registry": "default",
        "profile": "plain",
        "runtime_key": "plain",
        "profile_version": stored["metadata"]["version"],
        "runtime_fingerprint": answer.json["runtime_fingerprint"],
        "runtime": {
            "middlewares": [{"name": "agentmode", "enabled": True, "config": {"default_mode": "default"}}],
            "tools": [],
            "step_settings_patch": {},
        },
    }
    assert app.get(f"{PROFILES}/plain").json == stored


def test_a_fingerprint_moves_with_the_version(app):
    before = app.post(RESOLVE, {}).json
    app.patch(f"{PROFILES}/agent", {"description": "other"})
    after = app.post(RESOLVE, {}).json
    assert after["runtime"] == before["runtime"]
    assert after["runtime_fingerprint"] != before["runtime_fingerprint"]


def test_explain_has_every_layer_of_every_value(app):
    use = {"name": "agentmode", "id": "default", "config": {"default_mode": "mine"}}
    sent = {"explain": True, "overrides": {"systemPrompt": "other", "middlewares": [use]}}
    values = {each["pointer"]: each for each in app.post(RESOLVE, sent).json["explain"]["values"]}
    assert values.keys() == {"/system_prompt", "/middlewares/0/config/default_mode", "/middlewares/0/enabled"}
    mode = values["/middlewares/0/config/default_mode"]
    assert (mode["value"], mode["won"]) == ("mine", "request")
    assert [(each["source"], each["value"]) for each in mode["layers"]] == [
        ("schema", "default"),
        ("profile", "financial_analyst"),
        ("request", "mine"),
    ]


def test_overrides_may_have_their_other_name_but_not_both(app, expect_problem):
    assert app.post(RESOLVE, {"request_overrides": {"system_prompt": "x"}}).json["runtime"]["system_prompt"] == "x"
    both = app.post(RESOLVE, {"request_overrides": {}, "overrides": {}})
    expect_problem(both, 400, "validation error", "request_overrides")


def test_what_policy_refuses_is_an_error_or_told(app, expect_problem):
    app.patch(f"{PROFILES}/agent", {"policy": {"allow_overrides": True, "denied_override_keys": ["tools"]}})
    sent = {"overrides": {"tools": [], "system_prompt": "x"}}
    problem = expect_problem(app.post(RESOLVE, sent), 403, "policy violation")
    assert "tools: policy.denied_override_keys" in problem["detail"]
    told = app.post(RESOLVE, sent | {"explain": True}).json
    assert [each["key"] for each in told["explain"]["refused"]] == ["tools"]
    assert told["runtime"]["system_prompt"] == "x"
    sent = {"overrides": {"system_prompt": "x"}}
    problem = expect_problem(app.post(f"{PROFILES}/default/resolve", sent), 400, "validation error", "overrides")
    assert "profile does not allow engine overrides" in problem["detail"]


def test_names_and_bodies_are_checked_as_everywhere(app, expect_problem):
    expect_problem(app.post(f"{PROFILES}/nope/resolve"), 404, "profile not found")
    expect_problem(app.post(f"{RESOLVE}?registry=nope"), 404, "registry not found")
    expect_problem(app.post(f"{PROFILES}/a b/resolve"), 400, "validation error", "path.slug")
    expect_problem(app.post(RESOLVE, {"explain": "yes", "more": 1}), 400, "validation error", "explain", "more")
    expect_problem(app.post(RESOLVE, b"{"), 400, "validation error", "body")


def test_a_damaged_profile_cannot_be_resolved(app, expect_problem):
    database = app.program.store.database
    with database.write():
        database.run("UPDATE profiles SET payload_json = '{}' WHERE slug = 'agent'")
    expect_problem(app.post(RESOLVE), 409, "row unreadable")


def test_a_change_by_another_program_is_resolved_at_once(app):
    before = app.post(RESOLVE).json
    database = app.program.store.database
    with database.write():
        ((payload,),) = database.rows("SELECT payload_json FROM profiles WHERE slug = 'agent'")
        payload = payload.replace("financial_analyst", "other_mode")
        checksum = hashlib.sha256(payload.encode()).hexdigest()
        sql = "UPDATE profiles SET payload_json = ?, payload_sha256 = ? WHERE slug = 'agent'"
        database.run(sql, (payload, checksum))
    after = app.post(RESOLVE).json
    assert after["profile_version"] == before["profile_version"]
    assert after["runtime"]["middlewares"][0]["config"] == {"default_mode": "other_mode"}


class Greedy:
    """A middleware that changes the config that it was built with."""

    @hookimpl
    def pinocchio_middleware_definitions(self):
        def build(config):
            config["taken"] = True
            return lambda turn, following: following(turn)

        schema = {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}
        yield MiddlewareDefinition("greedy", schema, build)


def test_a_middleware_that_changes_its_config_changes_no_other_turn():
    with make_app(Greedy, echo, starter_profile) as app:
        app.post("/api/chat/profiles", {"slug": "g", "runtime": {"middlewares": [{"name": "greedy"}]}})
        resolved = app.post("/api/chat/profiles/g/resolve").json
        assert resolved["runtime"]["middlewares"][0]["config"] == {"size": 1}
        for _ in range(2):
            answer = app.post("/chat", {"prompt": "hello", "profile": "g"}).json
            assert answer["runtime_fingerprint"] == resolved["runtime_fingerprint"]
        assert app.post("/api/chat/profiles/g/resolve").json == resolved
