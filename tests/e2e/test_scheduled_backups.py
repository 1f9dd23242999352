"""Backups that servers make by themselves."""

import json
import re
import signal

PROFILES = "/api/chat/profiles"


def _backups(folder):
    return sorted(path for path in folder.glob("*.bak.*") if path.with_name(f"{path.name}.manifest.json").exists())


def test_a_server_makes_verified_backups_prunes_them_and_says_how_old_the_last_one_is(serving, run, tmp_path, until):
    folder = tmp_path / "backups"
    with serving(tmp_path, "--backup-dir", folder, "--backup-every", "1s", "--backup-keep", "2") as server:
        assert server.request("POST", PROFILES, {"slug": "mine"}).status == 201
        server.wait_for_log(r"3 profiles, verified")
        server.wait_for_log(r"is the newest; 1 older removed")
        ready = server.request("GET", "/readyz").json
        assert (ready["status"], ready["backup_age_seconds"] >= 0) == ("ok", True)
        assert re.search(r"\npinocchio_backup_age_seconds \d", server.request("GET", "/metrics").body.decode())
    kept = _backups(folder)
    assert len(kept) == 2
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    assert [run(tmp_path, "profiles", "verify", path).returncode for path in kept] == [0, 0]


def test_of_two_servers_one_makes_the_backup_and_a_restart_makes_none_too_many(serving, tmp_path, until):
    folder = tmp_path / "backups"
    options = ("--backup-dir", folder, "--backup-every", "1h")
    with serving(tmp_path, *options) as one, serving(tmp_path, *options) as two:
        until(lambda: _backups(folder))
        ages = [
            until(lambda server=server: server.request("GET", "/readyz").json["backup_age_seconds"] is not None)
            for server in (one, two)
        ]
        assert ages == [True, True]
    with serving(tmp_path, *options) as server:
        assert server.request("GET", "/readyz").json["backup_age_seconds"] is not None
    assert len(_backups(folder)) == 1


def test_a_failed_backup_is_in_the_log_and_in_readyz_and_the_server_serves(serving, tmp_path, until):
    (tmp_path / "backups").write_text("in the way")
    with serving(tmp_path, "--backup-dir", tmp_path / "backups", "--backup-every", "1h") as server:
        server.wait_for_log("no backup was made")
        until(lambda: server.request("GET", "/readyz").json["reasons"])
        answer = server.request("GET", "/readyz")
        assert (answer.status, answer.json["status"]) == (200, "degraded")
        assert answer.json["reasons"][0].startswith("the last backup failed: cannot write")
        assert server.request("POST", PROFILES, {"slug": "mine"}).status == 201


def test_half_a_schedule_and_one_for_memory_are_refused(run, tmp_path):
    for arguments, said in (
        (("--backup-every", "6h"), "belong together"),
        (("--backup-dir", "b"), "belong together"),
        (("--backup-dir", "b", "--backup-every", "6h", "--profile-registry-db", ":memory:"), "need a database file"),
        (("--backup-dir", "b", "--backup-every", "soon"), "is no duration"),
        (("--backup-dir", "b", "--backup-every", "0h"), "is no duration"),
    ):
        done = run(tmp_path, "web-chat", *arguments)
        assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr


def test_each_request_has_a_line_in_the_log_without_what_was_said(serving, tmp_path):
    with serving(tmp_path, "--access-log", "--log-format", "json") as server:
        answer = server.request("POST", f"{PROFILES}?registry=default", {"slug": "s", "description": "confidential"})
        server.request("GET", "/nowhere/confidential")
        server.wait_for_log('"route":"none"')
        server.signal(signal.SIGTERM)
        server.wait()
        lines = [json.loads(line) for line in server.log.splitlines()]
        first, second = (line for line in lines if line["logger"] == "pinocchio.access")
        assert (first["method"], first["route"], first["status"]) == ("POST", PROFILES, 201)
        assert first["request_id"] == answer.headers["X-Request-Id"]
        assert first["milliseconds"] > 0
        assert (second["route"], second["status"]) == ("none", 404)
        assert "confidential" not in server.log
