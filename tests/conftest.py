"""Real processes of the command `pinocchio`, started and stopped by these fixtures, and what tests say to them."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

DEADLINE_S = 60
"""How long anything may take before a test gives up; nothing here measures time."""
SLOW = """
import pathlib, time
from pinocchio_core.plugin import hookimpl

@hookimpl
def pinocchio_validate_profile(profile):
    if profile.slug.startswith("slow"):
        folder = pathlib.Path(profile.description)
        (folder / f"{profile.slug}-entered").touch()
        deadline = time.monotonic() + 60
        while not (folder / "released").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
    return ()
"""


@dataclass(frozen=True)
class Answer:
    """An answer of a server."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """A running `pinocchio web-chat`."""

    def __init__(self, process, cwd):
        self.process = process
        self.cwd = cwd
        self.may_log_tracebacks = False
        self._lines = []
        self._grown = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._grown:
                self._lines.append(line)
                self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    @property
    def log(self):
        """What it has written to standard error so far."""
        with self._grown:
            return "".join(self._lines)

    def wait_for_log(self, pattern):
        """The first match of a pattern in its log, waiting for it."""
        with self._grown:
            found = self._grown.wait_for(
                lambda: re.search(pattern, "".join(self._lines)) or self._ended, timeout=DEADLINE_S
            )
            match = re.search(pattern, "".join(self._lines))
        assert match, f"the server {'ended' if found else 'never'} without saying {pattern!r}:\n{self.log}"
        return match

    @property
    def url(self):
        """Where it says that it serves."""
        return self.wait_for_log(r"serves (http://[^\s\"]+)")[1]

    @property
    def port(self):
        return int(re.search(r":(\d+)(?:/|$)", self.url)[1])

    def connection(self, host="127.0.0.1"):
        """A connection to it, closed at the end of a `with` block."""
        return closing(http.client.HTTPConnection(host, self.port, timeout=DEADLINE_S))

    def request(self, method, path, document=None, *, host="127.0.0.1", **headers):
        """One request on a connection of its own; `if_match="…"` sends the header If-Match."""
        with self.connection(host) as connection:
            return ask(connection, method, path, document, **headers)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Wait until it has ended; returns its exit code."""
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code

    def stop(self):
        """Stop it as an operator does; returns its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()


def ask(connection, method, path, document=None, **headers):
    """One request on an open connection; a document that is bytes is sent as it is, everything else as JSON."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = document if document is None or isinstance(document, bytes) else json.dumps(document)
    if body is not None:
        sent.setdefault("content-type", "application/json")
    connection.request(method, path, body, sent)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


@pytest.fixture(scope="session", name="ask")
def _ask():
    return ask


@pytest.fixture
def heeded():
    """What is started meanwhile heeds signals that whoever runs the tests may ignore, as `nohup` and shells do."""
    ignored = [number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session")
def pinocchio():
    """The command `pinocchio` of the environment that runs the tests."""
    found = shutil.which("pinocchio", path=Path(sys.executable).parent)
    assert found, "the command pinocchio is not installed beside the Python that runs these tests"
    return found


@pytest.fixture(scope="session")
def environment():
    """The variables of a process that sees nothing of this user's: `environment(cwd, **more)`."""

    def make(cwd, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PINOCCHIO_", "PYTHON"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        own = {"HOME": str(cwd), "XDG_DATA_HOME": str(cwd / "xdg"), "PATH": path, "PYTHONUTF8": "1"}
        return kept | own | {name: str(value) for name, value in more.items() if value is not None}

    return make


@pytest.fixture(scope="session")
def run(pinocchio, environment):
    """Run a command of `pinocchio` to its end: `run(cwd, "profiles", "list", PINOCCHIO_THREADS=2)`."""

    def run_command(cwd, *arguments, **variables):
        return subprocess.run(
            [pinocchio, *map(str, arguments)],
            cwd=cwd,
            env=environment(cwd, **variables),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run_command


@pytest.fixture(scope="session")
def serving(pinocchio, environment):
    """`with serving(cwd, "--threads", "2", NAME="value") as server:`; listens on a free port unless told otherwise."""

    @contextmanager
    def serve(cwd, *options, **variables):
        chosen = {"PINOCCHIO_ADDR": "127.0.0.1:0", "PINOCCHIO_PROFILE_REGISTRY_DB": cwd / "data/profiles.db"}
        with (cwd / "stdout").open("wb") as stdout:
            process = subprocess.Popen(
                [pinocchio, "web-chat", *map(str, options)],
                cwd=cwd,
                env=environment(cwd, **(chosen | variables)),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        server = Server(process, cwd)
        try:
            assert server.url
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                server.wait()
            except subprocess.TimeoutExpired:
                process.kill()
                server.wait()
            process.stderr.close()
        assert server.may_log_tracebacks or "Traceback" not in server.log, server.log

    return serve


@pytest.fixture(scope="session")
def until():
    """Wait for a condition: `until(path.exists)` returns its first true value, or fails."""

    def wait(condition):
        deadline = time.monotonic() + DEADLINE_S
        while not (value := condition()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)
        return value

    return wait


@pytest.fixture(scope="session")
def problem():
    """Check that an answer is a whole problem document of a status; returns the document."""

    def check(answer, status, title=None):
        assert answer.status == status, answer.body
        assert answer.headers["Content-Type"] == "application/problem+json"
        document = answer.json
        assert document["status"] == status
        assert document["type"] == f"urn:pinocchio:problem:{document['code']}"
        assert document["title"]
        assert document["detail"]
        assert document["request_id"] == answer.headers["X-Request-Id"]
        assert title in (None, document["title"])
        return document

    return check


@pytest.fixture(scope="session")
def distribution():
    """Install a distribution with one plugin into a folder for PYTHONPATH: `distribution(folder, "acme", source)`."""

    def make(folder, name, source):
        info = folder / f"{name}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[pinocchio.plugins]\n{name} = {name}\n")
        (folder / f"{name}.py").write_text(source)
        return folder

    return make


@pytest.fixture(scope="session")
def slow_plugin(distribution):
    """Install `acme_slow` into a folder: it holds every profile named slow… until its description's folder says so.

    The description is the path of a folder: `{slug}-entered` is there once it holds one, `released` lets it go.
    """
    return lambda folder: distribution(folder, "acme_slow", SLOW)


@pytest.fixture(scope="session")
def shell_at(environment):
    """Run a command line with bash as a document has it, only its port replaced: `shell_at(server, text, *options)`."""

    def run_at(server, text, *options):
        return subprocess.run(
            ["bash", "-o", "pipefail", *options, "-c", text.replace("localhost:8080", f"localhost:{server.port}")],
            cwd=server.cwd,
            env=environment(server.cwd),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_at


@pytest.fixture
def irremovable():
    """`irremovable(path)`: nobody can remove the file until the test ends; skips where this user cannot do that."""
    undo = []

    def done(command):
        return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0

    def make(path):
        for there, back in (
            (["chattr", "+i", path], ["chattr", "-i", path]),
            (["mount", "--bind", path, path], ["umount", "--lazy", path]),
        ):
            if os.geteuid() == 0 and shutil.which(there[0]) and done(there):
                undo.append(back)
                return
        pytest.skip("this user cannot make a file that stays")

    yield make
    for command in undo:
        done(command)
