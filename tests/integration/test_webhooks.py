"""Webhooks, told by servers in this process and received by real ones: all of it, in order, signed, whatever fails."""

import base64
import hashlib
import hmac
import json
import re
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pinocchio_core.bootstrap import More, assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.service.changes import endpoints
from pinocchio_core.service.changes.webhooks import WEBHOOK_LEASE, Webhooks
from pinocchio_core.store.copies.backup import copy_database
from pinocchio_core.store.copies.restore import restore
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.tables.cursors import WebhookCursors
from pinocchio_core.store.tables.facts import Facts
from pinocchio_core.testing import TestApp

PROFILES = "/api/chat/profiles"
SECRET = b"a secret of the receiver"
DEADLINE_S = 60
HANGS = 0
"""In the place of a status: no answer until the test is over."""


class Receiver(ThreadingHTTPServer):
    """Takes messages, and answers the next ones with these statuses, then 204."""

    daemon_threads = True

    def __init__(self, *statuses):
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses)
        self.messages = []
        self.attempts = []
        self.changed = threading.Condition()
        self.over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook?to=me"

    def wait(self, count, what="messages"):
        """The first so many, once they are there."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(getattr(self, what)) >= count, DEADLINE_S), self.messages
            return getattr(self, what)[:count]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        with server.changed:
            status = server.statuses.pop(0) if server.statuses else 204
            server.attempts.append((dict(self.headers), body, self.path))
            if 200 <= status < 300:
                server.messages.append(json.loads(body))
            server.changed.notify_all()
        if status == HANGS:
            server.over.wait(DEADLINE_S)
            return
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def receiving(*statuses):
    with Receiver(*statuses) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def receiver():
    with receiving() as server:
        yield server


def endpoint(url, name="ci", **changes):
    wanted = {"registries": None, "ops": None, "timeout_s": 5, "from_beginning": False, "give_up_s": 1000} | changes
    return endpoints.Endpoint(name=name, url=url, secret=SECRET, **wanted)


@contextmanager
def telling(path, *hooks, retry_s=0.01):
    """The app over a database, by a server that tells webhooks."""
    program = assemble(Host(given_plugins([])), dsn_of_path(str(path)), default_registry="default")
    webhooks = Webhooks(program.store, hooks, first_retry_s=retry_s)
    webhooks.start()
    app = TestApp(program)
    app.webhooks = webhooks
    try:
        yield app
    finally:
        webhooks.stop()
        program.close()


def until(condition):
    """Wait for it."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def told(messages):
    return [(each["data"]["slug"], each["data"]["version"]) for each in messages]


def test_each_change_is_told_in_order_and_signed(tmp_path, receiver):
    with telling(tmp_path / "p.db", endpoint(receiver.url)) as app:
        app.post(PROFILES, {"slug": "a", "description": "confidential"})
        app.patch(f"{PROFILES}/a", {"description": "as well"})
        messages = receiver.wait(2)
        feed = app.get("/api/chat/changes?after=latest").json
    assert told(messages) == [("a", 1), ("a", 2)]
    assert messages[1].keys() == {"type", "timestamp", "cursor", "data"}
    assert (messages[1]["type"], messages[1]["cursor"]) == ("change", feed["cursor"])
    headers, body, path = receiver.attempts[1]
    assert path == "/hook?to=me"
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-id"] == f"change-{feed['cursor']}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < DEADLINE_S
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert (
        headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    )
    assert b"confidential" not in body


def test_the_check_in_the_documentation_takes_what_is_sent_and_nothing_else(tmp_path, receiver):
    text = (Path(__file__).parents[2] / "docs" / "operate.md").read_text()
    code = {}
    exec(re.search(r"```python\n(import base64.+?)```", text, re.DOTALL)[1], code)  # noqa: S102  it is ours
    with telling(tmp_path / "p.db", endpoint(receiver.url)) as app:
        app.post(PROFILES, {"slug": "a"})
        receiver.wait(1)
    headers, body, _ = receiver.attempts[0]
    now = int(headers["webhook-timestamp"])
    assert code["is_genuine"](SECRET, headers, body, now)
    assert not code["is_genuine"](SECRET, headers, body + b" ", now)
    assert not code["is_genuine"](b"another secret", headers, body, now)
    assert not code["is_genuine"](SECRET, headers, body, now + 301)


def test_a_new_webhook_is_told_from_now_on_unless_it_asks_for_the_beginning(tmp_path, receiver):
    with telling(tmp_path / "p.db") as app:
        app.post(PROFILES, {"slug": "before"})
        whole = app.get("/api/chat/changes").json["changes"]
    with receiving() as other:
        hooks = endpoint(receiver.url), endpoint(other.url, "all", from_beginning=True)
        with telling(tmp_path / "p.db", *hooks) as app:
            app.post(PROFILES, {"slug": "after"})
            assert told(receiver.wait(1)) == [("after", 1)]
            messages = other.wait(len(whole) + 1)
    assert [each["data"] for each in messages[:-1]] == whole


