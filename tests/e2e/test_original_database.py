"""A database that the original program wrote opens as it is, and loses nothing."""

import json
import sqlite3
from contextlib import closing

import pytest

PROFILES = "/api/chat/profiles"
LAYOUT = """CREATE TABLE profile_registries (
    slug TEXT PRIMARY KEY,
    payload_json TEXT NOT NULL,
    updated_at_ms INTEGER NOT NULL DEFAULT 0
)"""
WRITTEN_AT_MS = 1_700_000_500_000
CONCIERGE = {
    "slug": "concierge",
    "display_name": "Concierge",
    "description": "Knows the house",
    "runtime": {
        "step_settings_patch": {"ai-chat": {"ai-engine": "small-model"}},
        "system_prompt": "Greet every guest by name.",
        "middlewares": [
            {"name": "agentmode", "id": "desk", "enabled": False},
            {"name": "sqlite"},
        ],
        "tools": ["calculator"],
    },
    "policy": {"allow_overrides": True, "denied_override_keys": ["tools"], "read_only": False},
    "metadata": {
        "source": "http-api",
        "version": 5,
        "created_at_ms": 1_700_000_000_000,
        "updated_at_ms": 1_700_000_400_000,
        "created_by": "web-chat",
        "updated_by": "web-chat",
        "tags": ["hotel"],
    },
    "extensions": {
        "acme.keys@v2": {"floor": [3, {"room": None}]},
        "middleware.agentmode_config@v1": {"instances": {"id:desk": {"default_mode": "greeter"}}},
        "middleware.sqlite_config@v1": {"instances": {"index:1": {"max_rows": 7}}},
    },
}
NIGHT = {
    "slug": "night",
    "runtime": {
        "system_prompt": "Whisper.",
        "middlewares": [{"name": "agentmode", "id": "lamp", "config": {"default_mode": "quiet"}}],
    },
    "policy": {"allow_overrides": False, "read_only": False},
    "metadata": {},
}
HOUSE = {
    "slug": "default",
    "default_profile_slug": "concierge",
    "profiles": {"concierge": CONCIERGE, "night": NIGHT},
    "metadata": {"source": "http-api", "version": 9, "created_at_ms": 1_700_000_000_000, "updated_by": "web-chat"},
}


@pytest.fixture
def database(tmp_path):
    """Write a database of the original program; returns its path."""

    def write(*rows):
        path = tmp_path / "original.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(LAYOUT)
            connection.executemany("INSERT INTO profile_registries VALUES (?, ?, ?)", rows)
            connection.commit()
        return path

    return write


def row(registry, slug=None):
    return (slug or registry["slug"], json.dumps(registry), WRITTEN_AT_MS)


@pytest.fixture
def opened(serving, database, tmp_path):
    """A server on such a database."""
    return lambda *rows: serving(tmp_path, "--profile-registry-db", database(*rows))


def test_profiles_keep_their_content_versions_and_times(opened):
    with opened(row(HOUSE)) as server:
        served = server.request("GET", f"{PROFILES}/concierge").json
        registry = server.request("GET", "/api/chat/registries/default").json

    assert served == {
        "registry": "default",
        "is_default": True,
        **CONCIERGE,
        "extensions": {
            **CONCIERGE["extensions"],
            "middleware.sqlite_config@v1": {"instances": {"default": {"max_rows": 7}}},
        },
    }
    assert registry["metadata"]["version"] == 9
    assert registry["metadata"]["updated_at_ms"] == WRITTEN_AT_MS


def test_inline_config_moves_to_its_typed_key_and_versions_begin_at_1(opened):
    with opened(row(HOUSE)) as server:
        served = server.request("GET", f"{PROFILES}/night").json

    assert served["runtime"]["middlewares"] == [{"name": "agentmode", "id": "lamp"}]
    assert served["extensions"] == {
        "middleware.agentmode_config@v1": {"instances": {"id:lamp": {"default_mode": "quiet"}}}
    }
    assert served["metadata"]["version"] == 1


def test_nothing_is_added_and_versions_go_on_from_where_they_were(opened, problem):
    with opened(row(HOUSE)) as server:
        assert [item["slug"] for item in server.request("GET", PROFILES).json] == ["concierge", "night"]
        path = f"{PROFILES}/concierge"
        problem(server.request("PATCH", path, {"description": "x", "expected_version": 4}), 409, "version conflict")
        changed = server.request("PATCH", path, {"description": "Knows all", "expected_version": 5})

        assert (changed.status, changed.json["metadata"]["version"]) == (200, 6)
        assert changed.json["extensions"]["acme.keys@v2"] == {"floor": [3, {"room": None}]}


def test_sound_database_opens_without_a_warning_and_keeps_its_rows_as_they_were(database, serving, tmp_path):
    path = database(row(HOUSE))
    path.chmod(0o600)
    with serving(tmp_path, "--profile-registry-db", path) as server:
        server.wait_for_log(r"opened, 2 profiles in 1 registries")
        server.stop()
        assert "WARNING" not in server.log
    with closing(sqlite3.connect(tmp_path / "original.db")) as connection:
        assert connection.execute("SELECT * FROM legacy_profile_registries").fetchall() == [row(HOUSE)]
    with serving(tmp_path, "--profile-registry-db", "original.db") as again:
        again.wait_for_log(r"opened, 2 profiles in 1 registries")


