"""Changes as server-sent events, over real sockets: all of them, in order, whatever happens to the connection."""

import json
import re
import selectors
import socket
import threading
from contextlib import ExitStack, closing, contextmanager

import pytest

from pinocchio_core.bootstrap import NOTHING_MORE, More, assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.settings import Address
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp
from pinocchio_core.web import at_once
from pinocchio_core.web.listening import bind
from pinocchio_core.web.server import Server

CHANGES = "/api/chat/changes"
PROFILES = "/api/chat/profiles"
DEADLINE_S = 60
THREADS = 2


class Site(TestApp):
    """An app that is served, and asked without a socket for everything but events."""

    def __init__(self, program):
        super().__init__(program)
        sockets = bind(Address(host="127.0.0.1", port=0))
        self.port = sockets[0].getsockname()[1]
        self.server = Server(program.app, sockets, threads=THREADS, rule=at_once.rule(""))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def stop(self):
        self.server.stop()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()


class Events:
    """One client that listens."""

    def __init__(self, port, query="", **headers):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.rest = b""
        self.pending = []
        sent = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        request = f"GET {CHANGES}{query} HTTP/1.0\r\nHost: x\r\nAccept: text/event-stream\r\n{sent}\r\n"
        self.socket.sendall(request.encode())

    def head(self):
        """The status and the header."""
        while b"\r\n\r\n" not in self.rest:
            received = self.socket.recv(65536)
            assert received
            self.rest += received
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        self.pending += self.take(b"")
        return int(head.split()[1]), head.decode().lower()

    def take(self, received):
        """The events that are complete now, each as a mapping of its fields."""
        *whole, self.rest = (self.rest + received).split(b"\n\n")
        events = [dict(line.partition(": ")[::2] for line in each.decode().split("\n") if line) for each in whole]
        return [event for event in events if "event" in event or "id" in event]

    def __iter__(self):
        while True:
            while self.pending:
                yield self.pending.pop(0)
            received = self.socket.recv(65536)
            if not received:
                return
            self.pending += self.take(received)

    def until(self, count):
        """The next so many events that are some."""
        found = []
        for event in self:
            if "event" in event:
                found.append(event)
            if len(found) == count:
                return found
        raise AssertionError(f"the stream ended after {found}")


@contextmanager
def served(path, more=NOTHING_MORE):
    program = assemble(Host(given_plugins([])), dsn_of_path(str(path)), default_registry="default", more=more)
    site = Site(program)
    try:
        yield site
    finally:
        site.stop()
        program.close()


@pytest.fixture
def site(tmp_path):
    with served(tmp_path / "p.db") as made:
        yield made


def listening(site, stack, query="", **headers):
    """A client that is known to be taken."""
    events = Events(site.port, query, **headers)
    stack.enter_context(closing(events.socket))
    status, head = events.head()
    assert status == 200
    assert "content-type: text/event-stream" in head
    assert "cache-control: no-store" in head
    first = next(iter(events))
    assert first.keys() == {"id"}
    events.first = first["id"]
    return events


def test_who_listens_is_told_of_what_happens_from_then_on(site):
    with ExitStack() as stack:
        events = listening(site, stack)
        site.post(PROFILES, {"slug": "a"})
        site.patch(f"{PROFILES}/a", {"description": "d"})
        told = events.until(2)
    page = site.get(f"{CHANGES}?after={events.first}").json
    assert [json.loads(event["data"]) for event in told] == page["changes"]
    assert {event["event"] for event in told} == {"change"}
    assert told[-1]["id"] == page["cursor"]


@pytest.mark.parametrize("by", ["header", "query"])
def test_after_a_break_a_listener_goes_on_where_it_was(site, by):
    with ExitStack() as stack:
        events = listening(site, stack)
        site.post(PROFILES, {"slug": "a"})
        last = events.until(1)[0]["id"]
    for slug in "bc":
        site.post(PROFILES, {"slug": slug})
    with ExitStack() as stack:
        query, headers = (f"?after={last}", {}) if by == "query" else ("?after=1", {"Last_Event_ID": last})
        told = listening(site, stack, query, **headers).until(2)
    assert [json.loads(event["data"])["slug"] for event in told] == ["b", "c"]


def test_who_asks_for_the_beginning_is_told_everything(site):
    for number in range(300):
        site.post(PROFILES, {"slug": f"p{number}"})
    whole = site.get(f"{CHANGES}?limit=1000").json["changes"]
    with ExitStack() as stack:
        told = listening(site, stack, "?after=0").until(len(whole))
    assert [json.loads(event["data"]) for event in told] == whole