def test_a_webhook_is_told_of_what_it_wants(tmp_path, receiver):
    wanted = endpoint(receiver.url, registries=frozenset({"team"}), ops=frozenset({"create", "delete"}))
    with telling(tmp_path / "p.db", wanted) as app:
        app.post("/api/chat/registries", {"slug": "team"})
        app.post(PROFILES, {"slug": "a"})
        app.post(PROFILES, {"slug": "b", "registry": "team"})
        app.patch(f"{PROFILES}/b?registry=team", {"description": "d"})
        app.delete(f"{PROFILES}/b?registry=team")
        messages = receiver.wait(2)
        until(lambda: app.webhooks.states()[0].behind == 0)
    assert [(each["data"]["slug"], each["data"]["op"]) for each in messages] == [("b", "create"), ("b", "delete")]
    assert len(receiver.attempts) == 2


@pytest.mark.parametrize("status", [500, 404, 302, 199])
def test_what_is_not_acknowledged_is_told_again_before_anything_else(tmp_path, status):
    with receiving(status, status) as receiver, telling(tmp_path / "p.db", endpoint(receiver.url)) as app:
        app.post(PROFILES, {"slug": "a"})
        app.post(PROFILES, {"slug": "b"})
        assert told(receiver.wait(2)) == [("a", 1), ("b", 1)]
        ids = [headers["webhook-id"] for headers, _, _ in receiver.attempts]
        assert ids[0] == ids[1] == ids[2] != ids[3]
        assert {path for _, _, path in receiver.attempts} == {"/hook?to=me"}
        until(lambda: app.webhooks.states()[0].attempts == 0)


def test_one_that_hangs_keeps_no_other_from_being_told_and_is_shown(tmp_path, receiver):
    with receiving(*[HANGS] * 100) as hanging:
        hooks = endpoint(hanging.url, "hangs", timeout_s=0.2), endpoint(receiver.url)
        with telling(tmp_path / "p.db", *hooks) as app:
            for slug in "abc":
                app.post(PROFILES, {"slug": slug})
            assert told(receiver.wait(3)) == [("a", 1), ("b", 1), ("c", 1)]
            until(lambda: app.webhooks.states()[0].attempts > 1)
            state = app.webhooks.states()[0]
    assert (state.behind, state.parked) == (3, False)
    assert state.last_error == "it did not answer within 0.2 s"


def test_a_stop_waits_for_none_that_hangs_and_counts_it_as_no_failure(tmp_path):
    with receiving(HANGS) as receiver:
        hook = endpoint(receiver.url, timeout_s=30)
        with telling(tmp_path / "p.db", hook) as app:
            app.post(PROFILES, {"slug": "a"})
            receiver.wait(1, "attempts")
        with telling(tmp_path / "p.db", hook) as app:
            assert app.webhooks.states()[0].attempts == 0
            assert told(receiver.wait(1)) == [("a", 1)]


def test_a_stop_does_not_wait_for_one_that_is_connecting_and_another_server_goes_on(tmp_path, receiver):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook = endpoint(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=30)
        with telling(tmp_path / "p.db", hook) as app:
            app.post(PROFILES, {"slug": "a"})
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(1 << 16)  # the greeting of TLS, to which an answer is awaited
                app.webhooks.stop()
                connection.settimeout(0)
                with pytest.raises(BlockingIOError):
                    connection.recv(1)  # it is awaited still
                with telling(tmp_path / "p.db", endpoint(receiver.url)):
                    assert told(receiver.wait(1)) == [("a", 1)]
                    until(lambda: app.webhooks.states()[0].behind == 0)
            until(lambda: "webhook-ci" not in {thread.name for thread in threading.enumerate()})
            state = app.webhooks.states()[0]
            assert (state.behind, state.attempts) == (0, 0)  # who has the lease no more does not write them


def test_one_that_is_nowhere_is_tried_again(tmp_path):
    hooks = endpoint("http://127.0.0.1:1/"), endpoint(f"http://{'a' * 70}.invalid/", "label")
    with telling(tmp_path / "p.db", *hooks) as app:
        app.post(PROFILES, {"slug": "a"})
        until(lambda: all(state.attempts for state in app.webhooks.states()))
        refused, unknown = app.webhooks.states()
    assert refused.last_error == "ConnectionRefusedError: Connection refused"
    assert unknown.last_error


