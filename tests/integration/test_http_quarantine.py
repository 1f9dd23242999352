"""Rows that are not well: told of everywhere, read raw, replaced, deleted, and nothing else goes down with them."""

import hashlib
import json

import pytest

import pinocchio_agentmode
from pinocchio_core.store.sqlite.library import connected

PROFILES = "/api/chat/profiles"
REGISTRIES = "/api/chat/registries"
HURT = f"{PROFILES}/hurt"
USING = {"slug": "using", "runtime": {"middlewares": [{"name": "agentmode", "id": "a"}]}}
DAMAGE = {
    "one byte": "payload_json = replace(payload_json, 'fine', 'fink')",
    "no json": "payload_json = '{'",
    "no utf-8": "payload_json = CAST(x'7bff7d' AS TEXT)",
    "another checksum": "payload_sha256 = 'x'",
}


def with_checksum(payload: bytes) -> str:
    return f"payload_json = CAST(x'{payload.hex()}' AS TEXT), payload_sha256 = '{hashlib.sha256(payload).hexdigest()}'"


SEALED = {
    "an empty object": with_checksum(b"{}"),
    "another object": with_checksum(b'{"registry":"default","slug":"hurt"}'),
    "no utf-8": with_checksum(b'{"registry":"\xff"}'),
    "too deep": with_checksum(b'{"registry":"default","slug":"hurt","extensions":{"a.b@v1":' + b"[" * 100_000 + b"}"),
}
BROKEN = ["x'ff00'", "CAST(x'ff' AS TEXT)", "'text'", "''", "-1", "1.5", "9e99", "9223372036854775807", "1"]


@pytest.fixture
def app(tmp_path, opened, shipped):
    """The app over a file, which others can damage."""
    with opened(tmp_path / "profiles.db", *shipped) as app:
        yield app


def damage(app, assignment, table="profiles", where="slug = 'hurt'"):
    with connected(app.program.store.database.dsn.path, mode="rw") as other:
        other.execute(f"UPDATE {table} SET {assignment} WHERE {where}")
        assert other.execute("SELECT changes()").fetchall() == [(1,)]


@pytest.fixture(params=[*DAMAGE.values(), *SEALED.values()], ids=[*DAMAGE, *(f"sealed, {name}" for name in SEALED)])
def hurt(app, request):
    """An app that knows that the row of the profile `hurt` is damaged in one of several ways."""
    app.post(PROFILES, {"slug": "hurt", "description": "fine"})
    damage(app, request.param)
    app.program.health.scan()
    return app


@pytest.fixture
def without(tmp_path, opened):
    """An app without the plugin that its profile `using` uses, and that knows it."""
    path = tmp_path / "profiles.db"
    with opened(path, pinocchio_agentmode) as app:
        app.post(PROFILES, USING | {"set_default": True})
        assert app.delete(f"{PROFILES}/agent").status == 204
    with opened(path) as app:
        app.program.health.scan()
        yield app


def states(app, registry="default"):
    listed = app.get(f"{PROFILES}?registry={registry}").json
    return {item["slug"]: item["state"] for item in listed if "state" in item}


def test_quarantined_profile_is_listed_as_such_and_not_served(hurt, expect_problem):
    assert states(hurt) == {"hurt": "quarantined"}
    problem = expect_problem(hurt.get(HURT), 409, "row unreadable")
    assert "replace" in problem["next_step"]
    expect_problem(hurt.patch(HURT, {"description": "d"}), 409, "row unreadable")


def test_quarantined_profile_can_be_read_raw(hurt):
    database = hurt.program.store.database
    stored = database.rows("SELECT CAST(payload_json AS BLOB) FROM profiles WHERE slug = 'hurt'")[0][0]

    answer = hurt.get(f"{HURT}?raw=true", if_none_match="*")

    assert (answer.status, answer.body) == (200, stored)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-profile-state"] == "quarantined"


