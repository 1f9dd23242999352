"""Programs and plugins that hang: everybody else is served meanwhile, and nothing is lost when they end."""

import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

PROFILES = "/api/chat/profiles"
THREADS = 8
HANGING = 4
READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
cursor = connection.execute("SELECT slug FROM profiles")
cursor.fetchone()
print("reading", flush=True)
sys.stdin.read()
"""


@contextmanager
def reading(path):
    """Another process in the middle of reading all profiles; it goes on until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", READER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "reading\n"
            yield process
        finally:
            process.kill()


def metric(server, name):
    text = server.request("GET", "/metrics").body.decode()
    return float(re.search(rf"^pinocchio_{name} (\S+)$", text, re.MULTILINE)[1])


@pytest.mark.parametrize("end", ["by itself", "by kill -9"])
def test_reader_that_hangs_stops_no_write_and_the_main_file_is_complete_after_it(
    serving, writing, history, until, figure, tmp_path, end
):
    path, wal = tmp_path / "data/profiles.db", tmp_path / "data/profiles.db-wal"
    with serving(tmp_path) as server:
        with writing("w") as writers:
            writers.start(server, 4)
            until(lambda: len(writers.acknowledged) >= 20)
            with reading(path) as reader:
                before = len(writers.acknowledged)
                until(lambda: len(writers.acknowledged) >= before + 200)
                writers.stop.set()
                writers.join()
                until(lambda: metric(server, "store_checkpoints_blocked_total") >= 1)
                assert server.request("GET", "/readyz").status == 200
                assert wal.stat().st_size > 0
                if end == "by kill -9":
                    reader.send_signal(signal.SIGKILL)
                else:
                    reader.stdin.close()
                reader.wait(60)
        until(lambda: wal.stat().st_size == 0)
        subprocess.run(["cp", path, tmp_path / "copy.db"], check=True)
        assert server.stop() == 0
    assert history(tmp_path / "copy.db").lost(writers) == []
    assert writers.refused == set()
    figure(
        f"a reader hangs, and ends {end}",
        f"0 of {len(writers.acknowledged):,} writes refused; then all of them in the main file alone",
    )


def test_server_stops_while_a_reader_hangs_and_loses_nothing(serving, writing, history, until, tmp_path):
    path = tmp_path / "data/profiles.db"
    with serving(tmp_path) as server, writing("w") as writers:
        with reading(path):
            writers.start(server, 4)
            until(lambda: len(writers.acknowledged) >= 50)
            assert server.stop() == 0
            writers.join()
        assert history(path).lost(writers) == []


def test_hooks_that_hang_leave_the_other_threads_to_everybody_else(
    serving, slow_plugin, ask, until, problem, figure, tmp_path
):
    def read(server):
        with server.connection() as connection:
            paths = (f"{PROFILES}/default", PROFILES, "/readyz", "/metrics", "/healthz")
            return [ask(connection, "GET", path).status for path in paths * 10]

    site = slow_plugin(tmp_path / "site")
    with serving(tmp_path, "--threads", THREADS, PYTHONPATH=site) as server, ThreadPoolExecutor(2 * THREADS) as clients:
        hung = [
            clients.submit(server.request, "POST", PROFILES, {"slug": f"slow-{each}", "description": str(tmp_path)})
            for each in range(HANGING)
        ]
        for each in range(HANGING):
            until((tmp_path / f"slow-{each}-entered").exists)
        reads = [status for statuses in clients.map(read, [server] * THREADS) for status in statuses]
        excess = [server.request("POST", PROFILES, {"slug": f"excess-{each}"}) for each in range(10)]
        excess += [server.request("PATCH", f"{PROFILES}/default", {"description": "excess"}) for _ in range(10)]
        assert set(reads) == {200}
        for answer in excess:
            assert "acme_slow 1.5" in problem(answer, 503, "overloaded")["detail"]
            assert int(answer.headers["Retry-After"]) > 0
        assert server.request("DELETE", f"{PROFILES}/agent").status == 204
        (tmp_path / "released").touch()
        assert [each.result(60).status for each in hung] == [201] * HANGING
        listed = {item["slug"] for item in server.request("GET", PROFILES).json}
        assert listed == {"default", *(f"slow-{each}" for each in range(HANGING))}
        assert server.request("POST", PROFILES, {"slug": "after"}).status == 201
        assert server.stop() == 0
    figure(
        f"{HANGING} hooks of a plugin hang in a server of {THREADS} threads",
        f"{len(reads)} of {len(reads)} other requests 200, {len(excess)} of {len(excess)} further writes 503",
    )
