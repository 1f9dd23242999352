"""`pinocchio plugins check` and `migrate` over a real database, when a middleware gets another version."""

import json
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from pinocchio_core.bootstrap import assemble
from pinocchio_core.cli.candidate import Candidate
from pinocchio_core.cli.main import build
from pinocchio_core.cli.plugin_check import _lines
from pinocchio_core.errors import PluginsFailed
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.plugin import MiddlewareDefinition, Problem, ToolDefinition, hookimpl
from pinocchio_core.service.upgrades.preflight import Preflight, compared
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp, make_host

PROFILES = "/api/chat/profiles"
V1 = {"properties": {"mark": {"type": "string"}}, "additionalProperties": False}
V2 = {
    "properties": {"ending": {"type": "string", "maxLength": 3}},
    "required": ["ending"],
    "additionalProperties": False,
}
LABELS = """CREATE TABLE IF NOT EXISTS profile_labels (
    registry_slug TEXT NOT NULL, slug TEXT NOT NULL, label TEXT NOT NULL, version INTEGER NOT NULL,
    protected INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL, updated_by TEXT NOT NULL,
    PRIMARY KEY (registry_slug, slug, label)
)"""


def plugin(version, schema, migrate_config=None, *, validate=lambda profile: ()):
    class Plugin:
        def __init__(self):
            self.told = []

        @hookimpl
        def pinocchio_middleware_definitions(self):
            yield MiddlewareDefinition(
                "shout", schema, lambda config: None, version=version, migrate_config=migrate_config
            )

        @hookimpl
        def pinocchio_validate_profile(self, profile):
            return validate(profile)

        @hookimpl
        def pinocchio_profile_changed(self, change):
            self.told.append((change.op, change.slug))

    return Plugin()


def renamed(config, from_version):
    return {"ending": config["mark"]}


OLD, NEW, BARE = plugin(1, V1), plugin(2, V2, renamed), plugin(2, V2)


@pytest.fixture
def database(tmp_path):
    """A database with three profiles, of which the new version's function takes two, and its schema one."""
    path = tmp_path / "profiles.db"
    program = assemble(make_host(OLD), dsn_of_path(str(path)), default_registry="default")
    try:
        app = TestApp(program)
        for slug, mark in (("good", "!"), ("long", "!!!!!"), ("bare", None)):
            use = {"name": "shout"} | ({"config": {"mark": mark}} if mark else {})
            assert app.post(PROFILES, {"slug": slug, "runtime": {"middlewares": [use]}}).status == 201
    finally:
        program.close()
    return path


def pinocchio(plugin, *arguments):
    host = make_host(plugin)
    return CliRunner().invoke(build(host), ["plugins", *map(str, arguments)], obj=host)


def revisions(database):
    sql = "SELECT slug, version, op, actor, source, reason FROM profile_revisions WHERE slug != '' ORDER BY seq"
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def extensions(database, slug):
    with closing(sqlite3.connect(database)) as connection:
        ((payload,),) = connection.execute("SELECT payload_json FROM profiles WHERE slug = ?", (slug,)).fetchall()
    return json.loads(payload).get("extensions")


def test_check_is_content_with_what_was_written_under_the_same_plugins(database):
    done = pinocchio(OLD, "check", "--db", database)

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"looked at      {database}: 3 profiles",
        "0 break, 0 broken already, 0 migrate",
    ]


def test_check_names_every_profile_and_path_that_a_version_breaks(database):
    done = pinocchio(BARE, "check", "--db", database, "--json")

    found = json.loads(done.stdout)
    assert (done.exit_code, found["sound"], found["migrated"]) == (1, False, [])
    assert {each["slug"]: [problem["field"] for problem in each["problems"]] for each in found["breaks"]} == {
        "bare": ["runtime.middlewares[0].config"],
        "good": [
            'extensions["middleware.shout_config@v1"].instances.default',
            "runtime.middlewares[0].config",
        ],
        "long": [
            'extensions["middleware.shout_config@v1"].instances.default',
            "runtime.middlewares[0].config",
        ],
    }


