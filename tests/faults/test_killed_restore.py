"""A server killed under load, and a backup put in the place of what it left: exactly the backup is served."""

import shutil
import signal
import sqlite3
from contextlib import closing

import pytest

PROFILES = "/api/chat/profiles"
MADE = 40


@pytest.fixture
def command(run, tmp_path):
    """`command("backup", …)`: one that has to end well."""

    def do(*arguments):
        done = run(tmp_path, "profiles", *arguments, PINOCCHIO_PROFILE_REGISTRY_DB=tmp_path / "data/profiles.db")
        assert done.returncode == 0, done.stderr
        return done

    return do


def served(server):
    """Everything that a server says of its profiles: the body and the entity tag of each, and of the list."""
    listed = server.request("GET", PROFILES)
    paths = [f"{PROFILES}/{item['slug']}" for item in listed.json]
    answers = {path: server.request("GET", path) for path in paths} | {PROFILES: listed}
    assert {answer.status for answer in answers.values()} == {200}
    return {path: (answer.body, answer.headers["ETag"]) for path, answer in answers.items()}


def by_hand(command, backup, path):
    """Section 5 of docs/operate.md, "By hand"."""
    for suffix in ("-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    command("verify", backup)
    shutil.copyfile(backup, path)
    path.chmod(0o600)


def by_command(command, backup, path):
    command("restore", backup)


@pytest.mark.parametrize("restored", [by_hand, by_command])
def test_what_a_killed_server_left_is_replaced_by_exactly_the_backup(
    serving, writing, command, history, until, figure, tmp_path, restored
):
    path, backup = tmp_path / "data/profiles.db", tmp_path / "backup.db"
    with serving(tmp_path) as server, writing("w") as writers:
        for number in range(MADE):
            document = {"slug": f"p-{number}", "runtime": {"system_prompt": f"{number} " * 50 * number}}
            assert server.request("POST", PROFILES, document).status == 201
            for change in range(number % 3):
                changed = {"description": f"changed {change}"}
                assert server.request("PATCH", f"{PROFILES}/p-{number}", changed).status == 200
        wanted = served(server)
        command("backup", backup)
        writers.start(server, 4)
        until(lambda: len(writers.acknowledged) >= 100)
        server.signal(signal.SIGKILL)
        server.wait()
        writers.join()
    assert path.with_name("profiles.db-wal").stat().st_size > 0
    highest = max(version for _, version in writers.acknowledged)
    restored(command, backup, path)
    with serving(tmp_path) as server:
        assert served(server) == wanted
        change = {"description": "after"}
        changed = server.request("PATCH", f"{PROFILES}/default", change)
        assert changed.status == 200
        assert server.request("POST", PROFILES, {"slug": "after"}).status == 201
        assert server.stop() == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    if restored is by_command:
        assert changed.json["metadata"]["version"] > highest
        (kept,) = (each for each in path.parent.glob("*.before-restore.*") if not each.name.endswith(("-wal", "-shm")))
        assert history(kept).lost(writers) == []
    figure(
        f"kill -9 under load, then a restore {restored.__name__.replace('_', ' ')}",
        f"{len(wanted) - 1} of {len(wanted) - 1} profiles and the list byte for byte the backup's, with their tags",
    )