def test_a_listener_may_ask_for_one_profile(site):
    with ExitStack() as stack:
        events = listening(site, stack, "?slug=B&registry=default")
        for slug in "abc":
            site.post(PROFILES, {"slug": slug})
        site.patch(f"{PROFILES}/b", {"description": "d"})
        told = [json.loads(event["data"]) for event in events.until(2)]
    assert [(each["slug"], each["op"]) for each in told] == [("b", "create"), ("b", "update")]


@pytest.mark.parametrize("sent", ["x", "-1", "1.5", "9" * 400, "1-", "NaN"])
def test_a_last_event_id_that_is_none_is_refused(site, sent):
    with closing((events := Events(site.port, Last_Event_ID=sent)).socket):
        status, _ = events.head()
        assert status == 400


@pytest.mark.parametrize("sent", ["999999", "1-00000000", "4611686018427387904"])
def test_a_last_event_id_that_was_never_given_is_told_so_and_then_of_what_happens(site, sent):
    with ExitStack() as stack:
        events = listening(site, stack, Last_Event_ID=sent)
        reset = events.until(1)[0]
        assert reset["event"] == "reset"
        assert json.loads(reset["data"]) == {"cursor": reset["id"]}
        assert site.get(f"{CHANGES}?after=latest").json["cursor"] == reset["id"]
        site.post(PROFILES, {"slug": "a"})
        assert json.loads(events.until(1)[0]["data"])["slug"] == "a"


def heard(everybody, count):
    """The data of so many events that each has heard, all at the same time."""
    told = {events: [json.loads(event["data"]) for event in events.pending] for events in everybody}
    with selectors.DefaultSelector() as selector:
        for events in everybody:
            selector.register(events.socket, selectors.EVENT_READ, events)
        while selector.get_map():
            ready = selector.select(DEADLINE_S)
            assert ready
            for key, _ in ready:
                received = key.data.take(key.data.socket.recv(1 << 16))
                told[key.data] += [json.loads(event["data"]) for event in received]
                if len(told[key.data]) == count:
                    selector.unregister(key.fileobj)
    return list(told.values())


def test_many_listeners_hold_no_threads_and_each_is_told_everything_of_two_writers(site):
    listeners, changes = 60, 300

    def write(name):
        assert site.post(PROFILES, {"slug": name}).status == 201
        for number in range(changes - 1):
            assert site.patch(f"{PROFILES}/{name}", {"description": str(number)}).status == 200

    writers = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    with ExitStack() as stack:
        everybody = [listening(site, stack) for _ in range(listeners)]
        for each in writers:
            each.start()
        told = heard(everybody, 2 * changes)
        for each in writers:
            each.join()
    expected = site.get(f"{CHANGES}?after={everybody[0].first}&limit=1000").json["changes"]
    assert len(expected) == 2 * changes
    assert all(each == expected for each in told)


def test_one_that_never_reads_keeps_nobody_else_from_being_told(site):
    with ExitStack() as stack:
        listening(site, stack, "?after=0")
        events = listening(site, stack, "?slug=last")
        big = "r" * 200
        with site.program.store.write():
            for version in range(100, 30_000):
                site.program.store.database.run(
                    "INSERT INTO profile_revisions (registry_slug, slug, version, op, actor, source, reason, at_ms)"
                    f" VALUES ('default', 'many', {version}, 'update', 'a', 's', '{big}', 1)"
                )
        site.post(PROFILES, {"slug": "last"})
        assert json.loads(events.until(1)[0]["data"])["slug"] == "last"


def test_more_than_may_listen_are_told_to_come_back_and_one_that_leaves_makes_room(tmp_path):
    with served(tmp_path / "p.db", More(max_listeners=1)) as site, ExitStack() as stack:
        first = listening(site, stack)
        assert re.search(rb"pinocchio_change_listeners 1\.0", site.get("/metrics").body)
        with closing((refused := Events(site.port)).socket):
            status, head = refused.head()
            assert status == 503
            assert "retry-after: 5" in head
        first.socket.close()
        while True:
            again = Events(site.port)
            stack.enter_context(closing(again.socket))
            if again.head()[0] == 200:
                break
            site.post(PROFILES, {"slug": "a"})


def test_a_stop_of_the_server_ends_what_listeners_hear(tmp_path):
    with ExitStack() as stack:
        with served(tmp_path / "p.db") as site:
            events = listening(site, stack)
        assert events.socket.recv(1 << 16) in (b"", b": still here\n\n")


def test_a_head_request_takes_no_place_among_the_listeners(tmp_path):
    with served(tmp_path / "p.db", More(max_listeners=1)) as site:
        for _ in range(2):
            answer = site.request("HEAD", CHANGES, accept="text/event-stream")
            assert answer.status == 200
