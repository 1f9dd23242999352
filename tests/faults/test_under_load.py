"""Backups, copies and locks while clients write."""

import json
import sqlite3
import subprocess
from contextlib import closing

BACKUPS = 20
CLIENTS = 8
PROFILES = "/api/chat/profiles"


def test_every_backup_under_full_write_load_is_sound(serving, writing, run, history, figure, tmp_path):
    where = {"PINOCCHIO_PROFILE_REGISTRY_DB": tmp_path / "data/profiles.db"}
    sizes = []
    with serving(tmp_path) as server, writing("w") as writers:
        writers.start(server, CLIENTS)
        for number in range(BACKUPS):
            before = set(writers.acknowledged.copy())
            done = run(tmp_path, "profiles", "backup", f"copy{number}", "--json", **where)
            assert done.returncode == 0, done.stderr
            sizes.append(json.loads(done.stdout)["revisions"])
            missing = before & set(history(tmp_path / f"copy{number}").lost(writers))
            assert missing == set()
    assert sizes == sorted(set(sizes)), "nobody wrote meanwhile"
    figure(f"backup under {CLIENTS} writers", f"{BACKUPS} of {BACKUPS} verified, each with all acknowledged before it")


def test_a_plain_copy_after_the_last_write_answers_as_the_server_did(serving, writing, until, figure, tmp_path):
    wal = tmp_path / "data/profiles.db-wal"
    with serving(tmp_path) as server:
        with writing("w") as writers:
            writers.start(server, CLIENTS)
            until(lambda: len(writers.acknowledged) >= 300)
        until(lambda: wal.stat().st_size == 0)
        subprocess.run(["cp", "data/profiles.db", "copy.db"], cwd=tmp_path, check=True)
        answers = server.request("GET", PROFILES)
    with serving(tmp_path, PINOCCHIO_PROFILE_REGISTRY_DB=tmp_path / "copy.db") as server:
        copied = server.request("GET", PROFILES)
    assert (copied.json, copied.headers["ETag"]) == (answers.json, answers.headers["ETag"])
    figure("cp of a server that is quiet", f"all {len(copied.json):,} profiles, same answers, same entity tag")


def test_while_another_program_holds_the_lock_reads_go_on_and_writes_are_refused(serving, history, figure, tmp_path):
    path = tmp_path / "data/profiles.db"
    dsn = f"file:{path}?_busy_timeout=200"
    with serving(tmp_path, PINOCCHIO_PROFILE_REGISTRY_DSN=dsn) as server:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = [server.request("POST", PROFILES, {"slug": f"x{number}"}) for number in range(10)]
            read = [server.request("GET", f"{PROFILES}/default").status for _ in range(100)]
            other.execute("ROLLBACK")
        assert {answer.status for answer in refused} == {503}
        assert all(answer.headers["Retry-After"] for answer in refused)
        assert set(read) == {200}
        assert server.request("POST", PROFILES, {"slug": "after"}).status == 201
        slugs = {item["slug"] for item in server.request("GET", PROFILES).json}
    assert not slugs & {f"x{number}" for number in range(10)}
    history(path)
    figure("database locked by another program", "10 of 10 writes 503, 100 of 100 reads 200, published later 0")
