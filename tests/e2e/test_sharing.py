"""Several processes over one database, and what is left when one of them dies."""

import contextlib
import http.client
import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

PROFILES = "/api/chat/profiles"


@pytest.fixture
def servers(serving, tmp_path):
    """Two servers on one database."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    shared = {"PINOCCHIO_PROFILE_REGISTRY_DB": tmp_path / "profiles.db"}
    with serving(folders[0], **shared) as one, serving(folders[1], **shared) as two:
        yield one, two


def test_write_to_one_server_is_served_by_the_other_at_once(servers):
    one, two = servers
    created = one.request("POST", PROFILES, {"slug": "shared"})
    seen = two.request("GET", f"{PROFILES}/shared")
    changed = two.request("PATCH", f"{PROFILES}/shared", {"description": "changed there"})

    assert (seen.json, seen.headers["ETag"]) == (created.json, created.headers["ETag"])
    assert one.request("GET", f"{PROFILES}/shared").json == changed.json
    assert one.request("GET", f"{PROFILES}/shared", if_none_match=seen.headers["ETag"]).status == 200


def test_of_writers_on_two_servers_with_one_expected_version_exactly_one_wins(servers, problem):
    servers[0].request("POST", PROFILES, {"slug": "contested"})
    together = threading.Barrier(8)

    def patch(number):
        together.wait(60)
        change = {"description": f"by {number}", "expected_version": 1}
        return servers[number % 2].request("PATCH", f"{PROFILES}/contested", change)

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(patch, range(8)))
    won = [answer for answer in answers if answer.status == 200]
    lost = [answer for answer in answers if answer.status != 200]

    assert len(won) == 1
    assert {problem(answer, 409, "version conflict")["current"]["version"] for answer in lost} == {2}
    assert [server.request("GET", f"{PROFILES}/contested").json for server in servers] == [won[0].json] * 2


def test_of_creators_on_two_servers_exactly_one_wins(servers, problem):
    together = threading.Barrier(8)

    def create(number):
        together.wait(60)
        return servers[number % 2].request("POST", PROFILES, {"slug": "wanted", "description": f"by {number}"})

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(create, range(8)))
    won = [answer for answer in answers if answer.status == 201]

    assert len(won) == 1
    assert all(problem(answer, 409, "already exists") for answer in answers if answer.status != 201)
    assert servers[0].request("GET", f"{PROFILES}/wanted").json == won[0].json


def test_second_server_on_a_new_database_does_not_fill_it_again(servers):
    one, two = servers

    one.wait_for_log(r"profiles\.db: created")
    two.wait_for_log(r"profiles\.db: opened, 2 profiles in 1 registries")
    assert {item["version"] for item in two.request("GET", PROFILES).json} == {1}


def test_killed_server_loses_nothing_that_it_acknowledged(serving, tmp_path):
    acknowledged = {}
    enough = threading.Event()

    def write(server, client):
        with contextlib.suppress(OSError, http.client.HTTPException):
            for number in range(100_000):
                slug = f"p-{client}-{number}"
                answer = server.request("POST", PROFILES, {"slug": slug})
                assert answer.status == 201
                acknowledged[slug] = answer.json
                if len(acknowledged) >= 60:
                    enough.set()

    with serving(tmp_path) as server, ThreadPoolExecutor(4) as clients:
        writing = [clients.submit(write, server, client) for client in range(4)]
        assert enough.wait(60)
        server.signal(signal.SIGKILL)
        server.wait()
        for client in writing:
            client.result(60)
    with serving(tmp_path) as server:
        kept = {slug: server.request("GET", f"{PROFILES}/{slug}").json for slug in acknowledged}

    assert kept == acknowledged


def test_killed_server_does_not_keep_others_from_writing(servers):
    one, two = servers
    one.request("POST", PROFILES, {"slug": "before"})
    one.signal(signal.SIGKILL)
    one.wait()

    assert two.request("PATCH", f"{PROFILES}/before", {"description": "after"}).status == 200


def test_another_programs_transaction_delays_writes_and_nothing_else(serving, problem, tmp_path):
    dsn = f"file:{tmp_path}/busy.db?_journal_mode=WAL&_busy_timeout=50"
    with serving(tmp_path, "--profile-registry-dsn", dsn) as server:
        with contextlib.closing(sqlite3.connect(tmp_path / "busy.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = server.request("POST", PROFILES, {"slug": "late"})
            read = server.request("GET", f"{PROFILES}/default")

        assert "locked" in problem(refused, 503, "store unavailable")["detail"]
        assert refused.headers["Retry-After"]
        assert read.status == 200
        assert server.request("POST", PROFILES, {"slug": "late"}).json["metadata"]["version"] == 1
