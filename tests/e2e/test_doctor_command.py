"""`pinocchio profiles doctor`, `verify --with-plugins` and `restore --drill`, as an operator runs them."""

import json
import signal
import sqlite3
from contextlib import closing

import pytest

PROFILES = "/api/chat/profiles"


@pytest.fixture
def database(tmp_path):
    return tmp_path / "data/profiles.db"


@pytest.fixture
def command(run, tmp_path, database):
    """`command("doctor", …)`: a command on the database; returns its exit code and what it printed as JSON."""

    def profiles(*arguments, **variables):
        variables = {"PINOCCHIO_PROFILE_REGISTRY_DB": database} | variables
        done = run(tmp_path, "profiles", *arguments, "--json", **variables)
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout)

    return profiles


@pytest.fixture
def doctor(command):
    """`doctor(…)`: what it says of each check, `{name: (state, detail)}`, after its exit code."""

    def look(*options, **variables):
        code, document = command("doctor", *options, **variables)
        assert document["sound"] == (code == 0)
        return code, {each["name"]: (each["state"], each["detail"]) for each in document["checks"]}

    return look


@pytest.fixture
def backup(serving, command, tmp_path):
    """A backup of a stopped server's database."""
    with serving(tmp_path):
        pass
    return command("backup")[1]["path"]


def test_a_sound_database_is_sound_in_every_respect_also_while_it_is_served(serving, doctor, command, tmp_path):
    with serving(tmp_path) as server:
        assert command("backup")[0] == 0
        code, found = doctor()
        assert (code, {state for state, _ in found.values()}) == (0, {"ok"}), found
        assert found["servers"][1] == f"open in process {server.process.pid}"
    assert doctor()[1]["servers"] == ("ok", "none has it open")


def test_the_report_for_people_has_a_line_a_check_and_what_to_do(backup, run, tmp_path, database):
    database.chmod(0o644)
    done = run(tmp_path, "profiles", "doctor", PINOCCHIO_PROFILE_REGISTRY_DB=database)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == str(database)
    assert any(line.startswith("warning  permissions") and f"chmod 600 {database}" in line for line in lines)
    assert "→ run the commands" in done.stdout


def test_looking_changes_nothing(serving, doctor, tmp_path, database):
    with serving(tmp_path) as server:
        assert server.request("POST", PROFILES, {"slug": "mine"}).status == 201
        server.signal(signal.SIGKILL)
        server.wait()
    files = [database, database.with_name("profiles.db-wal")]
    before = [path.read_bytes() for path in files]
    assert doctor()[1]["log"][0] == ("warning" if before[1] else "ok")
    assert [path.read_bytes() for path in files] == before


def test_what_is_no_database_is_said_and_exits_with_1(doctor, backup, database, tmp_path):
    assert "there is no file at" in doctor(PINOCCHIO_PROFILE_REGISTRY_DB=tmp_path / "missing.db")[1]["database"][1]
    database.write_bytes(b"no database" * 1000)
    code, found = doctor()
    assert (code, found["database"][0]) == (1, "wrong")


def test_a_table_that_is_missing_is_said(doctor, tmp_path, database):
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE other (a)")
    code, found = doctor()
    assert (code, found["database"][0]) == (1, "wrong")
    assert "is not a database of this program" in found["database"][1]


def test_damaged_rows_and_profiles_of_missing_plugins_are_named(doctor, command, backup, database):
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE profiles SET payload_json = '{}' WHERE slug = 'default'")
    code, found = doctor(PINOCCHIO_LOAD_PLUGINS="")
    assert (code, found["rows"][0], found["profiles"][0]) == (1, "wrong", "warning")
    assert 'profile "default" in registry "default" is unreadable' in found["rows"][1]
    assert (
        'profile "agent" in registry "default": runtime.middlewares[0].name: unknown middleware' in found["profiles"][1]
    )
    code, document = command("verify", "--with-plugins", backup, PINOCCHIO_LOAD_PLUGINS="")
    assert (code, document["sound"]) == (1, True)
    assert 'profile "agent"' in document["refused"][0]
    assert command("verify", backup, PINOCCHIO_LOAD_PLUGINS="")[0] == 0
    assert command("verify", "--with-plugins", backup)[0] == 0


def test_versions_of_the_history_that_are_broken_are_named_and_keep_no_backup_from_being_made(
    doctor, backup, run, tmp_path, database
):
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE profile_revisions SET payload_json = '{' WHERE slug = 'agent'")
    said = 'version 1 of profile "agent" in registry "default"'
    code, found = doctor()
    assert (code, found["rows"][0], said in found["rows"][1]) == (0, "warning", True)
    where = {"PINOCCHIO_PROFILE_REGISTRY_DB": database}
    assert run(tmp_path, "profiles", "backup", tmp_path / "copy.db", **where).returncode == 0
    verified = run(tmp_path, "profiles", "verify", tmp_path / "copy.db")
    assert (verified.returncode, said in verified.stdout) == (1, True)