def test_quarantined_profile_can_be_replaced_and_is_well_at_once(hurt, revisions):
    tag = hurt.get(f"{HURT}?raw=true").headers["etag"]

    replaced = hurt.request("PUT", HURT, {"display_name": "New"}, if_match=tag)

    assert replaced.status == 200
    assert (replaced.json["display_name"], replaced.json["metadata"]["version"]) == ("New", 2)
    assert hurt.get(HURT).body == replaced.body
    assert states(hurt) == {}
    assert hurt.get("/readyz").json == {"status": "ok", "reasons": []}
    assert revisions(hurt, "hurt") == [(1, "create"), (2, "replace")]


def test_quarantined_profile_can_be_deleted_and_is_forgotten(hurt):
    assert hurt.delete(HURT).status == 204
    assert hurt.get("/readyz").json == {"status": "ok", "reasons": []}


def test_readiness_and_metrics_tell_of_a_row_and_the_server_stays_in_rotation(hurt):
    ready = hurt.get("/readyz")

    assert ready.status == 200
    assert ready.json == {"status": "degraded", "reasons": ['profile "hurt" in registry "default" is quarantined']}
    assert 'pinocchio_quarantined_rows{state="quarantined"} 1.0' in hurt.get("/metrics").body.decode()


def test_only_so_many_rows_are_named(app, caplog):
    for number in range(25):
        app.post(PROFILES, {"slug": f"p{number:02}"})
    with app.program.store.write():
        app.program.store.database.run("UPDATE profiles SET payload_json = '{\"a secret\": 1}' WHERE slug LIKE 'p%'")
    app.program.health.scan()

    reasons = app.get("/readyz").json["reasons"]

    assert reasons[:20] == [f'profile "p{number:02}" in registry "default" is quarantined' for number in range(20)]
    assert reasons[20:] == ["and 5 more"]
    assert len(caplog.messages) == 21
    assert "secret" not in caplog.text


def test_a_read_that_finds_damage_makes_it_known(app, caplog):
    app.post(PROFILES, {"slug": "hurt"})
    damage(app, "payload_json = '{'")

    assert app.get(HURT).status == app.get(HURT).status == 409

    assert states(app) == {"hurt": "quarantined"}
    assert caplog.messages == ['profile "hurt" in registry "default" is quarantined']


def test_a_row_that_was_repaired_from_outside_is_well_when_it_is_read(app):
    app.post(PROFILES, {"slug": "hurt"})
    damage(app, "payload_sha256 = 'x' || payload_sha256")
    app.program.health.scan()
    assert states(app) == {"hurt": "quarantined"}
    damage(app, "payload_sha256 = substr(payload_sha256, 2)")

    assert app.get(HURT).status == 200
    assert states(app) == {}


def test_list_has_another_entity_tag_once_a_row_is_known_not_to_be_well(app):
    app.post(PROFILES, {"slug": "hurt"})
    tag = app.get(PROFILES).headers["etag"]
    damage(app, "payload_json = '{'")
    app.program.health.scan()

    assert app.get(PROFILES, if_none_match=tag).status == 200
    assert app.get(PROFILES, if_none_match=app.get(PROFILES).headers["etag"]).status == 304


def test_damaged_list_item_and_damaged_document_are_told_of_as_one(app):
    app.post(PROFILES, {"slug": "hurt"})
    damage(app, "payload_json = '{', item_json = '{'")
    app.program.health.scan()
    app.post(PROFILES, {"slug": "other"})
    damage(app, "payload_json = '{'", where="slug = 'other'")
    app.program.health.scan()

    assert states(app) == {"hurt": "quarantined", "other": "quarantined"}


