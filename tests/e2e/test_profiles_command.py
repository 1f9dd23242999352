"""`pinocchio profiles`: reading a database without a server, beside one, and after one."""

import json
import sqlite3
from contextlib import closing

import pytest

PROFILES = "/api/chat/profiles"
FULL = {
    "slug": "analyst",
    "display_name": "Analyst\u202e",
    "description": "Reads tables",
    "runtime": {
        "system_prompt": "Count twice.",
        "middlewares": [{"name": "agentmode", "id": "main", "config": {"default_mode": "financial_analyst"}}],
        "tools": ["calculator"],
        "step_settings_patch": {"ai-chat": {"ai-engine": "m-1"}},
    },
    "policy": {"allow_overrides": True, "denied_override_keys": ["tools"]},
    "metadata": {"tags": ["finance"]},
    "extensions": {"acme.unknown@v3": {"x": [1, {"y": None}]}},
}


@pytest.fixture(scope="module", params=["running", "stopped"])
def served(request, serving, tmp_path_factory):
    """A folder with the database of a server that runs or has stopped, and what that server serves."""
    cwd = tmp_path_factory.mktemp(request.param)
    with serving(cwd) as server:
        writes = [
            server.request("POST", PROFILES, FULL),
            server.request("PATCH", f"{PROFILES}/analyst", {"description": "Reads ledgers"}),
            server.request("POST", "/api/chat/registries", {"slug": "other"}),
            server.request("POST", f"{PROFILES}?registry=other", {"slug": "alone", "set_default": True}),
        ]
        assert [answer.status for answer in writes] == [201, 200, 201, 201]
        documents = everything(server)
        if request.param == "stopped":
            assert server.stop() == 0
        yield cwd, documents


def everything(server):
    """Every document of every registry that a server serves."""
    return {
        (registry["slug"], item["slug"]): server.request(
            "GET", f"{PROFILES}/{item['slug']}?registry={registry['slug']}"
        ).json
        for registry in server.request("GET", "/api/chat/registries").json
        for item in server.request("GET", f"{PROFILES}?registry={registry['slug']}").json
    }


@pytest.fixture
def profiles(run, served):
    """Run `pinocchio profiles …` on that database; returns what it prints."""

    def run_command(*arguments):
        cwd, _ = served
        ran = run(cwd, "profiles", *arguments, PINOCCHIO_PROFILE_REGISTRY_DB="data/profiles.db")
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    return run_command


def test_list_is_for_people(profiles):
    lines = profiles("list").splitlines()

    assert [line.split()[0] for line in lines] == ["agent", "analyst", "*"]
    assert [line[0] for line in lines] == [" ", " ", "*"]
    assert "v2" in lines[1]
    assert "\u202e" not in lines[1], "what turns text around does not reach a terminal"


def test_list_as_json_is_what_the_server_lists(profiles, served):
    listed = json.loads(profiles("list", "--json"))

    assert [(item["slug"], item["version"], item["is_default"]) for item in listed] == [
        ("agent", 1, False),
        ("analyst", 2, False),
        ("default", 1, True),
    ]
    assert listed[1]["extensions"] == served[1]["default", "analyst"]["extensions"]


def test_list_of_another_registry(profiles):
    assert [item["slug"] for item in json.loads(profiles("list", "--json", "--default-registry", "other"))] == ["alone"]


def test_show_prints_what_the_server_serves(profiles, served):
    assert json.loads(profiles("show", "Analyst")) == served[1]["default", "analyst"]


def test_show_prints_a_version_as_the_server_serves_it(serving, run, tmp_path):
    with serving(tmp_path) as server:
        server.request("POST", PROFILES, {"slug": "x", "description": "one"})
        server.request("PATCH", f"{PROFILES}/x", {"description": "two"})
        server.request("PUT", f"{PROFILES}/x/labels/first", {"version": 1})
        for name in ("x@1", "X@first", "x@2"):
            shown = run(tmp_path, "profiles", "show", name, PINOCCHIO_PROFILE_REGISTRY_DB="data/profiles.db")
            assert json.loads(shown.stdout) == server.request("GET", f"{PROFILES}/{name.lower()}").json
    assert json.loads(shown.stdout)["description"] == "two"


def test_export_prints_every_registry_with_its_profiles(profiles):
    exported = json.loads(profiles("export"))

    assert {each["slug"]: sorted(each["profiles"]) for each in exported} == {
        "default": ["agent", "analyst", "default"],
        "other": ["alone"],
    }
    assert [each["slug"] for each in json.loads(profiles("export", "--registry", "other"))] == ["other"]


def test_export_writes_a_file_for_its_owner_alone(profiles, tmp_path):
    profiles("export", "--output", tmp_path / "all.json")

    assert json.loads((tmp_path / "all.json").read_text()) == json.loads(profiles("export"))
    assert (tmp_path / "all.json").stat().st_mode & 0o077 == 0


def test_export_for_the_original_program_opens_again_with_the_same_documents(profiles, served, serving, tmp_path):
    exported = tmp_path / "original.db"
    profiles("export", "--format", "go-sqlite", "--output", exported)
    with closing(sqlite3.connect(exported)) as connection:
        rows = connection.execute("SELECT slug, payload_json, updated_at_ms FROM profile_registries").fetchall()
    with serving(tmp_path, "--profile-registry-db", exported) as server:
        opened = everything(server)

    assert {slug: sorted(json.loads(payload)["profiles"]) for slug, payload, _ in rows} == {
        "default": ["agent", "analyst", "default"],
        "other": ["alone"],
    }
    assert all(at_ms > 0 for _, _, at_ms in rows)
    assert opened == served[1]


