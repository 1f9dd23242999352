"""The feed of changes, page by page: complete, in order, and never silently with a gap."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from pinocchio_core.store.copies.backup import copy_database
from pinocchio_core.store.copies.restore import restore_live

CHANGES = "/api/chat/changes"
PROFILES = "/api/chat/profiles"

WRITE = """
import sys
from pinocchio_core.bootstrap import assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp
program = assemble(Host(given_plugins([])), dsn_of_path(sys.argv[1]), default_registry="default")
app = TestApp(program)
name, count = sys.argv[2], int(sys.argv[3])
assert app.post("/api/chat/profiles", {"slug": name}).status == 201
for number in range(1, count):
    assert app.patch(f"/api/chat/profiles/{name}", {"description": str(number)}).status == 200
program.close()
"""


def writer(path, name, count):
    return subprocess.Popen([sys.executable, "-c", WRITE, str(path), name, str(count)])


def all_after(app, cursor, limit=100, more=""):
    """Every change after a cursor, and the last cursor."""
    found = []
    while True:
        page = app.get(f"{CHANGES}?after={cursor}&limit={limit}{more}").json
        found += page["changes"]
        if page["cursor"] == cursor:
            return found, cursor
        cursor = page["cursor"]


def test_changes_come_in_the_order_of_commits_without_their_documents(app):
    start = app.get(f"{CHANGES}?after=latest").json
    assert start["changes"] == []
    app.post(PROFILES, {"slug": "a", "description": "secret"})
    app.patch(f"{PROFILES}/a", {"description": "other"})
    app.post(f"{PROFILES}/a/default")
    app.delete(f"{PROFILES}/default")
    page = app.get(f"{CHANGES}?after={start['cursor']}")
    assert page.headers["cache-control"] == "no-store"
    assert "secret" not in page.body.decode()
    ops = [(each["slug"], each["version"], each["op"]) for each in page.json["changes"]]
    assert ops == [("a", 1, "create"), ("a", 2, "update"), ("", ops[2][1], "set_default"), ("default", 2, "delete")]
    first = page.json["changes"][0]
    assert first.keys() == {"seq", "registry", "slug", "version", "op", "actor", "source", "at_ms"}
    assert (first["registry"], first["actor"], first["source"]) == ("default", "anonymous@127.0.0.1", "http-api")
    assert [each["seq"] for each in page.json["changes"]] == list(range(start["next"] + 1, start["next"] + 5))
    assert (page.json["next"], page.json["more"]) == (start["next"] + 4, False)


def test_the_feed_begins_with_the_first_change_there_ever_was(app):
    page = app.get(CHANGES).json
    assert page["changes"][0]["seq"] == 1
    assert page["next"] == page["changes"][-1]["seq"]
    assert app.get(f"{CHANGES}?after=0").json == page


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_of_any_size_leave_out_nothing(app, limit):
    for slug in "abcde":
        app.post(PROFILES, {"slug": slug})
    whole = app.get(f"{CHANGES}?limit=1000").json["changes"]
    assert all_after(app, "0", limit)[0] == whole


def test_a_number_alone_is_a_place_too(app):
    whole = app.get(CHANGES).json["changes"]
    assert app.get(f"{CHANGES}?after=1").json["changes"] == whole[1:]


def test_changes_of_one_profile_or_registry_are_found_among_many_others(app):
    app.post("/api/chat/registries", {"slug": "other"})
    cursor = app.get(f"{CHANGES}?after=latest").json["cursor"]
    app.post(PROFILES, {"slug": "x", "registry": "other"})
    with app.program.store.write():
        database = app.program.store.database
        for version in range(100, 5300):
            database.run(
                "INSERT INTO profile_revisions (registry_slug, slug, version, op, actor, source, at_ms)"
                f" VALUES ('default', 'many', {version}, 'update', 'a', 's', 1)"
            )
    app.post(PROFILES, {"slug": "x"})
    app.post(PROFILES, {"slug": "y", "registry": "other"})
    page = app.get(f"{CHANGES}?after={cursor}&slug=x").json
    assert ([each["registry"] for each in page["changes"]], page["more"]) == (["other"], True)
    assert [each["registry"] for each in all_after(app, cursor, more="&slug=x")[0]] == ["other", "default"]
    assert [each["slug"] for each in all_after(app, cursor, 1, "&registry=OTHER")[0]] == ["x", "y"]
    assert all_after(app, cursor, more="&registry=other&slug=many")[0] == []


@pytest.mark.parametrize("sent", ["-1", "1.5", "x", "1-", "1-XYZ", "1-12345678-", "9" * 19, "9" * 400, "0x1", "٣"])
def test_a_cursor_that_is_none_is_refused(app, expect_problem, sent):
    expect_problem(app.get(f"{CHANGES}?after={sent}"), 400, "validation error", "query.after")


def test_everything_that_is_wrong_is_said_at_once(app, expect_problem):
    sent = f"{CHANGES}?after=x&limit=1001&registry=%2F&slug=%2F"
    expect_problem(app.get(sent), 400, "validation error", "query.after", "query.limit", "query.registry", "query.slug")


@pytest.mark.parametrize("sent", ["999999", "1-00000000", "4611686018427387904"])
def test_a_place_that_is_not_in_the_history_is_gone_and_the_answer_says_where_to_go_on(app, expect_problem, sent):
    problem = expect_problem(app.get(f"{CHANGES}?after={sent}"), 410, "history reset")
    assert problem["current"] == {"cursor": app.get(f"{CHANGES}?after=latest").json["cursor"]}
    assert "read everything again" in problem["next_step"]


@pytest.mark.parametrize("writes_after", [0, 1, 5])
def test_after_an_older_backup_was_restored_nobody_goes_on_as_if_nothing_had_happened(
    app, expect_problem, tmp_path, writes_after
):
    app.post(PROFILES, {"slug": "a"})
    backup, dsn = tmp_path / "old.db", app.program.store.database.dsn
    backup.touch()
    copy_database(dsn.path, backup)
    kept = app.get(f"{CHANGES}?after=latest").json["cursor"]
    app.patch(f"{PROFILES}/a", {"description": "lost"})
    app.patch(f"{PROFILES}/a", {"description": "lost too"})
    lost = app.get(f"{CHANGES}?after=latest").json["cursor"]
    restore_live(backup, dsn, now=datetime.now(UTC))
    for number in range(writes_after):
        assert app.patch(f"{PROFILES}/a", {"description": f"new {number}"}).status == 200
    expect_problem(app.get(f"{CHANGES}?after={lost}"), 410, "history reset")
    assert len(all_after(app, kept)[0]) == writes_after


def test_changes_of_two_processes_are_seen_once_each_in_order_while_they_write(app):
    count = 200
    cursor = app.get(f"{CHANGES}?after=latest").json["cursor"]
    path = app.program.store.database.dsn.path
    processes = [writer(path, name, count) for name in ("one", "two")]
    seen = []
    while any(process.poll() is None for process in processes):
        found, cursor = all_after(app, cursor, limit=7)
        seen += found
    seen += all_after(app, cursor)[0]
    assert [process.returncode for process in processes] == [0, 0]
    numbers = [each["seq"] for each in seen]
    assert numbers == list(range(numbers[0], numbers[0] + 2 * count))
    for name in ("one", "two"):
        assert [each["version"] for each in seen if each["slug"] == name] == list(range(1, count + 1))
    assert json.dumps(seen) == json.dumps(all_after(app, str(numbers[0] - 1))[0])