def test_profile_of_a_missing_plugin_is_listed_as_invalid_and_works(without, expect_problem):
    item = next(item for item in without.get(PROFILES).json if item["slug"] == "using")
    assert item["state"] == "invalid"
    assert item["problems"] == [{"field": "runtime.middlewares[0].name", "reason": 'unknown middleware "agentmode"'}]
    assert without.get("/readyz").json["reasons"] == ['profile "using" in registry "default" is invalid']
    assert without.get(f"{PROFILES}/using?raw=true").headers["x-profile-state"] == "invalid"

    patched = without.patch(f"{PROFILES}/using", {"description": "d"})

    assert patched.json["runtime"] == {"middlewares": [{"name": "agentmode", "id": "a"}]}
    assert states(without) == {"using": "invalid"}
    assert without.request("PUT", f"{PROFILES}/using", USING).json["warnings"] == item["problems"]
    another = {"runtime": {"middlewares": [{"name": "agentmode", "id": "another"}]}}
    expect_problem(without.request("PUT", f"{PROFILES}/using", another), 400, "validation error")
    assert without.request("PUT", f"{PROFILES}/using", {}).status == 200
    assert states(without) == {}


def test_profile_whose_config_the_schema_refuses_is_invalid(tmp_path, opened):
    path = tmp_path / "profiles.db"
    with opened(path, pinocchio_agentmode) as app:
        app.post(PROFILES, USING)
        payload = json.loads(app.get(f"{PROFILES}/using?raw=true").body)
        config = {"default_mode": 5, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
        payload["extensions"] = {"middleware.agentmode_config@v1": {"instances": {"id:a": config}}}
        damage(app, with_checksum(json.dumps(payload, separators=(",", ":")).encode()), where="slug = 'using'")
    with opened(path, pinocchio_agentmode) as app:  # schemas are asked by the first scan after a start
        app.program.health.scan()

        item = next(item for item in app.get(PROFILES).json if item["slug"] == "using")

        assert item["state"] == "invalid"
        assert len(item["problems"]) == 5
        assert {problem["field"] for problem in item["problems"]} == {"runtime.middlewares[0].config"}
        assert app.get(f"{PROFILES}/using").status == 200


def test_profile_that_another_program_wrote_in_another_order_is_well(app):
    app.post(PROFILES, {"slug": "hurt", "description": "d"})
    served = app.get(HURT)
    payload = json.loads(app.get(f"{HURT}?raw=true").body)
    damage(app, with_checksum(json.dumps(dict(reversed(payload.items())), indent=1).encode() + b"\n"))
    app.program.health.scan()

    assert app.get(HURT).body == served.body
    assert states(app) == {}
    assert app.patch(HURT, {"description": "e"}).status == 200


@pytest.mark.parametrize("payload", ["'{'", "''", "CAST(x'ff' AS TEXT)", "x'00'", "'[]'"])
def test_damaged_registry_is_told_of_and_its_profiles_work(app, payload):
    app.post(REGISTRIES, {"slug": "team"})
    app.post(PROFILES, {"slug": "x", "registry": "team"})
    damage(app, f"payload_json = {payload}", "profile_registries", "slug = 'team'")
    app.program.health.scan()

    assert app.get("/readyz").json["reasons"] == ['registry "team" is quarantined']
    assert states(app, "team") == {}
    assert app.request("PUT", f"{PROFILES}/x?registry=team", {"description": "d"}).status == 200


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(
            ("profiles", name)
            for name in ("slug", "version", "updated_at_ms", "payload_sha256", "tags_json", "item_json")
        ),
        *(("profile_registries", name) for name in ("version", "updated_at_ms", "default_profile_slug")),
    ],
)
@pytest.mark.parametrize("value", BROKEN)
def test_no_value_of_a_column_brings_an_internal_error(app, table, column, value):
    where = "slug = 'team'" if table == "profile_registries" else "slug = 'hurt'"
    app.post(REGISTRIES, {"slug": "team"})
    app.post(PROFILES, {"slug": "hurt", "registry": "team"})
    app.post(PROFILES, {"slug": "other", "registry": "team"})
    damage(app, f"{column} = {value}", table, where)
    app.program.health.scan()
    team = "?registry=team"
    answers = [
        app.get(f"{PROFILES}{team}"),
        app.get(f"{PROFILES}{team}&q=a&tag=b"),
        app.get(f"{HURT}{team}"),
        app.get(f"{HURT}{team}&raw=true"),
        app.get(REGISTRIES),
        app.get(f"{REGISTRIES}/team"),
        app.get("/readyz"),
        app.patch(f"{HURT}{team}", {"description": "d"}),
        app.patch(f"{PROFILES}/other{team}", {"description": "d"}),
        app.post(f"{PROFILES}{team}", {"slug": "hurt"}),
        app.post(f"{HURT}/default{team}"),
        app.patch(f"{REGISTRIES}/team", {"description": "d"}),
        app.post(f"{PROFILES}/other/default{team}"),
    ]
    replaced = app.request("PUT", f"{HURT}{team}", {"description": "new"})
    deleted = app.delete(f"{HURT}{team}")

    assert [answer.body for answer in answers if answer.status >= 500] == []
    assert (replaced.status, deleted.status) == (200, 204)
    assert [item["slug"] for item in app.get(f"{PROFILES}{team}").json][-1:] == ["other"] or column == "slug"


