"""Several server processes on one file, and clients that change the same profiles."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

PROFILES = "/api/chat/profiles"
CLIENTS = 8
WRITES = 500
SHARED = 16
"""How many profiles they all change."""
CONTESTED = 100
"""How many slugs they all try to create."""


class Client:
    """Writes WRITES times: creations that all others try too, and counting up in profiles that all others count in."""

    def __init__(self, server, number, together):
        self.server, self.number, self.together = server, number, together
        self.created, self.counted, self.conflicts = [], 0, 0

    def work(self, ask):
        with self.server.connection() as connection:
            self.together.wait(60)
            for number in range(WRITES):
                if number % (WRITES // CONTESTED) == 0:
                    self._create(ask, connection, number)
                else:
                    self._count(ask, connection, f"{PROFILES}/shared-{(self.number + number) % SHARED}")
        return self

    def _create(self, ask, connection, number):
        document = {"slug": f"contested-{number}", "description": str(self.number)}
        answer = ask(connection, "POST", PROFILES, document)
        assert answer.status in (201, 409), answer.body
        if answer.status == 201:
            self.created.append(document["slug"])

    def _count(self, ask, connection, path):
        read = ask(connection, "GET", path).json
        change = {"description": str(int(read["description"]) + 1), "expected_version": read["metadata"]["version"]}
        answer = ask(connection, "PATCH", path, change)
        assert answer.status in (200, 409), answer.body
        self.counted += answer.status == 200
        self.conflicts += answer.status == 409


@pytest.mark.parametrize("processes", [2, 4])
def test_no_update_is_lost_and_nothing_is_created_twice(serving, ask, history, figure, tmp_path, processes):
    path = tmp_path / "profiles.db"
    with contextlib.ExitStack() as stack:
        servers = []
        for number in range(processes):
            folder = tmp_path / f"server-{number}"
            folder.mkdir()
            servers.append(stack.enter_context(serving(folder, PINOCCHIO_PROFILE_REGISTRY_DB=path)))
        for number in range(SHARED):
            servers[0].request("POST", PROFILES, {"slug": f"shared-{number}", "description": "0"})
        count = processes * CLIENTS
        together = threading.Barrier(count)
        clients = [Client(servers[number % processes], number, together) for number in range(count)]
        with ThreadPoolExecutor(count) as pool:
            done = list(pool.map(lambda client: client.work(ask), clients))
        shared = [server.request("GET", f"{PROFILES}?q=shared-").json for server in servers]

    created = [slug for client in done for slug in client.created]
    counted = sum(client.counted for client in done)
    kept = sum(int(item["description"]) for item in shared[0])
    found = history(path)
    assert all(each == shared[0] for each in shared)
    assert (kept, len(created), len(set(created))) == (counted, CONTESTED, CONTESTED)
    versions = sum(found.profiles[f"shared-{number}"][0] - 1 for number in range(SHARED))
    assert versions == counted
    conflicts = sum(client.conflicts for client in done)
    figure(
        f"{processes} processes, {CLIENTS} clients each, {WRITES} writes a client",
        f"{counted:,} updates acknowledged, {conflicts:,} refused as too late, lost updates {counted - kept},"
        f" duplicate creates {len(created) - CONTESTED}, versions without a gap",
    )
