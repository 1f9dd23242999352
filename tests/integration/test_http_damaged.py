"""Rows that are damaged in the database: a clear answer for them, and everything else goes on."""

import hashlib

import pytest

from pinocchio_core.store.sqlite.library import connected

PROFILES = "/api/chat/profiles"
HURT = f"{PROFILES}/hurt"
DAMAGE = {
    "one byte": "payload_json = replace(payload_json, 'fine', 'fink')",
    "no json": "payload_json = '{'",
    "empty": "payload_json = ''",
    "no utf-8": "payload_json = CAST(x'7bff7d' AS TEXT)",
    "a blob": "payload_json = x'00ff'",
    "another checksum": "payload_sha256 = 'x'",
    "no profile": f"payload_json = '[]', payload_sha256 = '{hashlib.sha256(b'[]').hexdigest()}'",
}


@pytest.fixture
def app(tmp_path, opened, shipped):
    """The app over a file, which others can damage."""
    with opened(tmp_path / "profiles.db", *shipped) as app:
        yield app


def damage(app, assignment, table="profiles", where="slug = 'hurt'"):
    with connected(app.program.store.database.dsn.path, mode="rw") as other:
        other.execute(f"UPDATE {table} SET {assignment} WHERE {where}")
        assert other.execute("SELECT changes()").fetchall() == [(1,)]


@pytest.fixture(params=DAMAGE)
def hurt(app, request):
    """An app in which the row of the profile `hurt` is damaged in one of several ways."""
    app.post(PROFILES, {"slug": "hurt", "description": "fine"})
    damage(app, DAMAGE[request.param])
    return app


def test_damaged_profile_is_told_of_and_not_changed(hurt, expect_problem):
    for answer in (
        hurt.patch(HURT, {"description": "d"}),
        hurt.patch(HURT, {}),
        hurt.patch(HURT, {"policy": {"read_only": False}}),
    ):
        problem = expect_problem(answer, 409, "row unreadable")
        assert 'the stored profile "hurt" in registry "default" is unreadable' in problem["detail"]
        assert "backup" in problem["next_step"]
        assert "delete" in problem["next_step"]


def test_damaged_profile_is_not_served_as_if_it_were_sound(hurt, expect_problem):
    expect_problem(hurt.get(HURT), 409, "row unreadable")


def test_everything_beside_a_damaged_profile_works(hurt):
    assert hurt.get(f"{PROFILES}/agent").status == 200
    assert [item["slug"] for item in hurt.get(PROFILES).json] == ["agent", "default", "hurt"]
    assert hurt.post(PROFILES, {"slug": "new"}).status == 201
    assert hurt.patch(f"{PROFILES}/agent", {"description": "d"}).status == 200
    assert hurt.post(f"{PROFILES}/agent/default").status == 200
    assert hurt.get("/api/chat/registries/default").json["profile_count"] == 4
    assert hurt.post(PROFILES, {"slug": "hurt"}).status == 409


def test_damaged_profile_can_be_deleted_and_made_again(hurt):
    assert hurt.delete(HURT).status == 204
    created = hurt.post(PROFILES, {"slug": "hurt"})

    assert (created.status, created.json["metadata"]["version"]) == (201, 3)
    assert hurt.get(HURT).body == created.body


def test_damaged_profile_is_deleted_under_the_same_conditions_as_any(hurt, expect_problem):
    expect_problem(hurt.delete(f"{HURT}?expected_version=9"), 409, "version conflict")
    expect_problem(hurt.delete(HURT, if_match='"x"'), 412, "precondition failed")
    assert hurt.delete(f"{HURT}?expected_version=1").status == 204


def test_damaged_profile_that_is_refused_as_default_does_not_become_it(hurt, expect_problem, nothing_written):
    with nothing_written(hurt):
        for answer in (
            hurt.post(f"{HURT}/default"),
            hurt.patch("/api/chat/registries/default", {"default_profile_slug": "hurt"}),
        ):
            expect_problem(answer, 409, "row unreadable")


@pytest.mark.parametrize("column", ["display_name", "description", "tags_json", "item_json"])
@pytest.mark.parametrize("value", ["CAST(x'ff' AS TEXT)", "x'ff00'", "'{'"])
def test_damaged_column_of_a_list_does_not_take_the_list_down(app, column, value):
    app.post(PROFILES, {"slug": "hurt", "metadata": {"tags": ["t"]}})
    damage(app, f"{column} = {value}")

    for query in ("", "?q=u", "?tag=t", "?limit=2"):
        answer = app.get(f"{PROFILES}{query}")
        assert answer.status == 200, query
        assert isinstance(answer.json, list)
    assert app.get(HURT).status == 200
    assert app.delete(HURT).status == 204


@pytest.mark.parametrize("payload", ["'{'", "''", "CAST(x'ff' AS TEXT)", "x'00'", "'[]'"])
def test_damaged_registry_does_not_take_the_others_or_its_profiles_down(app, expect_problem, payload):
    app.post("/api/chat/registries", {"slug": "team"})
    app.post(PROFILES, {"slug": "x", "registry": "team"})
    damage(app, f"payload_json = {payload}", "profile_registries", "slug = 'team'")

    listed = {item["slug"]: item.get("state") for item in app.get("/api/chat/registries").json}
    assert listed == {"default": None, "team": "quarantined"}
    assert app.get("/api/chat/registries/team").status == 200
    problem = expect_problem(app.patch("/api/chat/registries/team", {"description": "d"}), 409, "row unreadable")
    assert 'registry "team"' in problem["detail"]
    assert app.get(f"{PROFILES}/x?registry=team").status == app.get(f"{PROFILES}?registry=team").status == 200
    assert app.patch(f"{PROFILES}/x?registry=team", {"description": "d"}).status == 200
    assert app.delete(f"{PROFILES}/x?registry=team").status == 204
    assert app.delete("/api/chat/registries/team").status == 204


def test_last_profile_of_a_damaged_registry_can_be_deleted_though_it_is_the_default(app):
    app.post("/api/chat/registries", {"slug": "team"})
    app.post(PROFILES, {"slug": "x", "registry": "team", "set_default": True})
    damage(app, "payload_json = '{'", "profile_registries", "slug = 'team'")

    assert app.delete(f"{PROFILES}/x?registry=team").status == 204