def test_missing_default_is_repaired_and_said(opened):
    with opened(row(HOUSE | {"default_profile_slug": "gone"})) as server:
        server.wait_for_log('registry "default" had the default "gone", which is missing; it is now "concierge"')

        assert [item["is_default"] for item in server.request("GET", PROFILES).json] == [True, False]


def test_repeated_middleware_without_ids_gets_them_and_keeps_each_config(opened):
    twice = NIGHT | {
        "runtime": {"middlewares": [{"name": "sqlite"}, {"name": "sqlite"}]},
        "extensions": {
            "middleware.sqlite_config@v1": {"instances": {"index:0": {"max_rows": 1}, "index:1": {"max_rows": 2}}}
        },
    }
    with opened(row(HOUSE | {"profiles": {"night": twice}, "default_profile_slug": "night"})) as server:
        server.wait_for_log('profile "night" of registry "default": repeated middlewares now have ids')
        served = server.request("GET", f"{PROFILES}/night").json
    uses = served["runtime"]["middlewares"]
    slots = [f"id:{use['id']}" if "id" in use else "default" for use in uses]
    instances = served["extensions"]["middleware.sqlite_config@v1"]["instances"]

    assert [instances[slot]["max_rows"] for slot in slots] == [1, 2]


@pytest.mark.parametrize(
    "broken",
    ["", "{", "[]", "null", '{"slug": "broken", "profiles": 7}', '{"profiles": {"x": {"runtime": []}, "y": {}}}'],
)
def test_broken_row_does_not_take_the_others_down(opened, tmp_path, broken):
    with opened(row(HOUSE), ("broken", broken, 0)) as server:
        server.wait_for_log(r"of registry \"broken\" was not taken over|registry \"broken\" was not taken over")

        assert server.request("GET", f"{PROFILES}/night").status == 200
        server.stop()
    with closing(sqlite3.connect(tmp_path / "original.db")) as connection:
        kept = dict(connection.execute("SELECT slug, payload_json FROM legacy_profile_registries").fetchall())
    assert kept["broken"] == broken


def test_null_and_bytes_where_texts_belong_do_not_stop_the_start(serving, run, tmp_path):
    path = tmp_path / "odd.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(LAYOUT.replace(" NOT NULL", ""))
        rows = [(b"default", json.dumps(HOUSE), "soon"), ("null", None, 1.5), (None, "{}", None)]
        connection.executemany("INSERT INTO profile_registries VALUES (?, ?, ?)", rows)
    verified = run(tmp_path, "profiles", "verify", path)
    assert (verified.returncode, verified.stderr) == (1, "")
    assert 'registry "null": ' in verified.stdout
    with serving(tmp_path, "--profile-registry-db", path) as server:
        server.wait_for_log('registry \\"?null\\"? was not taken over')
        assert [item["slug"] for item in server.request("GET", PROFILES).json] == ["concierge", "night"]
        assert server.request("GET", "/api/chat/registries/default").status == 200


def test_broken_default_registry_does_not_stop_the_start(opened):
    with opened(("default", "{", 0)) as server:
        server.wait_for_log('registry "default" was not taken over')

        assert server.request("GET", "/healthz").status == 200
        assert server.request("GET", PROFILES).status == 200


def test_empty_table_is_a_new_database(opened):
    with opened() as server:
        assert [item["slug"] for item in server.request("GET", PROFILES).json] == ["agent", "default"]


def test_registry_with_nothing_in_it_stays_empty(opened):
    with opened(row({"slug": "default", "default_profile_slug": "", "profiles": {}, "metadata": {}})) as server:
        assert server.request("GET", PROFILES).json == []


def test_backup_of_such_a_database_serves(database, run, tmp_path):
    path = database(row(HOUSE))
    made = run(tmp_path, "profiles", "backup", "copy.db", "--profile-registry-db", path)
    assert made.returncode == 0, made.stderr
    tried = run(tmp_path, "profiles", "restore", "--drill", "copy.db")

    assert (tried.returncode, tried.stderr) == (0, ""), tried.stdout
    assert "ok      manifest" in tried.stdout
    assert "ok      chat by" in tried.stdout


def test_what_builds_on_others_is_said_when_it_is_exported_and_when_it_is_opened(serving, run, tmp_path):
    with serving(tmp_path) as server:
        over = {"slug": "over", "runtime": {"extends": [{"slug": "default"}]}}
        assert server.request("POST", PROFILES, over).status == 201
    where = ("--profile-registry-db", "data/profiles.db")
    done = run(tmp_path, "profiles", "export", "--format", "go-sqlite", "-o", "go.db", *where)

    assert done.returncode == 0
    assert done.stderr == (
        'profile "over" in registry "default" builds on others, which the original program does not know:'
        " it has only its own part there\n"
    )
    with serving(tmp_path, "--profile-registry-db", "go.db") as server:
        server.wait_for_log('profile "over" of registry "default": what it builds on was not taken over')
