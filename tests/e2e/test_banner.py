"""What a running server writes: its banner, its logs, and never the content of a profile."""

import json

import pytest

PROFILES = "/api/chat/profiles"
CANARY = "the-canary-sings-at-midnight"
RAISES = """
from pinocchio_core.plugin import hookimpl

@hookimpl
def pinocchio_validate_profile(profile):
    if profile.slug == "doomed":
        raise RuntimeError("out of tune")
    return ()
"""


def test_banner_says_where_the_database_is_and_what_runs(serving, tmp_path):
    with serving(tmp_path) as first:
        first.wait_for_log(r"plugins agentmode \(pinocchio-agentmode [\d.]+\), .*sqlite \(pinocchio-webchat [\d.]+\)")
        assert f"database {tmp_path}/data/profiles.db: created, journal mode wal, writable" in first.log
    with serving(tmp_path) as second:
        second.wait_for_log(r": opened, 2 profiles in 1 registries, journal mode wal, writable")


def test_without_a_path_the_database_is_in_the_users_data_folder(serving, tmp_path):
    with serving(tmp_path, PINOCCHIO_PROFILE_REGISTRY_DB=None) as server:
        path = server.wait_for_log(r"database (.+/profiles\.db): created")[1]
    databases = list(tmp_path.rglob("profiles.db"))

    assert [str(each) for each in databases] == [path]
    assert "pinocchio" in path


def test_database_in_memory_says_that_it_keeps_nothing(serving, tmp_path):
    with serving(tmp_path, "--profile-registry-db", ":memory:") as server:
        server.wait_for_log("database memory .nothing is kept.: created")
        server.request("POST", PROFILES, {"slug": "fleeting"})
        assert server.request("GET", f"{PROFILES}/fleeting").status == 200
    assert sorted(each.name for each in tmp_path.iterdir()) == ["stdout"]
    with serving(tmp_path, "--profile-registry-db", ":memory:") as server:
        assert server.request("GET", f"{PROFILES}/fleeting").status == 404


def test_dsn_that_says_nothing_of_it_is_journalled_as_a_path_is(serving, tmp_path):
    with serving(tmp_path, "--profile-registry-dsn", "file:./plain.db") as server:
        assert server.wait_for_log(r"plain\.db: created, journal mode (\w+)")[1] == "wal"


def test_blocked_plugin_is_named_and_is_no_fault(serving, tmp_path):
    with serving(tmp_path, PINOCCHIO_BLOCK_PLUGINS="agentmode") as server:
        server.wait_for_log(r"plugin blocked +agentmode \(.*PINOCCHIO_BLOCK_PLUGINS")
        assert server.request("GET", "/readyz").status == 200
        assert [item["slug"] for item in server.request("GET", PROFILES).json] == ["default"]


@pytest.mark.parametrize(
    "variables",
    [
        {"PINOCCHIO_ADDR": "localhost:0", "PINOCCHIO_ROOT": "/under", "PINOCCHIO_DEFAULT_REGISTRY": "main"},
        {
            "PINOCCHIO_PROFILE_REGISTRY_DSN": "file:from-variable.db?_journal_mode=DELETE",
            "PINOCCHIO_THREADS": "2",
            "PINOCCHIO_LOG_FORMAT": "json",
            "PINOCCHIO_PLUGIN_ERRORS": "warn",
        },
    ],
)
def test_every_option_is_also_a_variable(serving, tmp_path, variables):
    with serving(tmp_path, **variables) as server:
        root, registry = variables.get("PINOCCHIO_ROOT", ""), variables.get("PINOCCHIO_DEFAULT_REGISTRY", "default")

        server.wait_for_log("plugins agentmode")
        assert ("http://localhost" in server.url) == (variables.get("PINOCCHIO_ADDR") is not None)
        assert server.request("GET", f"{root}{PROFILES}/default").json["registry"] == registry
        assert (tmp_path / "from-variable.db").exists() == ("PINOCCHIO_PROFILE_REGISTRY_DSN" in variables)
        assert ("journal mode delete" in server.log) == ("PINOCCHIO_PROFILE_REGISTRY_DSN" in variables)
        assert server.log.startswith("{") == ("PINOCCHIO_LOG_FORMAT" in variables)


def test_option_wins_over_its_variable(serving, tmp_path):
    with serving(tmp_path, "--root", "/option", PINOCCHIO_ROOT="/variable") as server:
        assert server.url.endswith("/option")


