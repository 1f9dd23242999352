"""Signals at bad moments: to a server in the middle of writes and of a checkpoint, and to a backup that runs."""

import shutil
import signal
import socket
import sqlite3
import subprocess
from contextlib import closing

import pytest

PROFILES = "/api/chat/profiles"
ROUNDS = 10
LARGE = 300
"""How many large profiles make a backup take long enough to be met in the middle, most of the time."""
ATTEMPTS = 20


def in_main_file(folder, history):
    """What the main file alone holds, after making sure that nothing is left beside it."""
    path, wal = folder / "data/profiles.db", folder / "data/profiles.db-wal"
    assert not wal.exists() or wal.stat().st_size == 0
    copy = folder / "copy.db"
    shutil.copyfile(path, copy)
    return history(copy)


def refuses_connections(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=60).close()
    except OSError:
        return True
    return False


def test_stopped_under_writers_a_server_has_everything_in_the_main_file(
    serving, writing, history, until, figure, rng, tmp_path
):
    acknowledged = 0
    for number in range(ROUNDS):
        with writing(f"r{number}") as writers, serving(tmp_path) as server:
            writers.start(server, 8)
            enough = rng.randrange(1, 200)
            until(lambda: len(writers.acknowledged) >= enough)  # noqa: B023  asked before the next round
            server.signal(rng.choice((signal.SIGTERM, signal.SIGINT)))
            assert server.wait() == 0
            writers.join()
        assert in_main_file(tmp_path, history).lost(writers) == []
        assert writers.refused == set()
        acknowledged += len(writers.acknowledged)
    figure(f"SIGTERM under 8 writers, {ROUNDS} rounds", f"exit code 0, {acknowledged:,} acknowledged writes, lost 0")


def test_stopped_in_a_checkpoint_a_server_finishes_it(serving, writing, history, until, figure, tmp_path):
    path = tmp_path / "data/profiles.db"
    with serving(tmp_path) as server, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM profiles").fetchall()
        with writing("w") as writers:
            writers.start(server, 4)
            until(lambda: len(writers.acknowledged) >= 100)
        until(lambda: b"pinocchio_store_checkpoints_blocked_total 0.0" not in server.request("GET", "/metrics").body)
        server.signal(signal.SIGTERM)
        until(lambda: refuses_connections(server))
        reader.execute("COMMIT")  # the last checkpoint waits for this
        assert server.wait() == 0
    assert in_main_file(tmp_path, history).lost(writers) == []
    figure(
        "SIGTERM while a checkpoint waits for a reader", f"all {len(writers.acknowledged):,} writes in the main file"
    )


@pytest.fixture
def large(serving, tmp_path):
    """A server with so many large profiles that a backup takes a while."""
    with serving(tmp_path) as server:
        for number in range(LARGE):
            document = {"slug": f"large-{number}", "runtime": {"system_prompt": f"{number} " * 15_000}}
            assert server.request("POST", PROFILES, document).status == 201
        yield server


@pytest.fixture
def ended_backup(until, number, tmp_path):
    """Run a backup and end it while it runs; its exit code, and what it said on standard error."""

    def run_and_end(command, environment):
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # who starts the tests in the background of a script has SIGINT ignored in all of them
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  nothing else runs yet
        )
        try:
            until(lambda: process.poll() is not None or any(command[-1].iterdir()))
            process.send_signal(number)
            return process.wait(60), process.communicate(timeout=60)[1]
        finally:
            process.kill()
            process.communicate()

    return run_and_end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_backup_that_is_ended_leaves_nothing_and_the_server_goes_on(
    large, pinocchio, environment, run, ended_backup, figure, tmp_path, number
):
    where = {"PINOCCHIO_PROFILE_REGISTRY_DB": tmp_path / "data/profiles.db"}
    for attempt in range(ATTEMPTS):
        folder = tmp_path / f"backups-{attempt}"
        folder.mkdir()
        code, said = ended_backup([pinocchio, "profiles", "backup", folder], environment(tmp_path, **where))
        if code != 0:
            break  # it was not done before the signal came
    assert code != 0
    assert "Traceback" not in said
    assert list(folder.iterdir()) == []
    assert large.request("GET", "/readyz").status == 200
    assert large.request("POST", PROFILES, {"slug": "after"}).status == 201
    assert run(tmp_path, "profiles", "backup", folder, **where).returncode == 0
    figure(f"{number.name} to a backup that runs", "nothing left of it, the server goes on, the next one is verified")