def test_reading_changes_nothing_in_a_database_that_nobody_serves(run, serving, tmp_path):
    with serving(tmp_path) as server:
        server.stop()
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    for command in (["list"], ["show", "default"], ["export"]):
        assert run(tmp_path, "profiles", *command, "--profile-registry-db", "data/profiles.db").returncode == 0
    after = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}

    assert after["profiles.db"] == before["profiles.db"]
    assert not after.get("profiles.db-wal")


# what it refuses


@pytest.fixture
def refused(run, tmp_path):
    """Run `pinocchio profiles …`, which must fail with an exit code; returns what it says."""

    def check(exit_code, *arguments, **variables):
        ran = run(tmp_path, "profiles", *arguments, **variables)
        assert ran.returncode == exit_code, ran.stderr
        assert ran.stdout == ""
        assert "Traceback" not in ran.stderr
        return ran.stderr

    return check


def test_missing_database_is_named_and_not_created(refused, tmp_path):
    for command in (["list"], ["show", "default"], ["export", "--output", "out.json"]):
        text = refused(1, *command, "--profile-registry-db", "folder/typo.db")
        assert f"there is no database at {tmp_path}/folder/typo.db" in text
        assert "  → " in text
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_never_overwritten_by_an_export(refused, serving, tmp_path):
    with serving(tmp_path) as server:
        server.stop()
    (tmp_path / "precious").write_text("precious")
    for layout in ("json", "go-sqlite"):
        options = ["--format", layout, "--output", "precious", "--profile-registry-db", "data/profiles.db"]
        assert "precious exists already" in refused(1, "export", *options)
    assert (tmp_path / "precious").read_text() == "precious"


def test_unknown_names_are_refused_in_words(refused, serving, tmp_path):
    with serving(tmp_path) as server:
        server.stop()
    where = {"PINOCCHIO_PROFILE_REGISTRY_DB": "data/profiles.db"}

    assert 'profile not found: "nobody"' in refused(1, "show", "nobody", **where)
    assert 'registry not found: "nowhere"' in refused(1, "show", "nobody", "--default-registry", "nowhere", **where)
    assert 'registry not found: "nowhere"' in refused(1, "export", "--registry", "nowhere", **where)
    assert 'invalid profile slug "not a/b": use 1 to 128 of' in refused(2, "show", "not a/b", **where)
    assert "--output" in refused(2, "export", "--format", "go-sqlite", **where)


def test_database_in_memory_cannot_be_looked_at(refused):
    assert "memory" in refused(2, "list", "--profile-registry-db", ":memory:")


def test_a_version_is_brought_back_by_a_command_while_servers_run(serving, run, tmp_path):
    at = ("--profile-registry-db", tmp_path / "data/profiles.db")
    with serving(tmp_path) as server:
        server.request("POST", PROFILES, {"slug": "x", "description": "one"})
        server.request("PATCH", f"{PROFILES}/x", {"description": "two"})
        server.request("DELETE", f"{PROFILES}/x")
        refused = run(tmp_path, "profiles", "restore-version", "x", "3", *at)
        done = run(tmp_path, "profiles", "restore-version", "X", "1", "--reason", "needed", "--json", *at)
        assert (done.returncode, done.stderr) == (0, "")
        assert server.request("GET", f"{PROFILES}/x").json == json.loads(done.stdout)
        assert server.request("GET", "/readyz").status == 200

    assert refused.returncode == 1
    assert "path.version: version 3 is a deletion" in refused.stderr
    told = json.loads(run(tmp_path, "profiles", "history", "x", "--limit", "1", "--json", *at).stdout)
    assert (told[0]["op"], told[0]["restored_from"], told[0]["reason"], told[0]["source"]) == (
        "restore",
        1,
        "needed",
        "cli",
    )
    assert told[0]["actor"].startswith("cli:")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("history", "nope"), 'profile not found: "nope"'),
        (("history", "x!"), "path.slug: invalid profile slug"),
        (("show", "agent@9"), 'revision not found: "agent@9"'),
        (("show", "agent@beta"), 'revision not found: "agent@beta"'),
        (("diff", "agent", "9"), 'revision not found: "agent@9"'),
        (("diff", "agent", "1", "!"), "query.to: invalid version"),
        (("restore-version", "agent", "production"), 'revision not found: "agent@production"'),
    ],
)
def test_a_version_that_is_not_there_is_said_in_one_line(serving, run, tmp_path, arguments, told):
    with serving(tmp_path):
        pass
    done = run(tmp_path, "profiles", *arguments, "--profile-registry-db", tmp_path / "data/profiles.db")

    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("history", "nope"), "pinocchio profiles list"),
        (("show", "agent", "--default-registry", "nowhere"), "pinocchio profiles export"),
        (("diff", "agent", "9"), "pinocchio profiles history agent"),
        (("show", "agent@beta"), "pinocchio profiles history agent"),
    ],
)
def test_what_is_not_there_is_answered_with_a_command_that_can_be_given(serving, run, tmp_path, arguments, command):
    with serving(tmp_path):
        pass
    at = ("--profile-registry-db", tmp_path / "data/profiles.db")
    done = run(tmp_path, "profiles", *arguments, *at)

    assert command in done.stderr.splitlines()[1]
    assert run(tmp_path, *command.split()[1:], *at).returncode == 0


def test_a_version_is_brought_back_into_no_database_that_is_not_there(run, tmp_path):
    done = run(tmp_path, "profiles", "restore-version", "x", "1", "--profile-registry-db", tmp_path / "no.db")

    assert done.returncode == 1
    assert "there is no database at" in done.stderr
    assert not (tmp_path / "no.db").exists()
