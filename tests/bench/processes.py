"""Processes that are measured: on a core of their own where the platform can pin, stopped by their process id."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import load
import psutil

HERE = Path(__file__).parent
URL = re.compile(rb"http://127\.0\.0\.1:([0-9]+)")
LIBRARIES = "falcon, peewee, pluggy, waitress, jsonschema, msgspec, click, prometheus_client, re2, platformdirs"
MB = 1024 * 1024
CONNECT_S, RETRY_S = 20, 0.002


class Cores:
    """Which core the measured processes have, and which one the load has; none where it cannot be chosen."""

    def __init__(self) -> None:
        usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
        self.server, self.client = usable[:2] if len(usable) > 1 else (None, None)
        self.unpin()

    def unpin(self) -> None:
        """Put this process, and the load that it starts, on the client's core."""
        if self.client is not None:
            os.sched_setaffinity(0, {self.client})

    def release(self) -> None:
        """Let what is started from now on run on both cores, until `unpin`."""
        if self.server is not None and self.client is not None:
            os.sched_setaffinity(0, {self.server, self.client})

    @contextmanager
    def measured(self) -> Iterator[None]:
        """What is started inside runs on the server's core."""
        if self.server is not None:
            os.sched_setaffinity(0, {self.server})
        try:
            yield
        finally:
            self.unpin()

    def __str__(self) -> str:
        if self.server is None:
            return "not pinned to cores (one core, or the platform cannot)"
        return f"measured processes pinned to core {self.server}, load and runner to core {self.client}"


@dataclass
class Running:
    """A server that answers."""

    process: subprocess.Popen[bytes]
    port: int
    started_in_s: float
    """From the start of the process to the end of its first answer; 0 where that was not asked for."""

    @property
    def rss_mb(self) -> float:
        """Resident memory now, of all its processes together."""
        process = psutil.Process(self.process.pid)
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / MB

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Lab:
    """Starts processes, all on the same two cores."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder = folder
        self.cores = Cores()
        self.threads = threads
        self._running: list[Running] = []

    def pinocchio(self, database: Path, *more: object, first: str | None = None) -> Running:
        """`pinocchio web-chat` on a database, with `more` options; `first` is the path of a first request."""
        command = [Path(sysconfig.get_path("scripts")) / "pinocchio", "web-chat", "--addr", "127.0.0.1:0"]
        options = ["--profile-registry-db", database, "--threads", self.threads, *more]
        return self._start([*command, *options], first=first)

    def reference(self, kind: str, argument: Path, *, first: str | None = None) -> Running:
        """One of the servers in `reference.py`."""
        return self._start([sys.executable, HERE / "reference.py", kind, self.threads, argument], first=first)

    def module(
        self, name: str, *options: object, database: Path, first: str | None = None, ready: bytes = b""
    ) -> Running:
        """A server that is a module of Python, for what a module in this folder makes of a database.

        `ready`: what the server says once it takes connections, where that is later than its address.
        """
        environment = {"BENCH_DATABASE": str(database), "PYTHONPATH": str(HERE)}
        command = [sys.executable, "-m", name, *options]
        return self._start(command, first=first, environment=environment, ready=ready)

    def load(self, server: Running, targets: Sequence[tuple[str, str]], **job: object) -> load.Outcome:
        """Put load on a server."""
        asked = load.Job(port=server.port, server_pid=server.process.pid, targets=list(targets), **job)
        done = subprocess.run(
            [sys.executable, HERE / "load.py"],
            input=json.dumps(asdict(asked)).encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
        return load.Outcome(**json.loads(done.stdout))

    def answer(self, server: Running, path: str) -> bytes:
        """The body of the answer to a GET."""
        return _get(server.port, path)

    def first_words_ms(self, server: Running, seconds: float) -> list[float]:
        """Sorted times of `streams.py`."""
        done = subprocess.run(
            [sys.executable, HERE / "streams.py"],
            input=json.dumps({"port": server.port, "seconds": seconds}).encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
        return list(json.loads(done.stdout))

    @contextmanager
    def streams(self, server: Running, held: int, pause_ms: int) -> Iterator[None]:
        """So many chats are answered as events, a word of each after every pause, while the block runs."""
        command = [sys.executable, HERE / "streams.py"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps({"port": server.port, "held": held, "pause_ms": pause_ms}).encode() + b"\n")
            process.stdin.flush()
            if process.stdout.readline() != b"held\n":
                raise SystemExit("the streams did not begin")
            try:
                yield
            finally:
                process.stdin.close()
                process.wait(20)

    def commits(self, database: Path, seconds: float) -> float:
        """Commits a second of `commits.py`."""
        with self.cores.measured():
            command = [sys.executable, HERE / "commits.py", database, str(seconds)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
        found = json.loads(process.communicate()[0])
        return found["commits"] / found["seconds"]

    def imports(self) -> float:
        """Seconds that a process needs to import the libraries and end."""
        with self.cores.measured():
            began = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-c", f"import {LIBRARIES}"])
        if process.wait() != 0:
            raise SystemExit("the libraries cannot be imported")
        return time.perf_counter() - began

    def close(self) -> None:
        """Stop whatever still runs."""
        for running in self._running:
            if running.process.poll() is None:
                running.stop()

    def _start(
        self,
        command: Sequence[object],
        *,
        first: str | None = None,
        environment: Mapping[str, str] | None = None,
        ready: bytes = b"",
    ) -> Running:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PINOCCHIO_")}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # a checkout would be compiled at each start, a wheel never is
        environment = inherited | dict(environment or {})
        with self.cores.measured():
            began = time.perf_counter()
            process = subprocess.Popen(
                [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
            )
        running = Running(process, _announced_port(process, ready), 0)
        self._running.append(running)
        if first is not None:
            _get(running.port, first)
            running.started_in_s = time.perf_counter() - began
        threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
        return running


@contextmanager
def others_cpu() -> Iterator[list[float]]:
    """Fills its list with the cores that processes other than this one and its ended children used meanwhile."""
    found: list[float] = []
    began, busy, own = time.perf_counter(), load.busy_s(), _own_cpu_s()
    yield found
    elapsed = time.perf_counter() - began
    found.append(max(0.0, (load.busy_s() - busy - (_own_cpu_s() - own)) / elapsed))


def _own_cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _announced_port(process: subprocess.Popen[bytes], ready: bytes) -> int:
    said = b""
    for line in process.stdout or ():
        said += line
        found = URL.search(said)
        if found and ready in said:
            return int(found[1])
    raise SystemExit(f"a server did not start: {said.decode(errors='replace')}")


def _connected(port: int, deadline: float) -> socket.socket:
    """A connection, also to a server whose parent says its address before its workers listen."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_S)


def _get(port: int, path: str) -> bytes:
    with _connected(port, time.monotonic() + CONNECT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := connection.recv(1 << 16):
            answer += data
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"GET {path}: {answer[:1000]!r}")
    return answer.partition(b"\r\n\r\n")[2]


def _drain(stream: IO[bytes]) -> None:
    for _ in stream:
        pass