def test_one_that_fails_for_too_long_is_given_up_until_a_server_starts_again(tmp_path, caplog):
    with receiving(*[500] * 2) as receiver:
        hook = endpoint(receiver.url, give_up_s=0)
        with telling(tmp_path / "p.db", hook) as app:
            app.post(PROFILES, {"slug": "a"})
            until(lambda: app.webhooks.states()[0].parked)
            assert len(receiver.attempts) == 2
            assert "webhook ci is given up" in caplog.text
            assert SECRET.decode() not in caplog.text
        with telling(tmp_path / "p.db", hook):
            assert told(receiver.wait(1)) == [("a", 1)]


def test_how_webhooks_fare_is_in_readiness_and_metrics(tmp_path):
    with receiving(*[500] * 100) as receiver:
        more = More(webhooks=[endpoint(receiver.url)])
        host = Host(given_plugins([]))
        program = assemble(host, dsn_of_path(str(tmp_path / "p.db")), default_registry="default", more=more)
        try:
            app = TestApp(program)
            app.post(PROFILES, {"slug": "a"})
            until(lambda: program.webhooks.states()[0].attempts)
            ready, metrics = app.get("/readyz"), app.get("/metrics").body.decode()
        finally:
            program.close()
    assert (ready.status, ready.json["status"]) == (200, "degraded")
    assert ready.json["reasons"] == ["webhook ci fails, 1 changes behind: it answered with status 500"]
    assert re.search(r'pinocchio_webhook_posts_total{name="ci",result="failed"} [1-9]', metrics)
    assert 'pinocchio_webhook_lag{name="ci"} 1.0' in metrics
    assert re.search(r'pinocchio_webhook_failed_attempts{name="ci"} [1-9]', metrics)


def test_of_several_servers_one_tells_and_another_goes_on_where_it_ended(tmp_path, receiver):
    hook = endpoint(receiver.url)
    with telling(tmp_path / "p.db", hook) as first:
        first.post(PROFILES, {"slug": "a"})
        receiver.wait(1)
        with telling(tmp_path / "p.db", hook) as second:
            for slug in "bc":
                second.post(PROFILES, {"slug": slug})
            receiver.wait(3)
            until(lambda: first.webhooks.states()[0].behind == 0)
            assert not second.webhooks.posts
            first.webhooks.stop()
            second.post(PROFILES, {"slug": "d"})
            assert told(receiver.wait(4)) == [(slug, 1) for slug in "abcd"]
            until(lambda: second.webhooks.posts == {("ci", "delivered"): 1})
    assert len(receiver.attempts) == 4


def test_a_server_that_died_while_it_told_is_followed_by_another(tmp_path, receiver):
    with telling(tmp_path / "p.db") as app, app.program.store.write():
        until_ms = app.program.store.now_ms() + 1500
        Facts(app.program.store.database).write(WEBHOOK_LEASE, {"holder": "dead", "until_ms": until_ms}, 0)
    with telling(tmp_path / "p.db", endpoint(receiver.url)) as app:
        app.post(PROFILES, {"slug": "a"})
        assert told(receiver.wait(1)) == [("a", 1)]
        assert app.program.store.now_ms() >= until_ms


@pytest.mark.parametrize("by_hand", [False, True], ids=["restore", "another file"])
def test_after_a_restore_a_webhook_is_told_so_and_then_of_what_comes(tmp_path, receiver, by_hand):
    path, backup = tmp_path / "p.db", tmp_path / "old.db"
    backup.touch()
    with telling(path, endpoint(receiver.url)) as app:
        app.post(PROFILES, {"slug": "a"})
        receiver.wait(1)
        copy_database(path, backup)
        app.patch(f"{PROFILES}/a", {"description": "lost"})
        receiver.wait(2)
    if by_hand:
        with connected(path, mode="rwc") as connection:
            connection.execute("UPDATE profile_revisions SET at_ms = at_ms + 1")  # another history of the same length
    else:
        restore(backup, dsn_of_path(str(path)), now=datetime.now(UTC))
    with telling(path, endpoint(receiver.url)) as app:
        reset = receiver.wait(3)[2]
        app.post(PROFILES, {"slug": "b"})
        after = receiver.wait(4)[3]
    assert reset["type"] == "reset"
    assert reset["data"] == {"cursor": reset["cursor"]}
    assert (after["type"], after["data"]["slug"]) == ("change", "b")


def test_telling_writes_no_revision(tmp_path, receiver):
    with telling(tmp_path / "p.db", endpoint(receiver.url)) as app:
        app.post(PROFILES, {"slug": "a"})
        receiver.wait(1)
        until(lambda: app.webhooks.states()[0].behind == 0)
        store = app.program.store
        place = WebhookCursors(store.database).read("ci").place
        assert str(place) == app.get("/api/chat/changes?after=latest").json["cursor"]
