"""Several server processes behind one address, and the parent that looks after them."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

PROFILES = "/api/chat/profiles"
SLOW = """
import pathlib, time
from pinocchio_core.plugin import hookimpl

@hookimpl
def pinocchio_validate_profile(profile):
    if profile.slug == "slow":
        pathlib.Path("entered").touch()
        deadline = time.monotonic() + 60
        while not pathlib.Path("released").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
    return ()

@hookimpl
def pinocchio_shutdown():
    pathlib.Path("shut-downs").open("a").write("x")
"""
FAILS_SECOND = """
import os, pathlib
from pinocchio_core.plugin import hookimpl

@hookimpl
def pinocchio_startup(info):
    if pathlib.Path("started").exists():
        os._exit(9)
    pathlib.Path("started").touch()
"""
NEVER_ENDS = """
import logging, os, pathlib, signal, threading
from pinocchio_core.cli.workers import Workers

def serve(worker):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worker.ready(lambda: None)
    pathlib.Path(f"ready-{os.getpid()}").touch()
    threading.Event().wait()

logging.basicConfig(level=logging.INFO)
Workers(serve, [], count=2, patience_s=0.5).run()
"""
CAN_PIN = hasattr(os, "sched_setaffinity")


@pytest.fixture
def two(serving, tmp_path):
    """A server with two workers, both serving."""
    with serving(tmp_path, "--workers", 2) as server:
        both_ready(server)
        yield server


def both_ready(server):
    for number in (1, 2):
        server.wait_for_log(rf"worker {number} \(process \d+\)")


def pids(server):
    """The process ids of workers in the order in which they started."""
    return [int(pid) for pid in re.findall(r"worker \d+ \(process (\d+)\)(?: on core \d+)?$", server.log, re.MULTILINE)]


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_that_answers(server):
    return int(re.search(rb'pinocchio_worker_info\{pid="(\d+)"\}', server.request("GET", "/metrics").body)[1])


def all_answer(server, expected, until):
    """Wait until each of these processes has answered on a connection of its own."""
    seen = set()
    until(lambda: seen.add(pid_that_answers(server)) or seen >= set(expected))
    return seen


def refuses_connections(server):
    try:
        server.request("GET", "/healthz")
    except ConnectionError:
        return True
    return False


def test_both_workers_answer_on_one_port(two, until):
    assert all_answer(two, pids(two), until) == set(pids(two))
    assert two.process.pid not in pids(two)


def test_one_worker_is_the_process_itself(serving, tmp_path):
    with serving(tmp_path) as server:
        assert pid_that_answers(server) == server.process.pid


def test_banner_is_written_once_and_each_worker_has_a_line(two):
    assert two.log.count("serves http://") == 1
    assert two.log.count("journal mode") == 1
    assert len(set(pids(two))) == 2


def test_writes_through_all_workers_are_visible_to_all_at_once(two, until):
    two.request("POST", PROFILES, {"slug": "shared"})
    writers, readers = set(), set()

    def changed_and_seen():
        number = len(writers) + len(readers)
        with two.connection() as connection:
            connection.request("GET", "/metrics")
            reader = connection.getresponse().read()
            written = two.request("PATCH", f"{PROFILES}/shared", {"description": f"{number} {reader[-8:]!r}"})
            connection.request("GET", f"{PROFILES}/shared")
            assert connection.getresponse().read() == written.body
        writers.add(written.headers["X-Request-Id"].partition("-")[0])
        readers.add(reader[reader.index(b"worker_info{") :])
        return len(writers) == len(readers) == 2

    until(changed_and_seen)


def test_killed_worker_is_replaced_and_the_others_go_on(two, until):
    first = pids(two)
    os.kill(first[0], signal.SIGKILL)
    two.wait_for_log(rf"worker 1 \(process {first[0]}\) was ended by SIGKILL")
    until(lambda: len(pids(two)) == 3)

    assert all_answer(two, pids(two)[1:], until) == set(pids(two)[1:])
    assert two.stop() == 0
    assert not [pid for pid in pids(two) if runs(pid)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_answers_what_runs_and_ends_every_worker(serving, distribution, until, tmp_path, number):
    folder = distribution(tmp_path / "site", "acme_slow", SLOW)
    with serving(tmp_path, "--workers", 2, PYTHONPATH=folder) as server, ThreadPoolExecutor(1) as client:
        both_ready(server)
        running = client.submit(server.request, "POST", PROFILES, {"slug": "slow"})
        until((tmp_path / "entered").exists)
        server.signal(number)
        until(lambda: refuses_connections(server))
        server.signal(number)
        (tmp_path / "released").touch()

        assert running.result(60).status == 201
        assert server.wait() == 0
        assert not [pid for pid in pids(server) if runs(pid)]
    assert (tmp_path / "shut-downs").read_text() == "xx"
    assert "ended" not in server.log


def test_stop_from_a_terminal_reaches_every_process_and_ends_all(pinocchio, environment, until, tmp_path):
    process = subprocess.Popen(
        [pinocchio, "web-chat", "--workers", "2", "--addr", "127.0.0.1:0", "--profile-registry-db", "x.db"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        said = ""
        while "worker 1" not in said or "worker 2" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        os.killpg(process.pid, signal.SIGINT)
        said += process.communicate(timeout=60)[1]

    assert process.returncode == 0, said
    assert "Aborted" not in said
    assert "Traceback" not in said
    assert said.splitlines()[-1].endswith("stopped")


def test_workers_end_when_their_parent_is_killed(two, until):
    os.kill(pids(two)[1], signal.SIGKILL)
    until(lambda: len(pids(two)) == 3)
    two.signal(signal.SIGKILL)

    two.process.wait(60)
    until(lambda: not [pid for pid in pids(two) if runs(pid)])
    assert "the parent process has ended" in two.log


@pytest.mark.skipif(not CAN_PIN, reason="this platform cannot pin")
@pytest.mark.parametrize("workers", [1, 3])
def test_each_process_is_pinned_to_a_core_in_turn(serving, tmp_path, workers):
    cores = sorted(os.sched_getaffinity(0))
    with serving(tmp_path, "--workers", workers, "--pin") as server:
        for number in range(1, workers + 1):
            expected = {cores[(number - 1) % len(cores)]}
            if workers == 1:
                assert os.sched_getaffinity(server.process.pid) == expected
            else:
                pid = int(server.wait_for_log(rf"worker {number} \(process (\d+)\) on core \d+")[1])
                assert os.sched_getaffinity(pid) == expected
        if workers > 1:
            assert os.sched_getaffinity(server.process.pid) == set(cores)


@pytest.mark.skipif(not CAN_PIN, reason="this platform cannot pin")
@pytest.mark.parametrize(
    ("variables", "pinned"),
    [({"PINOCCHIO_WORKERS": 2}, True), ({"PINOCCHIO_WORKERS": 2, "PINOCCHIO_PIN": "no"}, False)],
)
def test_several_workers_are_pinned_unless_told_otherwise(serving, tmp_path, variables, pinned):
    with serving(tmp_path, **variables) as server:
        both_ready(server)
        cores = os.sched_getaffinity(0)
        assert [os.sched_getaffinity(pid) == cores for pid in pids(server)] == [len(cores) == 1 or not pinned] * 2


# what keeps workers from serving


def test_broken_database_is_said_once_and_ends_with_1(run, tmp_path):
    (tmp_path / "bad.db").write_bytes(b"this is no database" * 100)
    ended = run(tmp_path, "web-chat", "--workers", 2, "--addr", "127.0.0.1:0", "--profile-registry-db", "bad.db")

    assert ended.returncode == 1
    assert len(re.findall("^pinocchio: ", ended.stderr, re.MULTILINE)) == 1
    assert "bad.db" in ended.stderr
    assert "serves" not in ended.stderr


def test_address_in_use_is_said_once_and_leaves_no_database(serving, run, tmp_path):
    with serving(tmp_path) as server:
        ended = run(
            tmp_path,
            *("web-chat", "--workers", 2, "--addr", f"127.0.0.1:{server.port}", "--profile-registry-db", "new.db"),
        )

    assert ended.returncode == 1
    assert ended.stderr.count("cannot listen") == 1
    assert not (tmp_path / "new.db").exists()


def test_database_in_memory_cannot_have_several_workers(run, tmp_path):
    ended = run(tmp_path, "web-chat", "--workers", 2, "--profile-registry-db", ":memory:")

    assert ended.returncode == 2
    assert "--workers" in ended.stderr
    assert "→" in ended.stderr


def test_worker_that_dies_before_it_served_ends_the_program(serving, distribution, tmp_path):
    folder = distribution(tmp_path / "site", "acme_fails", FAILS_SECOND)
    with serving(tmp_path, "--workers", 2, PYTHONPATH=folder) as server:
        assert server.wait() == 1

    assert re.search(r"^pinocchio: worker 2 .* ended with exit code 9 before it served$", server.log, re.MULTILINE)
    assert not [pid for pid in pids(server) if runs(pid)]


def test_worker_that_dies_again_and_again_ends_the_program(two, until):
    for count in range(2, 7):
        until(lambda count=count: len(pids(two)) == count)
        latest = pids(two)[-1] if count > 2 else int(re.search(r"worker 2 \(process (\d+)\)", two.log)[1])
        os.kill(latest, signal.SIGKILL)

    assert two.wait() == 1
    assert len(re.findall("^pinocchio: worker 2 ", two.log, re.MULTILINE)) == 1
    assert not [pid for pid in pids(two) if runs(pid)]


def test_all_workers_killed_lose_nothing_that_was_acknowledged(two, until):
    created = [two.request("POST", PROFILES, {"slug": f"p{number}"}) for number in range(20)]
    for pid in pids(two):
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(pids(two)) == 4)
    names = {item["slug"] for item in two.request("GET", f"{PROFILES}?limit=100").json}

    assert {answer.json["slug"] for answer in created} <= names


def test_worker_that_does_not_end_in_time_is_killed(environment, until, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", NEVER_ENDS], cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: list(tmp_path.glob("ready-*")) != [])
        process.terminate()
        said = process.communicate(timeout=60)[1]

    assert process.returncode == 0, said
    assert "killed worker" in said
    assert not [path for path in tmp_path.glob("ready-*") if runs(int(path.name.partition("-")[2]))]
