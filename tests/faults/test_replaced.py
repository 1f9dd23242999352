"""Another file in the place of a running server's database: what is acknowledged afterwards is in the new one."""

import collections
import itertools
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

PROFILES = "/api/chat/profiles"
CLIENTS = 4
ROUNDS = 10


class Clients:
    """Clients that create profiles and change `default`, and remember when each write was sent and what came of it."""

    def __init__(self, server, ask, prefix, count=CLIENTS):
        self._server, self._ask, self._prefix = server, ask, prefix
        self.writes = []
        """Of each: when it was sent, what it says, and the answer."""
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(client,)) for client in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, client):
        with self._server.connection() as connection:
            for number in itertools.count():
                said = f"{self._prefix}-{client}-{number}"
                self._write(connection, said, "POST", PROFILES, {"slug": said, "description": said})
                self._write(connection, said + "!", "PATCH", f"{PROFILES}/default", {"description": said + "!"})
                if self.stop.is_set():
                    break

    def _write(self, connection, said, method, path, document):
        sent_at = time.monotonic()
        answer = self._ask(connection, method, path, document)
        self.writes.append((sent_at, said, answer))

    def join(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def acknowledged(self, since=0.0):
        """What was sent since then and answered with 200 or 201."""
        return {said for sent_at, said, answer in self.writes.copy() if sent_at >= since and answer.status < 300}


@pytest.fixture
def writing_to(ask, problem):
    """`with writing_to(server, "x") as clients:`; in the end each has got 200, 201 or a whole 503, and nothing else."""

    @contextmanager
    def make(server, prefix):
        clients = Clients(server, ask, prefix)
        try:
            yield clients
        finally:
            clients.join()
        for _, _, answer in clients.writes:
            if answer.status not in (200, 201):
                problem(answer, 503, "store unavailable")

    return make


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data/profiles.db"


@pytest.fixture
def other(serving, tmp_path):
    """A sound database of another server that has been stopped, with the profile `theirs`."""
    folder = tmp_path / "other"
    folder.mkdir()
    with serving(folder) as server:
        assert server.request("POST", PROFILES, {"slug": "theirs", "description": "theirs" * 2000}).status == 201
        assert server.stop() == 0
    return folder / "data/profiles.db"


def said_in(found):
    """Every description that the history of a database has."""
    return {document["description"] for document in found._documents.values() if document and "description" in document}


def test_moved_over_under_writers_no_write_is_acknowledged_into_the_old_file(
    serving, writing_to, history, until, other, path, figure, tmp_path
):
    counts, after = collections.Counter(), 0
    with serving(tmp_path) as server:
        for number in range(ROUNDS):
            fresh = tmp_path / f"fresh-{number}"
            subprocess.run(["cp", other, fresh], check=True)
            with writing_to(server, f"r{number}") as clients:
                until(lambda: len(clients.acknowledged()) >= 20)
                before = clients.acknowledged()
                assert before <= said_in(history(path))
                subprocess.run(["mv", fresh, path], check=True)
                moved_at = time.monotonic()
                until(lambda: len(clients.acknowledged(moved_at)) >= 20)  # noqa: B023  as above
            found = said_in(history(path))
            assert clients.acknowledged(moved_at) - found == set()
            assert "theirs" * 2000 in found
            counts.update(answer.status for _, _, answer in clients.writes)
            after += len(clients.acknowledged(moved_at))
        assert server.request("GET", f"{PROFILES}/theirs").status == 200
        assert server.stop() == 0
    assert clients.acknowledged(moved_at) - said_in(history(path)) == set()
    figure(
        f"another database moved over under {CLIENTS} writers, {ROUNDS} times",
        f"lost 0 of {after:,} writes that were sent afterwards and acknowledged; {counts[503]} refused, 500: 0",
    )


def test_copied_over_a_quiet_file_it_is_served_and_written(
    serving, writing_to, history, until, other, path, figure, tmp_path
):
    with serving(tmp_path) as server:
        with writing_to(server, "before") as clients:
            until(lambda: len(clients.acknowledged()) >= 100)
        until(lambda: path.with_name("profiles.db-wal").stat().st_size == 0)
        subprocess.run(["cp", other, path], check=True)
        until(lambda: server.request("GET", f"{PROFILES}/theirs").status == 200)
        with writing_to(server, "after") as clients:
            until(lambda: len(clients.acknowledged()) >= 100)
        listed = {item["slug"] for item in server.request("GET", PROFILES).json}
        assert server.stop() == 0
    found = history(path)
    assert found.profiles.keys() == listed
    assert not any(slug.startswith("before") for slug in listed)
    assert clients.acknowledged() - said_in(found) == set()
    figure("cp over a quiet server's file", f"served from then on, lost 0 of {len(clients.acknowledged())} writes")


def test_reads_of_a_file_that_is_being_copied_over_are_never_an_unexpected_error(
    serving, until, problem, other, path, figure, tmp_path
):
    content = other.read_bytes()
    steps = [0, 1, 100, 4096, 8192, *range(3 * 4096, len(content), 4 * 4096)]
    asked = ["/default", "", "/theirs", "?q=a"]
    counts = collections.Counter()
    with serving(tmp_path) as server:
        until(lambda: path.with_name("profiles.db-wal").stat().st_size == 0)
        with path.open("wb") as file:  # as `cp` does, and slowly
            for start, end in itertools.pairwise([0, *steps, len(content)]):
                file.write(content[start:end])
                file.flush()
                for rest in asked:
                    answer = server.request("GET", f"{PROFILES}{rest}")
                    counts[answer.status] += 1
                    if answer.status not in (200, 404):
                        assert problem(answer, answer.status)["status"] in (409, 503)
                ready = server.request("GET", "/readyz")
                assert ready.status in (200, 503), ready.body
        until(lambda: server.request("GET", f"{PROFILES}/theirs").status == 200)
        assert server.request("POST", PROFILES, {"slug": "after"}).status == 201
        assert server.stop() == 0
    figure("reads while a slow cp goes over the file", f"{sum(counts.values())} of them, {counts[503]} 503, 500: 0")


def test_moved_away_and_put_back_under_writers_nothing_is_lost(
    serving, writing_to, history, until, path, figure, tmp_path
):
    away, refused = tmp_path / "away.db", 0
    with serving(tmp_path) as server:
        with writing_to(server, "w") as clients:
            for _ in range(ROUNDS):
                acknowledged = len(clients.acknowledged())
                until(lambda: len(clients.acknowledged()) >= acknowledged + 20)  # noqa: B023  asked before the next round
                subprocess.run(["mv", path, away], check=True)
                gone_at = time.monotonic()
                until(lambda: sum(sent >= gone_at for sent, _, _ in clients.writes.copy()) >= 20)  # noqa: B023  as above
                assert clients.acknowledged(gone_at) == set()
                assert server.request("GET", "/readyz").status == 503
                assert server.request("GET", f"{PROFILES}/default").status == 503
                assert server.request("GET", "/healthz").status == 200
                assert not path.exists()
                subprocess.run(["mv", away, path], check=True)
            acknowledged = len(clients.acknowledged())
            until(lambda: len(clients.acknowledged()) >= acknowledged + 20)
        assert server.request("GET", "/readyz").status == 200
        refused = sum(answer.status == 503 for _, _, answer in clients.writes)
        assert server.stop() == 0
    found = said_in(history(path))
    assert clients.acknowledged() - found == set()
    figure(
        f"database moved away and put back under {CLIENTS} writers, {ROUNDS} times",
        f"lost 0 of {len(clients.acknowledged()):,} acknowledged writes; {refused:,} refused, 500: 0",
    )
