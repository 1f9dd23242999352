"""The operators' runbook, steps 1 to 3b: its own commands, word for word, against a real server."""

import json
import shlex
import shutil
import socket
import subprocess

import pytest

BY_PATH = "pinocchio web-chat --profile-registry-db ./data/profiles.db"
BY_DSN = r"""pinocchio web-chat \
  --profile-registry-dsn "file:./data/profiles.db?_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=on"
"""
PROFILES = "curl -s http://localhost:8080/api/chat/profiles | jq ."
MIDDLEWARES = "curl -s http://localhost:8080/api/chat/schemas/middlewares | jq ."
EXTENSIONS = "curl -s http://localhost:8080/api/chat/schemas/extensions | jq ."
FIRST_MIDDLEWARE = r"""curl -s http://localhost:8080/api/chat/schemas/middlewares \
  | jq '.[0] | {name,version,display_name,description}'
"""
FIRST_MIDDLEWARE_KEY = r"""curl -s http://localhost:8080/api/chat/schemas/extensions \
  | jq 'map(select(.key | startswith("middleware."))) | .[0].key'
"""
UNKNOWN_MIDDLEWARE = r"""curl -s -X POST http://localhost:8080/api/chat/profiles \
  -H 'content-type: application/json' \
  -d '{"slug":"bad-mw","runtime":{"middlewares":[{"name":"does_not_exist"}]}}'
"""
INVALID_CONFIG = r"""curl -s -X POST http://localhost:8080/api/chat/profiles \
  -H 'content-type: application/json' \
  -d '{"slug":"bad-config","runtime":{"middlewares":[{"name":"agentmode","config":{"unknown":"x"}}]}}'
"""
TYPED_KEY = r"""curl -s -X POST http://localhost:8080/api/chat/profiles \
  -H 'content-type: application/json' \
  -d '{
    "slug":"analyst",
    "runtime":{"middlewares":[{"name":"agentmode","id":"default","enabled":true}]},
    "extensions":{
      "middleware.agentmode_config@v1":{
        "instances":{"id:default":{"default_mode":"financial_analyst"}}
      }
    }
  }' | jq .
"""
COPY = "cp ./data/profiles.db ./data/profiles.db.bak.$(date +%Y%m%d-%H%M%S)"
PUT_BACK = "cp ./data/profiles.db.bak.20260223-220000 ./data/profiles.db"
SQL_CHECK = 'sqlite3 ./data/profiles.db "SELECT slug, updated_at_ms FROM profile_registries ORDER BY slug;"'


def rejoined(command):
    return command.replace("\\\n", " ")


def need(*commands):
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        pytest.skip(f"this machine has no {' and no '.join(missing)}")


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture(scope="module", params=["path", "dsn", "path on port 8080"])
def server(request, serving, tmp_path_factory):
    """Step 1."""
    command = BY_DSN if request.param == "dsn" else BY_PATH
    address = "127.0.0.1:0"
    if request.param.endswith("8080"):
        if not is_free(8080):
            pytest.skip("another program listens on port 8080")
        address = None
    program, subcommand, *options = shlex.split(rejoined(command))
    assert (program, subcommand) == ("pinocchio", "web-chat")
    cwd = tmp_path_factory.mktemp("runbook")
    with serving(cwd, *options, PINOCCHIO_ADDR=address, PINOCCHIO_PROFILE_REGISTRY_DB=None) as server:
        yield server


@pytest.fixture
def shell(server, shell_at):
    """Run a command as it stands in the runbook, only its port replaced; returns what it prints."""
    need("bash", "curl", "jq")

    def run_command(command):
        ran = shell_at(server, command)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    return run_command


@pytest.fixture
def status_of(shell):
    """The HTTP status that a command of curl is answered with."""
    return lambda command: int(shell(command.replace("curl -s ", "curl -s -o /dev/null -w '%{http_code}' ", 1)))


def test_step_1_keeps_the_database_where_it_was_told(server):
    database = server.cwd / "data/profiles.db"

    assert database.is_file()
    assert server.wait_for_log(r"database (\S+): created, journal mode (\w+)").groups() == (str(database), "wal")


def test_step_2_lists_profiles(shell):
    listed = json.loads(shell(PROFILES))

    assert [(item["slug"], item["is_default"]) for item in listed][:2] == [("agent", False), ("default", True)]


