"""Stopping a server while requests run and wait, and plugins that keep requests waiting."""

import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

PROFILES = "/api/chat/profiles"
SLOW_TO_SHUT_DOWN = """
import pathlib, time
from pinocchio_core.plugin import hookimpl

@hookimpl
def pinocchio_shutdown():
    pathlib.Path("shutting-down").touch()
    deadline = time.monotonic() + 60
    while not pathlib.Path("released").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
"""


@pytest.fixture
def with_slow_plugin(serving, slow_plugin, tmp_path):
    """A server whose plugin holds every profile named slow… until a file is there."""
    folder = slow_plugin(tmp_path / "site")
    return lambda threads: serving(tmp_path, "--threads", threads, PYTHONPATH=folder)


def create_slowly(server, number=0):
    return server.request("POST", PROFILES, {"slug": f"slow-{number}", "description": str(server.cwd)})


def send(server, request):
    client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    client.sendall(request)
    return client


def wait_until_all_sent_is_read(server):
    """Return once the server has taken up everything that was sent before: it reads in turns, and then answers this."""
    with send(
        server, b"POST /api/chat/profiles HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    ) as sentinel:
        assert sentinel.recv(1024).startswith(b"HTTP/1.1 100")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_running_and_waiting_requests_finish(with_slow_plugin, until, tmp_path, number):
    with with_slow_plugin(1) as server, ThreadPoolExecutor(1) as client:
        running = client.submit(create_slowly, server)
        until((tmp_path / "slow-0-entered").exists)
        waiting = [send(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(5)]
        wait_until_all_sent_is_read(server)
        server.signal(number)
        until(lambda: refuses_connections(server))
        (tmp_path / "released").touch()
        answers = [read_all(each) for each in waiting]

        assert running.result(60).status == 201
        assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 5
        assert server.wait() == 0
        assert "stopped" in server.log.splitlines()[-1]


def refuses_connections(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=60).close()
    except OSError:
        return True
    return False


def read_all(client):
    with client, client.makefile("rb") as stream:
        return stream.read()


def test_requests_that_were_sent_before_a_stop_are_answered_though_nobody_had_accepted_them(serving, tmp_path):
    with serving(tmp_path) as server:
        server.signal(signal.SIGSTOP)
        clients = [send(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(200)]
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)

        assert [read_all(client)[:15] for client in clients] == [b"HTTP/1.1 200 OK"] * 200
        assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_server_leaves_everything_in_the_main_file(serving, tmp_path, number):
    with serving(tmp_path) as server:
        for each in range(20):
            server.request("POST", PROFILES, {"slug": f"p-{each}"})
        server.signal(number)

        assert server.wait() == 0
    log = tmp_path / "data/profiles.db-wal"
    assert not log.exists() or log.stat().st_size == 0


def test_open_connection_does_not_keep_a_server_from_stopping(serving, tmp_path, ask):
    with serving(tmp_path) as server, server.connection() as connection:
        ask(connection, "GET", "/healthz")
        with send(server, b"POST /api/chat/profiles HTTP/1.1\r\nContent-Le"):
            assert server.stop() == 0


def test_second_signal_while_stopping_changes_nothing(with_slow_plugin, until, tmp_path):
    with with_slow_plugin(2) as server, ThreadPoolExecutor(1) as client:
        running = client.submit(create_slowly, server)
        until((tmp_path / "slow-0-entered").exists)
        server.signal(signal.SIGTERM)
        until(lambda: refuses_connections(server))
        server.signal(signal.SIGINT)
        server.signal(signal.SIGTERM)
        (tmp_path / "released").touch()

        assert running.result(60).status == 201
        assert server.wait() == 0


def test_second_signal_after_the_last_request_changes_nothing(serving, distribution, until, tmp_path):
    site = distribution(tmp_path / "site", "acme_last", SLOW_TO_SHUT_DOWN)
    with serving(tmp_path, PYTHONPATH=site) as server:
        server.signal(signal.SIGTERM)
        until((tmp_path / "shutting-down").exists)
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGINT)
        (tmp_path / "released").touch()

        assert server.wait() == 0


def test_answer_while_stopping_says_that_the_connection_ends(with_slow_plugin, until, tmp_path):
    with with_slow_plugin(1) as server, ThreadPoolExecutor(1) as client:
        running = client.submit(create_slowly, server)
        until((tmp_path / "slow-0-entered").exists)
        server.signal(signal.SIGTERM)
        until(lambda: refuses_connections(server))
        (tmp_path / "released").touch()

        assert running.result(60).headers["Connection"] == "close"
        assert server.wait() == 0


def test_plugin_that_hangs_leaves_half_of_the_threads_to_others(with_slow_plugin, until, problem, tmp_path):
    with with_slow_plugin(4) as server, ThreadPoolExecutor(2) as clients:
        running = [clients.submit(create_slowly, server, number) for number in range(2)]
        for number in range(2):
            until((tmp_path / f"slow-{number}-entered").exists)
        refused = server.request("POST", PROFILES, {"slug": "one-more"})

        assert "acme_slow 1.5" in problem(refused, 503, "overloaded")["detail"]
        assert refused.headers["Retry-After"] == "1"
        assert server.request("GET", "/healthz").status == 200
        assert server.request("GET", f"{PROFILES}/default").status == 200
        (tmp_path / "released").touch()
        assert [each.result(60).status for each in running] == [201, 201]
        assert server.request("POST", PROFILES, {"slug": "one-more"}).status == 201


# commands, and servers that do not serve yet

WAITS = """
import pathlib, time
from pinocchio_core.plugin import *

def wait(name):
    pathlib.Path(name).touch()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.005)

"""
HANGS = {
    "import": "wait('entered')\n",
    "startup": "@hookimpl\ndef pinocchio_startup(info): wait('entered')\n",
    "cli": "@hookimpl\ndef pinocchio_cli(commands): wait('entered')\n",
    "seeds": "@hookimpl\ndef pinocchio_bootstrap_profiles(): wait('entered')\n",
    "contribution": "@hookimpl\ndef pinocchio_tools(): wait('entered')\n",
}
SWALLOWS = "try:\n    wait('first')\nexcept BaseException:\n    pass\nwait('entered')\n"


@pytest.fixture
def started(heeded, pinocchio, environment, distribution, tmp_path):
    """Start a command of `pinocchio` beside a plugin with this source."""
    processes = []

    def start(source, *arguments):
        site = distribution(tmp_path / "site", "acme_waits", WAITS + source)
        process = subprocess.Popen(
            [pinocchio, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(tmp_path, PYTHONPATH=site),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def ends_quietly(process, number):
    """Send the signal; the process must end for that reason and blame nobody."""
    process.send_signal(number)
    output = process.communicate(timeout=60)[0]
    return (process.returncode, output) == (128 + number, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hangs", HANGS)
def test_signal_while_a_plugin_is_busy_ends_a_start_and_blames_nobody(started, until, tmp_path, hangs, number):
    process = started(
        HANGS[hangs], "web-chat", "--plugin-errors=warn", "--addr=127.0.0.1:0", "--profile-registry-db=x.db"
    )
    until((tmp_path / "entered").exists)

    assert ends_quietly(process, number)


DEFINES = """
def carried(config, from_version):
    return config

@hookimpl
def pinocchio_middleware_definitions():
    yield MiddlewareDefinition("waits", {}, print, version=VERSION, migrate_config=carried)
"""
MIGRATES = {
    "startup": HANGS["startup"],
    "migrate_config": "def carried(config, from_version): wait('entered')\n",
    "validate": "@hookimpl\ndef pinocchio_validate_profile(profile): wait('entered')\n",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hangs", MIGRATES)
def test_signal_while_a_plugin_is_asked_ends_a_migration(
    serving, distribution, started, until, tmp_path, hangs, number
):
    before = distribution(tmp_path / "before", "acme_waits", WAITS + DEFINES.replace("VERSION", "1"))
    with serving(tmp_path, PYTHONPATH=before) as server:
        use = {"name": "waits", "config": {"mark": "!"}}
        assert server.request("POST", PROFILES, {"slug": "a", "runtime": {"middlewares": [use]}}).status == 201
    process = started(DEFINES.replace("VERSION", "2") + MIGRATES[hangs], "plugins", "migrate", "--db=data/profiles.db")
    until((tmp_path / "entered").exists)

    assert ends_quietly(process, number)


def test_signal_that_a_plugin_keeps_to_itself_does_not_stop_the_next_one(started, until, tmp_path):
    process = started(SWALLOWS, "plugins")
    until((tmp_path / "first").exists)
    process.send_signal(signal.SIGTERM)
    until((tmp_path / "entered").exists)

    assert ends_quietly(process, signal.SIGTERM)
