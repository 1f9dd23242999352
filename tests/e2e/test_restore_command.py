"""`pinocchio profiles restore` and `quiesce`, with real servers, killed and running."""

import json
import shlex
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

PROFILES = "/api/chat/profiles"


@pytest.fixture
def database(tmp_path):
    return tmp_path / "data/profiles.db"


@pytest.fixture
def profiles(run, tmp_path, database):
    """`profiles("backup", …)`: a command on the database; returns what it printed as JSON."""

    def command(*arguments, code=0):
        done = run(tmp_path, "profiles", *arguments, "--json", PINOCCHIO_PROFILE_REGISTRY_DB=database)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr

    return command


def _slugs(server):
    return [each["slug"] for each in server.request("GET", PROFILES).json]


def _create(server, slug):
    answer = server.request("POST", PROFILES, {"slug": slug})
    assert answer.status == 201, answer.body
    return answer.json


@pytest.fixture
def backup(serving, profiles, tmp_path):
    """A backup with the profile `kept`, made beside a server that has been stopped since."""
    with serving(tmp_path) as server:
        _create(server, "kept")
        return profiles("backup")["path"]


def test_a_restore_over_what_a_killed_server_left_is_exactly_the_backup(serving, profiles, backup, tmp_path, database):
    with serving(tmp_path) as server:
        for number in range(5):
            _create(server, f"later{number}")
        server.signal(signal.SIGKILL)
        server.wait()
    done = profiles("restore", backup)
    assert (done["profiles"], done["sound"]) == (3, True)
    with serving(tmp_path) as server:
        assert _slugs(server) == ["agent", "default", "kept"]
    with closing(sqlite3.connect(done["kept"])) as connection:
        assert connection.execute("SELECT count(*) FROM profiles").fetchone() == (8,)


def test_a_restore_is_refused_while_a_server_runs_and_names_it(serving, profiles, backup, tmp_path):
    with serving(tmp_path) as server:
        _create(server, "new")
        said = profiles("restore", backup, code=1)
        assert f"(process {server.process.pid})" in said
        assert "Traceback" not in said
        assert "new" in _slugs(server)


def test_a_running_server_serves_a_live_restore_and_goes_on_counting(serving, profiles, backup, tmp_path):
    with serving(tmp_path) as server:
        path = f"{PROFILES}/kept"
        for number in range(7):
            changed = server.request("PATCH", path, {"description": f"{number}"})
        before = changed.json["metadata"]["version"]
        _create(server, "new")
        done = profiles("restore", "--live", backup)
        assert _slugs(server) == ["agent", "default", "kept"]
        assert "description" not in server.request("GET", path).json
        stale = server.request("PATCH", path, {"description": "late", "expected_version": before})
        assert stale.status == 409
        assert server.request("PATCH", path, {"description": "on"}).json["metadata"]["version"] > before
        assert _create(server, "new")["metadata"]["version"] > before
        assert done["version_floor"] >= before
    with serving(tmp_path) as server:
        server.wait_for_log("journal mode wal, writable")
        assert "new" in _slugs(server)


def test_a_damaged_backup_is_refused_and_nothing_is_changed(serving, profiles, backup, tmp_path, database):
    with closing(sqlite3.connect(backup)) as connection, connection:
        connection.execute("UPDATE profiles SET payload_json = '{}' WHERE slug = 'kept'")
    before = database.read_bytes()
    for options in ((), ("--live",)):
        assert "is not sound" in profiles("restore", *options, backup, code=1)
    assert database.read_bytes() == before
    assert not list(database.parent.glob("*restoring*"))


def test_a_database_that_is_no_longer_one_is_replaced_and_kept(serving, profiles, backup, tmp_path, database):
    database.write_bytes(b"broken" * 1000)
    done = profiles("restore", backup)
    with serving(tmp_path) as server:
        assert "kept" in _slugs(server)
    with open(done["kept"], "rb") as kept:  # noqa: PTH123  a path as it was printed
        assert kept.read(6) == b"broken"


def test_a_program_that_has_the_database_open_keeps_a_restore_out(profiles, backup, database):
    with closing(sqlite3.connect(database)) as other:
        other.execute("SELECT count(*) FROM profiles").fetchall()
        assert "end the programs that have it open" in profiles("restore", backup, code=1)
    profiles("restore", backup)


def test_the_database_is_no_backup_of_itself(profiles, backup, database):
    assert "is the database itself" in profiles("restore", database, code=1)


@pytest.fixture
def archive(serving, profiles, tmp_path):
    """A portable archive with the profile `kept`, made beside a server that has been stopped since."""
    with serving(tmp_path) as server:
        _create(server, "kept")
        return profiles("backup", "--format", "archive")["path"]