@pytest.mark.parametrize("command", [MIDDLEWARES, EXTENSIONS], ids=["middlewares", "extensions"])
def test_step_2_schema_catalogues_are_arrays_with_schemas(shell, command):
    listed = json.loads(shell(command))

    assert listed
    assert all(item["schema"]["type"] == "object" for item in listed)


def test_step_2_middleware_items_have_the_four_fields(shell):
    first = json.loads(shell(FIRST_MIDDLEWARE))

    assert first["name"] == "agentmode"
    assert first["version"] == 1
    assert first["display_name"]
    assert first["description"]


def test_step_2_extension_keys_are_typed(shell):
    assert shell(FIRST_MIDDLEWARE_KEY) == '"middleware.agentmode_config@v1"\n'


@pytest.mark.parametrize(
    ("command", "field"),
    [(UNKNOWN_MIDDLEWARE, "runtime.middlewares[0].name"), (INVALID_CONFIG, "runtime.middlewares[0].config")],
    ids=["unknown middleware", "invalid config"],
)
def test_step_3_refuses_what_the_catalogue_does_not_allow(shell, status_of, command, field):
    answer = shell(command)

    assert "validation error" in answer
    assert field in answer
    assert json.loads(answer)["status"] == status_of(command) == 400
    assert not {"bad-mw", "bad-config"} & {item["slug"] for item in json.loads(shell(PROFILES))}


def test_step_3b_stores_config_under_its_typed_key(shell):
    written = json.loads(shell(TYPED_KEY))

    assert written["slug"] == "analyst"
    assert written["metadata"]["version"] == 1
    assert written["runtime"]["middlewares"] == [{"name": "agentmode", "id": "default", "enabled": True}]
    assert written["extensions"] == {
        "middleware.agentmode_config@v1": {"instances": {"id:default": {"default_mode": "financial_analyst"}}}
    }
    assert json.loads(shell(PROFILES.replace("profiles", "profiles/analyst"))) == written


def test_step_4_sql_check_shows_each_registry_and_when_it_was_written(serving, tmp_path, environment):
    need("bash", "sqlite3")
    with serving(tmp_path) as server:
        made = server.request("POST", "/api/chat/profiles", {"slug": "late"}).json["metadata"]
        server.stop()
    ran = subprocess.run(
        ["bash", "-c", SQL_CHECK], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=True
    )

    assert ran.stdout == f"default|{made['updated_at_ms']}\n"


def test_step_4_plain_copy_is_complete_when_the_server_has_stopped(serving, run, tmp_path):
    with serving(tmp_path) as server:
        made = server.request("POST", "/api/chat/profiles", {"slug": "late"}).json
        server.stop()
    copy = shutil.copy(tmp_path / "data/profiles.db", tmp_path / "copied.db")

    assert json.loads(run(tmp_path, "profiles", "show", "late", "--profile-registry-db", copy).stdout) == made


def test_steps_4_to_6_copy_a_quiet_running_server_and_put_the_copy_back(serving, environment, tmp_path, until, problem):
    need("bash")
    log = tmp_path / "data/profiles.db-wal"
    with serving(tmp_path) as server:
        server.request("POST", "/api/chat/profiles", {"slug": "kept"})
        server.request("PATCH", "/api/chat/profiles/kept", {"description": "kept"})
        kept = server.request("GET", "/api/chat/profiles").json
        until(lambda: log.stat().st_size == 0)
        subprocess.run(["bash", "-c", COPY], cwd=tmp_path, env=environment(tmp_path), check=True)
        server.request("POST", "/api/chat/profiles", {"slug": "later"})
        server.stop()
    (copy,) = (tmp_path / "data").glob("profiles.db.bak.*")
    back = PUT_BACK.replace("profiles.db.bak.20260223-220000", copy.name)
    subprocess.run(["bash", "-c", back], cwd=tmp_path, env=environment(tmp_path), check=True)
    with serving(tmp_path) as server:
        assert server.request("GET", "/api/chat/profiles").json == kept
        assert server.request("GET", "/api/chat/profiles/kept").json["description"] == "kept"
        assert server.request("GET", "/api/chat/schemas/middlewares").json
        assert server.request("GET", "/api/chat/schemas/extensions").json
        stale = {"description": "late", "expected_version": 1}
        problem(server.request("PATCH", "/api/chat/profiles/kept", stale), 409, "version conflict")