def test_a_lock_that_another_program_holds_is_found(doctor, backup, database):
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, found = doctor()
        assert (code, found["writing"]) == (1, ("wrong", "a write cannot begin: database is locked"))
        other.execute("ROLLBACK")
        assert doctor()[0] == 0


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("_synchronous=NORMAL", "synchronous NORMAL"),
        ("_busy_timeout=100", "busy timeout 100 ms"),
    ],
)
def test_settings_that_lose_or_refuse_writes_are_warned_of(doctor, backup, database, parameters, said):
    code, found = doctor(PINOCCHIO_PROFILE_REGISTRY_DSN=f"file:{database}?{parameters}")
    assert (code, found["journal"][0]) == (0, "warning")
    assert said in found["journal"][1]


def test_a_backup_that_is_missing_or_old_or_of_the_future_is_warned_of(doctor, backup, tmp_path):
    assert doctor()[1]["backups"][0] == "ok"
    code, found = doctor("--backup-dir", tmp_path)
    assert (code, found["backups"][0]) == (0, "warning")
    assert "no verified backup" in found["backups"][1]
    manifest = f"{backup}.manifest.json"
    with open(manifest) as file:  # noqa: PTH123  a path as it was printed
        document = json.load(file)
    for time in ("2020-02-02T02:02:02+00:00", "2999-02-02T02:02:02+00:00"):
        with open(manifest, "w") as file:  # noqa: PTH123
            json.dump(document | {"created_at": time}, file)
        assert doctor("--max-backup-age", "52w")[1]["backups"][0] == "warning"


def test_labels_that_point_nowhere_are_said(serving, backup, doctor, tmp_path, database):
    with serving(tmp_path) as server:
        for label in ("a", "b"):
            assert server.request("PUT", f"{PROFILES}/agent/labels/{label}", {"version": 1}).status == 201
    assert doctor()[1]["labels"] == ("ok", "each points at a version that is there")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE profile_labels SET version = 7 WHERE label = 'b'")
    code, found = doctor()

    assert code == 1
    assert found["labels"] == ("wrong", "these point at no version that can be used: agent@b of registry default")


def test_a_registry_without_a_default_is_warned_of(doctor, backup, database):
    assert doctor("--default-registry", "other")[1]["default"] == ("warning", 'there is no registry "other"')
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE profile_registries SET default_profile_slug = NULL")
    assert doctor()[1]["default"] == ("warning", 'registry "default" has no default profile')


def test_a_drill_serves_the_backup_and_leaves_nothing_behind(command, backup, tmp_path, database):
    before = database.read_bytes()
    (tmp_path / "tmp").mkdir()
    code, document = command("restore", "--drill", backup, TMPDIR=tmp_path / "tmp")
    assert (code, document["passed"]) == (0, True)
    names = [each["name"] for each in document["checks"]]
    assert names == [
        *("restore", "manifest", "plugins", "lists", "default", "schemas", "conflict"),
        *("chat by profile", "chat by registry", "readiness"),
    ]
    assert database.read_bytes() == before
    assert not list((tmp_path / "tmp").iterdir())


def test_a_drill_fails_where_the_backup_would_not_serve(command, run, backup, tmp_path):
    code, document = command("restore", "--drill", backup, PINOCCHIO_LOAD_PLUGINS="")
    assert (code, [each["name"] for each in document["checks"] if not each["passed"]]) == (1, ["plugins"])
    with open(backup, "r+b") as file:  # noqa: PTH123  a path as it was printed
        file.seek(5000)
        file.write(b"damage")
    done = run(tmp_path, "profiles", "restore", "--drill", backup)
    assert done.returncode == 1
    assert done.stdout.startswith("FAILED  restore")
    assert "is not sound" in done.stdout
    assert command("restore", "--drill", tmp_path / "missing")[1]["passed"] is False


def test_a_drill_is_not_live(run, tmp_path):
    done = run(tmp_path, "profiles", "restore", "--drill", "--live", "backup")
    assert done.returncode == 2
    assert "choose one" in done.stderr


@pytest.mark.parametrize("name", ["python", "apsw"])
def test_which_sqlite_runs_is_said_and_its_fault_warned_of_where_it_has_that(serving, doctor, tmp_path, name):
    if name == "apsw":
        pytest.importorskip("apsw", reason="the extra `apsw` is not installed")
    with serving(tmp_path, PINOCCHIO_SQLITE=name) as server:
        version, own = server.wait_for_log(r"writable, SQLite ([\d.]+)( of apsw)?").groups()
    assert bool(own) == (name == "apsw")
    detail = doctor(PINOCCHIO_SQLITE=name)[1]["journal"][1]
    assert f"SQLite {version}" in detail
    assert ("before 3.51.3" in detail) == (tuple(map(int, version.split("."))) < (3, 51, 3))


def test_a_webhook_that_fails_is_named_with_what_it_answered(backup, doctor, database):
    with closing(sqlite3.connect(database)) as connection, connection:
        for name, attempts in (("fine", 0), ("ci", 3)):
            connection.execute(
                "INSERT INTO webhook_cursors (name, seq, attempts, last_error) VALUES (?, 1, ?, ?)",
                (name, attempts, "it answered with 500"),
            )
    code, found = doctor()
    assert (code, found["webhooks"]) == (0, ("warning", "ci fails: it answered with 500"))
