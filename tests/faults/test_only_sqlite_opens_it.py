"""Nothing but SQLite opens the database file in a process that serves it: closing it would drop SQLite's locks."""

import subprocess
import sys

import pytest

PROFILES = "/api/chat/profiles"
HOOK = """
import os, sys, traceback

database = os.environ["WATCHED"]
record = os.open(os.environ["WATCHED_IN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
names = {os.path.realpath(database + suffix) for suffix in ("", "-wal", "-shm")}
connected = set()

def watch(event, arguments):
    if event == "sqlite3.connect":
        if database in os.fsdecode(arguments[0]) and os.getpid() not in connected:
            connected.add(os.getpid())
            os.write(record, f"{os.getpid()} connected {sys.argv[1:2]}\\n".encode())
    elif event == "open" and isinstance(arguments[0], (str, bytes)) and os.getpid() in connected:
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if path in names:
            where = " < ".join(f"{each.name} {each.lineno}" for each in reversed(traceback.extract_stack(limit=6)[:-1]))
            os.write(record, f"{os.getpid()} opened {path}: {where}\\n".encode())

sys.addaudithook(watch)
"""


@pytest.fixture
def watched(tmp_path):
    """The variables of a process that records who opens the database file, and what was recorded until now."""
    folder = tmp_path / "hook"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HOOK)
    record = tmp_path / "opened"
    variables = {"PYTHONPATH": folder, "WATCHED": tmp_path / "data/profiles.db", "WATCHED_IN": record}
    variables["PINOCCHIO_SQLITE"] = "python"  # whose openings the hook is told of
    return variables, lambda: record.read_text().splitlines()


def test_the_hook_sees_who_opens_the_file(watched, environment, tmp_path):
    variables, recorded = watched
    (tmp_path / "data").mkdir()
    code = "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); os.close(os.open(sys.argv[1], os.O_RDONLY))"
    command = [sys.executable, "-c", code, tmp_path / "data/profiles.db"]
    subprocess.run(command, env=environment(tmp_path, **variables), check=True, timeout=60)
    connected, opened = recorded()
    assert " connected " in connected
    assert " opened " in opened


@pytest.mark.parametrize("workers", [1, 2])
def test_only_sqlite_opens_a_database_that_is_served(serving, writing, run, until, watched, figure, tmp_path, workers):
    variables, recorded = watched
    path = tmp_path / "data/profiles.db"
    wal = path.with_name("profiles.db-wal")
    where = variables | {"PINOCCHIO_PROFILE_REGISTRY_DB": path}
    with serving(tmp_path, "--workers", workers, **where) as server:
        for number in range(3):
            with writing(f"w{number}") as writers:
                writers.start(server, 4)
                until(lambda: len(writers.acknowledged) >= 50)
                for command in ("backup", "list", "verify", "export"):
                    assert run(tmp_path, "profiles", command, **where).returncode == 0, command
            until(lambda: wal.stat().st_size == 0)  # a checkpoint
            for read in (PROFILES, f"{PROFILES}/default", f"{PROFILES}/default?raw=true", "/readyz", "/metrics"):
                assert server.request("GET", read).status == 200
            assert run(tmp_path, "profiles", "quiesce", "--", "true", **where).returncode == 0
        assert server.request("GET", "/readyz").status == 200
        assert server.stop() == 0
    lines = recorded()
    assert [line for line in lines if " opened " in line] == []
    servers = [line for line in lines if line.endswith(" connected ['web-chat']")]
    assert len(servers) == workers
    figure(
        f"{workers} server process{'es' if workers > 1 else ''} and {len(lines) - workers} commands, watched",
        "opened or closed the database file beside SQLite 0 times",
    )
