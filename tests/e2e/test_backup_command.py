"""`pinocchio profiles backup | backups | verify`, as an operator runs them."""

import json
import os
import sqlite3
from contextlib import closing

import pytest

from pinocchio_core.domain.slugs import printable
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path

PROFILES = "/api/chat/profiles"


def test_a_backup_beside_a_running_server_has_what_was_acknowledged(serving, run, tmp_path):
    variables = {"PINOCCHIO_PROFILE_REGISTRY_DB": tmp_path / "data/profiles.db"}
    with serving(tmp_path) as server:
        assert server.request("POST", PROFILES, {"slug": "mine"}).status == 201
        done = run(tmp_path, "profiles", "backup", "--json", **variables)
        listed = server.request("GET", PROFILES).json
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads(done.stdout)
    assert manifest["profiles"] == len(listed)
    assert manifest["plugins"]["pinocchio-webchat"]
    copy = {"PINOCCHIO_PROFILE_REGISTRY_DB": manifest["path"]}
    assert [each["slug"] for each in json.loads(run(tmp_path, "profiles", "list", "--json", **copy).stdout)] == [
        each["slug"] for each in listed
    ]
    (found,) = json.loads(run(tmp_path, "profiles", "backups", "--json", **variables).stdout)
    assert (found["path"], found["verified"]) == (manifest["path"], True)
    assert "verified" in run(tmp_path, "profiles", "backups", **variables).stdout
    assert run(tmp_path, "profiles", "verify", manifest["path"]).returncode == 0


def test_verify_says_what_is_wrong_and_exits_with_1(serving, run, tmp_path):
    path = tmp_path / "data/profiles.db"
    with serving(tmp_path):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE profiles SET payload_json = '{}' WHERE slug = 'default'")
    done = run(tmp_path, "profiles", "verify", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert 'profile "default" in registry "default" is unreadable' in done.stdout
    document = json.loads(run(tmp_path, "profiles", "verify", path, "--json").stdout)
    assert document["sound"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("verify", "missing.db"), 1, "there is no file at missing.db"),
        (("backup", "--profile-registry-db", "missing.db"), 1, "there is no file at"),
        (("backup", "--profile-registry-db", ":memory:"), 2, "a database in memory has no file"),
        (("backup", "--max-age", "soon"), 2, "is no duration"),
        (("backup", "--keep", "0"), 2, "--keep"),
        (("backup", "--format", "archive", "copy.db"), 2, "the name of an archive ends with .jsonl"),
        (("backup", "--format", "database", "copy.jsonl"), 2, "the name of an archive ends with .jsonl"),
    ],
)
def test_what_cannot_be_done_is_one_clear_message(run, tmp_path, arguments, code, said):
    done = run(tmp_path, "profiles", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_old_backup_that_cannot_be_removed_is_said_and_the_new_one_counts(serving, run, tmp_path, irremovable):
    variables = {"PINOCCHIO_PROFILE_REGISTRY_DB": tmp_path / "data/profiles.db"}
    with serving(tmp_path):
        pass
    (tmp_path / "kept").mkdir()
    run(tmp_path, "profiles", "backup", "kept/profiles.db.bak.1", **variables)
    irremovable(tmp_path / "kept/profiles.db.bak.1")
    done = run(tmp_path, "profiles", "backup", "kept", "--keep", "1", "--json", **variables)
    assert (done.returncode, done.stderr.startswith("cannot remove kept/profiles.db.bak.1: ")) == (0, True)
    document = json.loads(done.stdout)
    assert (document["removed"], len(document["not_removed"])) == ([], 1)


def test_old_backups_are_removed_after_a_new_one(serving, run, tmp_path):
    variables = {"PINOCCHIO_PROFILE_REGISTRY_DB": tmp_path / "data/profiles.db"}
    with serving(tmp_path):
        pass
    (tmp_path / "kept").mkdir()
    first = json.loads(run(tmp_path, "profiles", "backup", "kept/profiles.db.bak.1", "--json", **variables).stdout)
    second = json.loads(run(tmp_path, "profiles", "backup", "kept", "--keep", "1", "--json", **variables).stdout)
    assert second["removed"] == [first["path"]]
    assert not (tmp_path / first["path"]).exists()


@pytest.mark.parametrize("name", [b"caf\xe9.db", b"line\n.db"])
def test_a_name_that_is_no_text_is_shown_with_escapes(run, tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    open_database(dsn_of_path(str(path))).database.close()
    variables = {"PINOCCHIO_PROFILE_REGISTRY_DB": path, "PYTHONIOENCODING": "utf-8:strict"}
    made = [run(tmp_path, "profiles", "backup", *options, **variables) for options in ((), ("--json",))]
    assert [(done.returncode, done.stderr) for done in made] == [(0, "")] * 2
    shown = printable(path.name)
    assert json.loads(made[1].stdout)["database"] == shown
    assert shown in made[0].stdout
    assert len(json.loads(run(tmp_path, "profiles", "backups", "--json", **variables).stdout)) == 2
    for command in ("backups", "verify", "doctor"):
        done = run(tmp_path, "profiles", command, **variables)
        assert (done.stderr, shown in done.stdout) == ("", True), command
    for command in ("verify", "doctor"):
        done = run(tmp_path, "profiles", command, "--json", **variables)
        assert (done.stderr, len(json.loads(done.stdout)) > 2) == ("", True), command
    assert json.loads(run(tmp_path, "profiles", "backup", "--keep", "1", "--json", **variables).stdout)["removed"]
