"""What the fault suite shares: writers under load, and figures for docs/operate.md."""

import contextlib
import http.client
import json
import os
import random
import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest

from pinocchio_core.store.sqlite.library import library_text

PROFILES = "/api/chat/profiles"
LINES = pytest.StashKey()


def pytest_configure(config):
    config.stash[LINES] = []


def pytest_terminal_summary(terminalreporter, config):
    """Print every figure, ready to be copied into docs/operate.md."""
    if config.stash[LINES]:
        terminalreporter.section(f"figures ({os.cpu_count()} cores, {library_text()})")
        for promise, found in config.stash[LINES]:
            terminalreporter.write_line(f"| {promise} | {found} |")


@pytest.fixture
def figure(request):
    """Keep what a promise came to: `figure("kill -9, 50 rounds", "lost 0 of 12,345")`."""
    return lambda promise, found: request.config.stash[LINES].append((promise, found))


@pytest.fixture
def rng(request):
    """Random numbers that are the same in every run; the seed is shown where a test fails."""
    seed = f"pinocchio {request.node.name}"
    print(f"random seed {seed!r}")  # noqa: T201  pytest shows it with a failure
    return random.Random(seed)  # noqa: S311  no secret


def document_of(answer):
    """What is stored of a profile that was answered."""
    return {name: value for name, value in answer.json.items() if name != "is_default"}


class Writers:
    """Clients that create, change and delete profiles, and remember what was acknowledged."""

    def __init__(self, prefix, ask):
        self.prefix = prefix
        self._ask = ask
        self.acknowledged = {}
        """The stored document of every (slug, version) that was answered."""
        self.refused = set()
        """What writes said that were answered with 503: none of it may ever be seen."""
        self.problems = []
        self.deleted = set()
        self.stop = threading.Event()
        self._threads = []

    def start(self, server, clients, number=0):
        """Write to a server with this many clients until `stop` is set or the server is gone."""
        for client in range(clients):
            name = f"{self.prefix}-{number}-{client}"
            thread = threading.Thread(target=self._run, args=(server.port, name))
            self._threads.append(thread)
            thread.start()

    def join(self):
        """Wait until all have ended."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        self._threads.clear()
        assert not self.problems, self.problems[:3]

    def _run(self, port, name):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            number = 0
            while not self.stop.is_set():
                self._round(connection, name, number)
                number += 1

    def _round(self, connection, name, number):
        slug, own = f"{name}-{number}", f"{PROFILES}/{name}-{number}"
        if not self._write(connection, "POST", PROFILES, {"slug": slug, "description": f"{slug} made"}, 201):
            return
        change = {"description": f"{slug} changed", "runtime": {"system_prompt": slug * 40}}
        self._write(connection, "PATCH", own, change, 200)
        self._write(connection, "PATCH", f"{PROFILES}/default", {"description": f"{slug} was here"}, 200)
        if number % 5 == 4 and self._write(connection, "DELETE", own, None, 204):
            self.deleted.add(slug)

    def _write(self, connection, method, path, document, wanted):
        answer = self._ask(connection, method, path, document)
        if answer.status == 503:
            if document:
                self.refused.add(document["description"])
        elif answer.status != wanted:
            self.problems.append((method, path, answer.status, answer.body))
        elif answer.body:
            stored = document_of(answer)
            self.acknowledged[stored["slug"], stored["metadata"]["version"]] = stored
        return answer.status == wanted


@pytest.fixture
def writing(ask):
    """`with writing("x") as writers:`; stops and joins them at the end."""

    @contextmanager
    def make(prefix):
        writers = Writers(prefix, ask)
        try:
            yield writers
        finally:
            writers.stop.set()
            writers.join()

    return make


class History:
    """What a database holds; reads it through SQLite alone."""

    def __init__(self, path):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN")  # servers may be writing: all that follows is of one moment
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            revisions = "SELECT slug, version, op, payload_json, at_ms FROM profile_revisions WHERE slug != ''"
            self.revisions = connection.execute(f"{revisions} ORDER BY seq").fetchall()
            self.profiles = {
                slug: (version, payload)
                for slug, version, payload in connection.execute("SELECT slug, version, payload_json FROM profiles")
            }
            self.registry_at_ms = connection.execute("SELECT updated_at_ms FROM profile_registries").fetchone()[0]
        self._documents = {
            (slug, version): payload and json.loads(payload) for slug, version, _, payload, _ in self.revisions
        }

    def check(self):
        """Every slug's versions are 1, 2, 3, … in order; the last revision and the row in `profiles` are the same."""
        last = {}
        for slug, version, op, payload, _ in self.revisions:
            before = last.get(slug, (0, None, "delete"))
            assert version == before[0] + 1, f"{slug}: version {version} after {before[0]}"
            assert (op == "create") == (before[2] == "delete"), f"{slug}: {op} after {before[2]}"
            last[slug] = (version, payload, op)
        kept = {slug: (version, payload) for slug, (version, payload, op) in last.items() if op != "delete"}
        assert kept == self.profiles
        for slug, (version, payload) in kept.items():
            assert json.loads(payload)["metadata"]["version"] == version, slug
        return self

    def lost(self, writers):
        """Writes that were acknowledged and are not there, or are there otherwise."""
        missing = [key for key, stored in writers.acknowledged.copy().items() if self._documents.get(key) != stored]
        return missing + sorted(writers.deleted.copy() & self.profiles.keys())

    def published(self, writers):
        """Writes that were refused and are there nevertheless."""
        seen = {document.get("description") for document in self._documents.values() if document}
        return sorted(seen & writers.refused)


@pytest.fixture(scope="session")
def history():
    """`history(path)`: what a database holds, checked."""
    return lambda path: History(path).check()