def test_help_shows_variables_and_defaults(run, tmp_path):
    text = " ".join(run(tmp_path, "web-chat", "--help").stdout.split())

    for option, default in {
        "addr": "127.0.0.1:8080",
        "root": None,
        "profile-registry-db": None,
        "profile-registry-dsn": None,
        "default-registry": "default",
        "threads": "16",
        "log-format": "text",
        "plugin-errors": "strict",
    }.items():
        shown = f"[env var: PINOCCHIO_{option.replace('-', '_').upper()}" + (f"; default: {default}" if default else "")
        assert f"--{option} " in text
        assert shown in text


# logs


@pytest.fixture
def raising(distribution, tmp_path):
    """A folder with a plugin that raises when the profile `doomed` is written."""
    return distribution(tmp_path / "site", "acme_raises", RAISES)


def test_json_log_is_an_object_a_line_from_the_first_to_the_last(serving, raising, ask, tmp_path):
    with serving(tmp_path, "--log-format", "json", PYTHONPATH=raising) as server:
        server.may_log_tracebacks = True
        server.request("POST", PROFILES, {"slug": "doomed"})
        with server.connection() as connection:
            connection.putrequest("GARBAGE", "/")
            connection.endheaders()
            connection.getresponse().read()
        assert server.stop() == 0
    records = [json.loads(line) for line in server.log.splitlines()]

    assert all({"time", "level", "logger", "message"} <= record.keys() for record in records)
    assert "RuntimeError: out of tune" in next(record["exception"] for record in records if "exception" in record)
    assert records[-1]["message"] == "stopped"


def test_request_id_of_a_plugins_failure_is_in_the_log(serving, raising, problem, tmp_path):
    with serving(tmp_path, PYTHONPATH=raising) as server:
        server.may_log_tracebacks = True
        answer = server.request("POST", PROFILES, {"slug": "doomed"}, x_request_id="find-me-1")
        server.stop()

    assert "acme_raises (acme_raises 1.5)" in problem(answer, 500, "plugin failed")["detail"]
    assert "RuntimeError: out of tune" in server.log
    assert "find-me-1" in server.log


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_content_of_profiles_is_never_logged(serving, raising, tmp_path, log_format):
    prompt = {"runtime": {"system_prompt": CANARY}}
    bad = {"slug": "bad", "runtime": {"middlewares": [{"name": "agentmode", "config": {"unknown": CANARY}}]}}
    with serving(tmp_path, "--log-format", log_format, PYTHONPATH=raising) as server:
        server.may_log_tracebacks = True
        answers = [
            server.request("POST", PROFILES, {"slug": "sound"} | prompt),
            server.request("PATCH", f"{PROFILES}/sound", prompt | {"expected_version": 7}),
            server.request("POST", PROFILES, bad),
            server.request("POST", PROFILES, {"slug": "doomed"} | prompt),
            server.request("POST", PROFILES, b'{"slug": "' + CANARY.encode()),
            server.request("GET", f"{PROFILES}?q={CANARY}"),
            server.request("GET", f"/{CANARY}"),
        ]
        server.stop()

    assert [answer.status for answer in answers] == [201, 409, 400, 500, 400, 200, 404]
    assert CANARY not in server.log
    assert CANARY not in (tmp_path / "stdout").read_text()


def test_a_database_that_others_can_read_is_warned_of_at_the_start(serving, tmp_path):
    path = tmp_path / "data/profiles.db"
    with serving(tmp_path) as server:
        assert "permissions" not in server.log
    path.chmod(0o644)
    with serving(tmp_path) as server:
        server.wait_for_log(rf"WARNING.*{path} has permissions 0644.*chmod 600 {path}")


def test_database_that_may_only_be_read_is_served_and_says_so(serving, problem, tmp_path):
    with serving(tmp_path) as server:
        server.stop()
    dsn = f"file:{tmp_path}/data/profiles.db?mode=ro"
    with serving(tmp_path, PINOCCHIO_PROFILE_REGISTRY_DSN=dsn) as server:
        server.wait_for_log("journal mode wal, read-only")
        assert server.request("GET", "/api/chat/profiles/default").status == 200
        problem(server.request("POST", "/api/chat/profiles", {"slug": "new"}), 403, "policy violation")