def test_server_starts_on_a_database_of_damaged_rows(tmp_path, opened):
    path = tmp_path / "profiles.db"
    with opened(path, pinocchio_agentmode) as app:
        app.post(PROFILES, {"slug": "hurt"})
        damage(app, "payload_json = '{'")
        damage(app, "payload_json = '['", "profile_registries", "slug = 'default'")
    with opened(path, pinocchio_agentmode) as app:
        app.program.health.scan()
        assert len(app.get("/readyz").json["reasons"]) == 2
        assert app.post(PROFILES, {"slug": "new"}).status == 201


def test_replacing_leaves_nothing_of_the_old_profile_but_its_origin(app):
    created = app.post(
        PROFILES, {"slug": "x", "description": "d", "metadata": {"tags": ["t"]}, "extensions": {"a.b@v1": 1}}
    ).json
    put = app.request("PUT", f"{PROFILES}/x", {"slug": "X", "runtime": {"system_prompt": "p"}}).json

    assert put["runtime"] == {"system_prompt": "p"}
    assert not put.keys() & {"description", "extensions"}
    assert "tags" not in put["metadata"]
    assert put["metadata"]["created_at_ms"] == created["metadata"]["created_at_ms"]
    assert put["metadata"]["updated_at_ms"] > created["metadata"]["updated_at_ms"]


def test_replacing_has_the_conditions_of_every_write(app, expect_problem, nothing_written):
    app.post(PROFILES, {"slug": "locked", "policy": {"read_only": True}})
    with nothing_written(app):
        for path, body, headers, status, title in (
            (f"{PROFILES}/nope", {}, {}, 404, "profile not found"),
            (f"{PROFILES}/agent?registry=nope", {}, {}, 404, "registry not found"),
            (f"{PROFILES}/locked", {"policy": {"read_only": False}}, {}, 403, "policy violation"),
            (f"{PROFILES}/agent", {"expected_version": 7}, {}, 409, "version conflict"),
            (f"{PROFILES}/agent", {}, {"if_match": '"x"'}, 412, "precondition failed"),
            (f"{PROFILES}/agent", {}, {"if_none_match": "*"}, 412, "precondition failed"),
            (f"{PROFILES}/agent", {"slug": "other"}, {}, 400, "validation error"),
            (f"{PROFILES}/agent", {"set_default": True}, {}, 400, "validation error"),
        ):
            expect_problem(app.request("PUT", path, body, **headers), status, title)


def test_raw_is_true_or_false(app, expect_problem):
    agent = f"{PROFILES}/agent"
    raw = app.get(f"{agent}?raw=true")

    assert raw.headers["x-profile-state"] == "ok"
    assert raw.headers["etag"] == app.get(agent).headers["etag"]
    assert raw.json | {"is_default": False} == app.get(f"{agent}?raw=false").json == app.get(f"{agent}?raw=").json
    expect_problem(app.get(f"{agent}?raw=yes"), 400, "validation error", "query.raw")
    expect_problem(app.get(f"{PROFILES}/nope?raw=true"), 404, "profile not found")