def test_an_archive_is_listed_verified_tried_and_restored(serving, profiles, archive, tmp_path, database):
    assert archive.endswith(".jsonl")
    (listed,) = profiles("backups")
    assert (listed["path"], listed["format"], listed["verified"], listed["profiles"]) == (archive, "archive", True, 3)
    assert profiles("verify", archive)["sound"]
    assert profiles("restore", "--drill", archive)["passed"]
    with serving(tmp_path) as server:
        before = server.request("PATCH", f"{PROFILES}/kept", {"description": "new"}).json["metadata"]["version"]
        _create(server, "later")
        assert "process" in profiles("restore", archive, code=1)
        done = profiles("restore", "--live", archive)
        assert done["version_floor"] >= before
        assert _slugs(server) == ["agent", "default", "kept"]
        stale = server.request("PATCH", f"{PROFILES}/kept", {"description": "late", "expected_version": before})
        assert stale.status == 409
        _create(server, "later")
    done = profiles("restore", archive)
    assert (done["profiles"], done["sound"]) == (3, True)
    with serving(tmp_path) as server:
        assert _slugs(server) == ["agent", "default", "kept"]
    with closing(sqlite3.connect(done["kept"])) as connection:
        assert connection.execute("SELECT count(*) FROM profiles WHERE slug = 'later'").fetchone() == (1,)


def test_an_archive_that_was_changed_is_refused_with_the_line(profiles, archive, tmp_path, database):
    lines = Path(archive).read_bytes().splitlines(keepends=True)
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(b"".join([*lines[:2], lines[2].replace(b"profile", b"prefile"), *lines[3:]]))
    before = database.read_bytes()
    for command in (("verify",), ("restore",), ("restore", "--live")):
        said = profiles(*command, changed, code=1)
        assert "line 3: it is not what was written there" in said
        assert "Traceback" not in said
    assert database.read_bytes() == before


@pytest.fixture
def quiesce(run, tmp_path, database):
    def command(*arguments):
        return run(tmp_path, "profiles", "quiesce", *arguments, PINOCCHIO_PROFILE_REGISTRY_DB=database)

    return command


def test_a_plain_copy_inside_quiesce_has_everything_and_reads_go_on(serving, quiesce, run, tmp_path, database):
    copy = tmp_path / "copy.db"
    with serving(tmp_path) as server:
        _create(server, "mine")
        url = shlex.quote(f"{server.url}{PROFILES}")
        done = quiesce("--", "sh", "-c", f"cp data/profiles.db copy.db && curl -sf {url} && ls -s data/profiles.db-wal")
        assert done.returncode == 0, done.stderr
        assert '"mine"' in done.stdout
        assert done.stdout.endswith("]0 data/profiles.db-wal\n")
        assert server.request("POST", PROFILES, {"slug": "after"}).status == 201
        assert server.request("GET", "/readyz").status == 200
    assert run(tmp_path, "profiles", "verify", copy).returncode == 0
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM profiles WHERE slug = 'mine'").fetchone() == (1,)


def test_a_write_during_quiesce_waits_and_is_refused_unwritten(serving, quiesce, tmp_path):
    dsn = f"file:{tmp_path}/data/profiles.db?_busy_timeout=50"
    with serving(tmp_path, PINOCCHIO_PROFILE_REGISTRY_DSN=dsn) as server:
        post = "curl -s -o /dev/null -w '%{http_code}' -d '{\"slug\":\"x\"}' -H 'content-type: application/json'"
        done = quiesce("--", "sh", "-c", f"{post} {shlex.quote(server.url + PROFILES)}")
        assert done.stdout == "503"
        assert "x" not in _slugs(server)
        _create(server, "x")


@pytest.mark.parametrize(
    ("command", "code"), [(("sh", "-c", "exit 7"), 7), (("/nowhere/command",), 1), (("sleep", "600"), 124)]
)
def test_quiesce_ends_as_its_command_does_and_lets_go(serving, quiesce, tmp_path, command, code):
    with serving(tmp_path) as server:
        options = ("--timeout", "0.2") if code == 124 else ()
        assert quiesce(*options, "--", *command).returncode == code
        _create(server, "after")


def test_quiesce_says_as_json_what_came_of_the_command(serving, quiesce, tmp_path):
    with serving(tmp_path):
        done = quiesce("--json", "--", "sh", "-c", "echo copied; exit 3")
    assert (done.returncode, done.stderr) == (3, "copied\n")
    document = json.loads(done.stdout)
    assert (document["exit_code"], document["command"][0]) == (3, "sh")


def test_quiesce_runs_nothing_where_it_could_hold_nobody(serving, run, tmp_path, database):
    with serving(tmp_path):
        where = ("--profile-registry-dsn", f"file:{database}?mode=ro")
        done = run(tmp_path, "profiles", "quiesce", *where, "--", "touch", "ran")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "pinocchio: the profile store is read-only: nobody can be kept from writing it\n"
        "  → name it without mode=ro, as a user who may write it\n"
    )
    assert not (tmp_path / "ran").exists()