def test_check_previews_what_a_migration_comes_to(database):
    before = database.read_bytes()

    done = pinocchio(NEW, "check", "--db", database, "--json")

    found = json.loads(done.stdout)
    assert [each["slug"] for each in found["migrated"]] == ["good"]
    assert found["migrated"][0]["changes"][-1] == {
        "op": "add",
        "path": "/extensions/middleware.shout_config@v2/instances/default/ending",
        "value": "!",
    }
    assert sorted(each["slug"] for each in found["breaks"]) == ["bare", "long"]
    assert database.read_bytes() == before


def test_check_looks_at_labelled_versions_and_backups(database, tmp_path):
    copy = tmp_path / "copies" / "profiles.db.bak.1"
    copy.parent.mkdir()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"VACUUM INTO '{copy}'")
        connection.execute(LABELS)
        connection.execute("INSERT INTO profile_labels VALUES ('default', 'good', 'stable', 1, 0, 0, '')")

    done = pinocchio(NEW, "check", "--db", database, "--backups", copy.parent, "--json")

    found = json.loads(done.stdout)
    assert [(each["profiles"], each.get("labelled", 0)) for each in found["databases"]] == [(3, 1), (3, 0)]
    (labelled,) = [each for each in found["breaks"] if each["label"]]
    assert (labelled["slug"], labelled["label"], labelled["version"]) == ("good", "stable", 1)
    assert "versions in the history are not migrated" in labelled["problems"][0]["reason"]
    assert sorted(each["slug"] for each in found["breaks"] if each["database"] == str(copy)) == ["bare", "long"]


def test_check_says_what_it_cannot_read(tmp_path):
    (tmp_path / "x.db").write_bytes(b"no database at all, but some bytes in a file")

    done = pinocchio(OLD, "check", "--db", tmp_path / "x.db")

    assert done.exit_code == 1
    assert f"UNREADABLE     {tmp_path / 'x.db'} cannot be read as a database" in done.stdout
    assert "  → take another backup, or restore one" in done.stdout.splitlines()


def test_check_without_a_database_looks_at_the_plugins_alone(tmp_path):
    host = make_host(OLD)
    done = CliRunner(env={"XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)}).invoke(
        build(host), ["plugins", "check"], obj=host
    )

    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            f"note           no database is named, and there is none at {tmp_path}/pinocchio/profiles.db",
            "0 break, 0 broken already, 0 migrate",
        ],
    )


def test_check_says_where_there_is_no_backup(database, tmp_path):
    (tmp_path / "none").mkdir()

    done = pinocchio(OLD, "check", "--db", database, "--backups", tmp_path / "none")

    assert done.exit_code == 0
    assert f"note           there is no backup of profiles.db in {tmp_path / 'none'}" in done.stdout.splitlines()


def test_status_and_name_of_a_plugin_do_not_run_together():
    candidate = Candidate("acme-shout", "1.0", None)
    preflight = Preflight(
        plugins=({"distribution": "acme-shout", "status": "contribution_failed", "name": "shout", "detail": "why"},)
    )

    lines = list(_lines([candidate], preflight, compared(None, preflight), []))

    assert lines[1] == "contribution_failed shout why"


@pytest.mark.parametrize("command", ["check", "migrate"])
def test_problem_with_the_whole_profile_has_no_field(database, refused, command):
    lines = pinocchio(refused, command, "--db", database).stdout.splitlines()

    assert '    profile "good" in registry "default" is read-only' in [line[:53] for line in lines]


def test_texts_that_cannot_be_encoded_do_not_break_a_document(database):
    def failing(*_):
        raise ValueError("half \ud83d")

    class Broken:
        @hookimpl
        def pinocchio_tools(self):
            failing()

    def told(host, *arguments):
        command = ["plugins", *arguments, "--json"]
        return json.dumps(json.loads(CliRunner().invoke(build(host), command, obj=host).stdout))

    carried = make_host(plugin(2, V2, failing))
    for text in (
        told(Host(given_plugins([Broken()]))),
        told(Host(given_plugins([Broken()])), "check", "--db", str(database)),
        told(carried, "check", "--db", str(database)),
        told(carried, "migrate", "--db", str(database)),
    ):
        assert r"ValueError: half \\ud83d" in text


def test_advice_to_a_command_is_something_that_it_can_do(database):
    class Broken:
        @hookimpl
        def pinocchio_tools(self):
            return 5

    host = Host(given_plugins([NEW, Broken()]))
    done = CliRunner().invoke(build(host), ["plugins", "migrate", "--db", str(database)], obj=host)

    assert isinstance(done.exception, PluginsFailed)
    assert done.exception.next_step == "repair or uninstall them or name them in PINOCCHIO_BLOCK_PLUGINS"


