"""`pinocchio profiles export` of a database with damaged rows: all of it comes out, and they are named."""

import base64
import json
import sqlite3
from contextlib import closing

import pytest

PROFILES = "/api/chat/profiles"


@pytest.fixture
def hurt(serving, tmp_path):
    """A folder with a database whose profile `agent` and registry `team` are damaged."""
    with serving(tmp_path) as server:
        assert server.request("POST", "/api/chat/registries", {"slug": "team"}).status == 201
        assert server.request("POST", f"{PROFILES}?registry=team", {"slug": "x"}).status == 201
        assert server.stop() == 0
    with closing(sqlite3.connect(tmp_path / "data/profiles.db")) as connection, connection:
        connection.execute("UPDATE profiles SET payload_json = CAST(x'7bff' AS TEXT) WHERE slug = 'agent'")
        connection.execute("UPDATE profile_registries SET payload_json = '{' WHERE slug = 'team'")
    return tmp_path


def test_export_names_damaged_rows_and_has_everything(hurt, run):
    ran = run(hurt, "profiles", "export", PINOCCHIO_PROFILE_REGISTRY_DB="data/profiles.db")

    assert ran.returncode == 1
    assert 'profile "agent" in registry "default"' in ran.stderr
    assert 'registry "team"' in ran.stderr
    default, team = json.loads(ran.stdout)
    assert sorted(default["profiles"]) == ["default"]
    assert base64.b64decode(default["quarantined"]["agent"]["payload_base64"]) == b"{\xff"
    assert sorted(team["profiles"]) == ["x"]


def test_export_in_the_original_layout_leaves_damaged_rows_out(hurt, run):
    where = {"PINOCCHIO_PROFILE_REGISTRY_DB": "data/profiles.db"}
    ran = run(hurt, "profiles", "export", "--format", "go-sqlite", "--output", "out.db", **where)

    assert ran.returncode == 1
    assert 'profile "agent" in registry "default"' in ran.stderr
    with closing(sqlite3.connect(hurt / "out.db")) as connection:
        payloads = [json.loads(row[0]) for row in connection.execute("SELECT payload_json FROM profile_registries")]
    assert [sorted(payload["profiles"]) for payload in payloads] == [["default"], ["x"]]


def test_server_finds_damaged_rows_by_itself_and_says_so(hurt, serving, until):
    with serving(hurt) as server:
        until(lambda: len(server.request("GET", "/readyz").json["reasons"]) == 2)
        ready = server.request("GET", "/readyz")
        assert (ready.status, ready.json["status"]) == (200, "degraded")
        assert server.request("PUT", f"{PROFILES}/agent", {"description": "repaired"}).status == 200
        assert server.request("GET", "/readyz").json["reasons"] == ['registry "team" is quarantined']