@pytest.mark.parametrize(
    "command",
    [
        ["plugins", "migrate", "--db"],
        ["profiles", "restore-version", "a", "1", "--profile-registry-db"],
    ],
)
def test_empty_file_does_not_become_a_database(tmp_path, command):
    path = tmp_path / "empty.db"
    path.touch()
    host = make_host(NEW)

    done = CliRunner().invoke(build(host), [*command, str(path)], obj=host)

    assert str(done.exception) == f"{path} is empty, which is no database"
    assert [each.stat().st_size for each in tmp_path.iterdir()] == [0]


def test_migrate_writes_one_revision_a_profile_and_no_second_one(database, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann")
    plugin = NEW.__class__()

    first, second = (pinocchio(plugin, "migrate", "--db", database) for _ in range(2))

    assert (first.exit_code, second.exit_code) == (1, 1)
    assert first.stdout.startswith('migrated profile "good" in registry "default": config of shout v1 → v2\n')
    assert revisions(database)[3:] == [("good", 2, "update", "cli:ann", "cli", "config of shout v1 → v2")]
    assert extensions(database, "good") == {"middleware.shout_config@v2": {"instances": {"default": {"ending": "!"}}}}
    assert plugin.told == [("update", "good")]
    assert second.stdout.endswith("0 migrated, 1 not\n")


def test_migrate_leaves_a_profile_alone_that_would_not_be_valid(database):
    done = pinocchio(NEW, "migrate", "--db", database)

    assert 'NOT migrated: profile "long" in registry "default"' in done.stdout
    assert "must have at most 3 characters" in done.stdout
    assert extensions(database, "long") == {"middleware.shout_config@v1": {"instances": {"default": {"mark": "!!!!!"}}}}


def test_dry_run_says_what_migrate_then_does(database):
    before = database.read_bytes()
    dry = json.loads(pinocchio(NEW, "migrate", "--db", database, "--dry-run", "--json").stdout)
    assert database.read_bytes() == before

    done = json.loads(pinocchio(NEW, "migrate", "--db", database, "--json").stdout)

    without_version = [{**each, "version": None} for each in done]
    assert without_version == [{**each, "version": None} for each in dry]
    assert [(each["slug"], each["version"]) for each in done] == [("good", 2), ("long", 1)]


@pytest.fixture
def refused(database):
    """A plugin that likes nothing of its new version, and a database with a profile that is read-only besides."""
    program = assemble(make_host(OLD), dsn_of_path(str(database)), default_registry="default")
    try:
        locked = TestApp(program).patch(f"{PROFILES}/good", {"policy": {"allow_overrides": False, "read_only": True}})
        assert locked.status == 200
        loud = {"slug": "loud", "runtime": {"middlewares": [{"name": "shout", "config": {"mark": "?"}}]}}
        assert TestApp(program).post(PROFILES, loud).status == 201
    finally:
        program.close()
    disliked = [Problem(field="slug", reason="is not liked")]
    return plugin(2, V2, renamed, validate=lambda profile: disliked if "@v2" in str(profile.extensions) else ())


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_migrate_says_which_profiles_are_read_only_or_refused_by_a_hook(database, refused, dry):
    done = json.loads(pinocchio(refused, "migrate", "--db", database, "--json", *dry).stdout)

    reasons = {each["slug"]: each["problems"][0]["reason"] for each in done}
    assert "is read-only" in reasons["good"]
    assert reasons["loud"] == "is not liked"
    assert [row[0] for row in revisions(database)] == ["good", "long", "bare", "good", "loud"]


def test_check_says_what_migrate_would_refuse(database, refused):
    done = pinocchio(refused, "check", "--db", database, "--json")

    found = json.loads(done.stdout)
    assert (done.exit_code, found["migrated"]) == (1, [])
    reasons = {each["slug"]: each["problems"][0]["reason"] for each in found["breaks"]}
    assert "is read-only" in reasons["good"]
    assert reasons["loud"] == "is not liked"
    assert all(each["changes"] == [] for each in found["breaks"])


class Clock:
    """A plugin that is not installed any more when the other one is upgraded."""

    @hookimpl
    def pinocchio_tools(self):
        yield ToolDefinition("clock", description="", arguments_schema={}, call=lambda arguments: "now")


def test_check_and_migrate_count_the_same(database):
    program = assemble(make_host(OLD, Clock()), dsn_of_path(str(database)), default_registry="default")
    try:
        runtime = {"middlewares": [{"name": "shout", "config": {"mark": "?"}}], "tools": ["clock"]}
        assert TestApp(program).post(PROFILES, {"slug": "stale", "runtime": runtime}).status == 201
    finally:
        program.close()

    check = json.loads(pinocchio(NEW, "check", "--db", database, "--json").stdout)
    dry = json.loads(pinocchio(NEW, "migrate", "--db", database, "--dry-run", "--json").stdout)

    carried = [each["slug"] for each in dry if not each["problems"]]
    assert [each["slug"] for each in check["migrated"]] == carried == ["good", "stale"]
    assert sorted(each["slug"] for each in check["breaks"]) == ["bare", "long", "stale"]


def test_check_tells_plugins_of_the_database_before_it_asks_them(database):
    told = []

    class Told:
        @hookimpl
        def pinocchio_startup(self, info):
            told.append(info.database_path)

        @hookimpl
        def pinocchio_validate_profile(self, profile):
            assert told == [database]
            told.append(profile.slug)

        @hookimpl
        def pinocchio_shutdown(self):
            told.append("end")

    host = make_host(NEW, Told())
    CliRunner().invoke(build(host), ["plugins", "check", "--db", str(database)], obj=host)

    assert told == [database, "good", "end"]


def test_plugin_that_fails_once_it_knows_of_the_database_is_a_fault(database):
    class Failing:
        @hookimpl
        def pinocchio_startup(self, info):
            raise OSError("no such drum")

    host = make_host(OLD, Failing())
    done = CliRunner().invoke(build(host), ["plugins", "check", "--db", str(database)], obj=host)

    assert done.exit_code == 1
    assert "pinocchio_startup raised OSError: no such drum" in done.stdout


def test_migrate_goes_on_from_what_another_program_wrote_meanwhile(database):
    meanwhile = []

    def interrupted(config, from_version):
        if not meanwhile:
            meanwhile.append(config)
            program = assemble(make_host(OLD), dsn_of_path(str(database)), default_registry="default")
            try:
                assert TestApp(program).patch(f"{PROFILES}/good", {"description": "new"}).status == 200
            finally:
                program.close()
        return renamed(config, from_version)

    done = json.loads(pinocchio(plugin(2, V2, interrupted), "migrate", "--db", database, "--json").stdout)

    assert (done[0]["slug"], done[0]["version"], done[0]["problems"]) == ("good", 3, [])
    assert [row[:3] for row in revisions(database)[3:]] == [("good", 2, "update"), ("good", 3, "update")]
    with closing(sqlite3.connect(database)) as connection:
        ((description,),) = connection.execute("SELECT description FROM profiles WHERE slug = 'good'").fetchall()
    assert description == "new"


def test_migrate_does_not_make_a_database(tmp_path):
    done = pinocchio(NEW, "migrate", "--db", tmp_path / "none.db")

    assert done.exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["check", "migrate"])
def test_database_in_memory_is_refused(command):
    assert "in memory" in str(pinocchio(NEW, command, "--db", ":memory:").exception)


def test_plugins_without_a_command_lists_them_as_before():
    listed = pinocchio(OLD, "--json")

    assert [each["name"] for each in json.loads(listed.stdout)] == ["Plugin"]
    assert pinocchio(OLD, "--json", "check").exit_code == 2


def test_doctor_says_whose_configs_are_for_another_version(database):
    def configs(plugin):
        host = make_host(plugin)
        arguments = ["profiles", "doctor", "--profile-registry-db", str(database), "--json"]
        done = CliRunner().invoke(build(host), arguments, obj=host)
        (check,) = [each for each in json.loads(done.stdout)["checks"] if each["name"] == "configs"]
        return check

    assert configs(OLD)["state"] == "ok"
    for plugin in (NEW, BARE):
        found = configs(plugin)
        assert found["state"] == "warning"
        assert 'profile "good"' in found["detail"]
        assert 'profile "bare"' not in found["detail"]
        assert "pinocchio plugins migrate" in found["next_step"]
