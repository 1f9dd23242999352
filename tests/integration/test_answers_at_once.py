"""Which answers the loop of a server makes itself, over real sockets, and what it leaves to threads."""

import gc
import http.client
import json
import threading
from collections import defaultdict
from contextlib import ExitStack, closing

import falcon.inspect
import pytest

from pinocchio_core.bootstrap import assemble
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.testing import make_host
from pinocchio_core.web import at_once
from pinocchio_core.web.parsing import RequestParser
from pinocchio_core.web.tasks import KeepAliveTask

DEADLINE_S = 60
PROFILES = "/api/chat/profiles"
FIXED = [route for route in at_once.READS if not route.startswith(PROFILES)]


class Site:
    """The app, and who was asked to answer what: every time that the app was called, in order."""

    def __init__(self, app):
        self._app = app
        self.asked = defaultdict(list)
        self.entered = threading.Semaphore(0)
        self.released = threading.Event()

    def __call__(self, env, start_response):
        self.asked[env["REQUEST_URI"]].append(threading.current_thread())
        self.entered.release()
        if env["PATH_INFO"] == "/busy":
            self.released.wait(DEADLINE_S)
        return self._app(env, start_response)


@pytest.fixture
def server(running, tmp_path, shipped):
    """One with a single thread, over a database whose readers and writers wait for each other."""
    dsn = parse_dsn(f"file:{tmp_path / 'profiles.db'}?_journal_mode=DELETE&_busy_timeout={DEADLINE_S * 1000}")
    with closing(assemble(make_host(*shipped), dsn, default_registry="default")) as program:
        program.health.stop()  # it reads too, and the loop does not wait for its connection
        site = Site(program.app)
        with running(site, threads=1, rule=at_once.rule("")) as server:
            server.site = site
            server.database = tmp_path / "profiles.db"
            yield server
            site.released.set()


@pytest.fixture
def send(server):
    """Send a request on a connection of its own."""
    with ExitStack() as opened:

        def do(path, method="GET", body=None):
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
            opened.callback(client.close)
            client.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            return client

        yield do


@pytest.fixture
def who(server, send):
    """Who was asked to answer a request, one after another: "loop" or "thread"; with what came of it."""

    def ask(path, method="GET", body=None):
        server.site.asked[path].clear()
        answer = send(path, method, body).getresponse()
        answer.read()
        names = ["loop" if each is server.thread else "thread" for each in server.site.asked[path]]
        return names, answer.status

    return ask


def test_the_loop_reads_a_profile_once_the_database_has_been_read(who):
    who(f"{PROFILES}/default")
    assert who(f"{PROFILES}/default") == (["loop"], 200)
    assert who(f"{PROFILES}/default", "HEAD") == (["loop"], 200)
    assert who(f"{PROFILES}/default/") == (["loop"], 200)
    assert who(f"{PROFILES}/nobody") == (["loop"], 404)
    assert who(f"{PROFILES}/default@1") == (["loop"], 200)


@pytest.mark.parametrize("path", FIXED)
def test_the_loop_sends_what_is_fixed(who, path):
    assert who(path) == (["loop"], 200)


def test_short_answers_go_on_while_every_thread_is_busy(server, send, who):
    who(f"{PROFILES}/default")
    busy = send("/busy")
    while not server.site.asked["/busy"]:
        assert server.site.entered.acquire(timeout=DEADLINE_S)
    for path in (f"{PROFILES}/default", *FIXED):
        assert who(path) == (["loop"], 200)
    server.site.released.set()
    assert busy.getresponse().status == 404


def test_a_page_is_short_once_it_is_known_how_many_profiles_there_are(who):
    who(f"{PROFILES}/default")
    assert who(f"{PROFILES}?limit=1") == (["loop", "thread"], 200)
    assert who(f"{PROFILES}?limit=100&after=a") == (["loop"], 200)
    assert who(PROFILES, "POST", json.dumps({"slug": "new"})) == (["thread"], 201)
    assert who(f"{PROFILES}?limit=100&after=a") == (["loop", "thread"], 200)


def test_a_page_that_was_kept_is_not_counted_as_read_and_leads_to_no_reading_of_all(who):
    path = f"{PROFILES}?limit=1"
    who(path)
    assert [who(path) for _ in range(9)] == [(["loop"], 200)] * 9


@pytest.mark.parametrize("query", ["", "?limit=101", "?limit=1&q=def", "?limit=1&tag=x", "?limit=1&changed_since=1"])
def test_lists_that_may_take_long_are_for_a_thread(who, query):
    who(f"{PROFILES}?limit=1")
    assert who(PROFILES + query) == (["loop", "thread"], 200)


def test_all_else_is_for_threads(who):
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/nowhere", f"{PROFILES}/default/revisions"):
        assert who(path)[0] == ["thread"]
    assert who("/chat", "POST", json.dumps({"prompt": "hello"})) == (["thread"], 200)


def test_the_loop_resolves_what_it_has_resolved_before_and_a_thread_gets_the_same_body(server, send, who):
    path, prompt = f"{PROFILES}/agent/resolve", json.dumps({"overrides": {"system_prompt": "Be brief."}})
    answer = send(path, "POST", prompt).getresponse()
    assert json.load(answer)["runtime"]["system_prompt"] == "Be brief."
    assert [each is server.thread for each in server.site.asked[path]] == [True, False]
    assert who(path, "POST", prompt) == who(path, "POST", "") == (["loop"], 200)
    disabled = {"middlewares": [{"name": "agentmode", "id": "default", "enabled": False}]}
    for more in ({"explain": True}, {"overrides": disabled}):
        assert who(path, "POST", json.dumps(more)) == (["loop", "thread"], 200)
    long = json.dumps({"overrides": {"system_prompt": "x" * at_once.SHORT_BODY_BYTES}})
    assert who(path, "POST", long) == (["thread"], 200)


def test_a_profile_that_builds_on_others_is_resolved_by_a_thread(who):
    stacked = {"slug": "stacked", "runtime": {"extends": [{"registry": "default", "slug": "default"}]}}
    assert who(PROFILES, "POST", json.dumps(stacked)) == (["thread"], 201)
    for _ in range(2):
        assert who(f"{PROFILES}/stacked/resolve", "POST", "{}") == (["loop", "thread"], 200)


def test_a_read_that_would_wait_for_a_writer_waits_in_a_thread_and_the_loop_goes_on(server, send, who):
    profile = f"{PROFILES}/default"
    assert who(profile)[1] == who(profile)[1] == 200
    server.site.asked[profile].clear()
    with connected(server.database, mode="rw") as other:
        other.execute("BEGIN EXCLUSIVE")
        waiting = send(profile)
        while len(server.site.asked[profile]) < 2:
            assert server.site.entered.acquire(timeout=DEADLINE_S)
        assert who(FIXED[0]) == (["loop"], 200)
        other.execute("ROLLBACK")
    assert waiting.getresponse().status == 200
    assert server.site.asked[profile][0] is server.thread
    assert server.site.asked[profile][1] is not server.thread


def test_answers_are_in_the_order_of_the_requests_whoever_makes_them(server, send):
    paths = ["/healthz", FIXED[0], f"{PROFILES}/nobody", PROFILES, FIXED[1], "/nowhere"] * 20
    client = send(FIXED[2])
    client.getresponse().read()
    requests = [f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: r{i}\r\n\r\n" for i, path in enumerate(paths)]
    client.sock.sendall("".join(requests).encode())
    with client.sock.makefile("rb") as stream:
        for number in range(len(paths)):
            head = http.client.parse_headers(stream) if stream.readline() else {}
            assert head["X-Request-Id"] == f"r{number}"
            stream.read(int(head["Content-Length"]))


def test_nothing_of_a_request_waits_for_the_garbage_collection(who):
    gc.collect()
    gc.disable()
    try:
        for number in range(20):
            assert who(f"{PROFILES}/default")[1] == 200
            assert who(f"{PROFILES}/nobody")[1] == 404
            change = json.dumps({"description": f"{number}"})
            assert who(f"{PROFILES}/default", "PATCH", change) == (["thread"], 200)
        left = sum(isinstance(each, KeepAliveTask | RequestParser) for each in gc.get_objects())
    finally:
        gc.enable()
    assert left <= 4  # of those that the loop and the thread have not let go yet


def test_every_route_is_one_of_the_app_under_its_prefix(app):
    routes = {route.path for route in falcon.inspect.inspect_app(app.program.app).routes}
    assert {*at_once.READS, *at_once.POSTS} <= routes


class Asked:
    """A request."""

    def __init__(self, path, command="GET", content_length=0, *, chunked=False):
        self.path = path
        self.command = command
        self.content_length = content_length
        self.chunked = chunked


@pytest.mark.parametrize("root", ["", "/chat.v1"])
def test_the_rule_knows_its_paths_and_no_others(root):
    rule = at_once.rule(root)
    resolve = root + PROFILES + "/some-slug/resolve"
    assert all(rule(Asked(root + route.replace("{slug}", "some-slug"))) for route in at_once.READS)
    assert rule(Asked(resolve, "POST", at_once.SHORT_BODY_BYTES))
    assert not rule(Asked(resolve, "POST", at_once.SHORT_BODY_BYTES + 1))
    assert not rule(Asked(resolve, "POST", chunked=True))
    assert not rule(Asked(resolve))
    for path in ("", "/", PROFILES[:-1], f"{PROFILES}/a/b", f"{PROFILES}//", f"/x{PROFILES}", f"{PROFILES}\n"):
        assert not rule(Asked(root + path))
    assert not rule(Asked(f"{root.replace('.', '-')}x{PROFILES}"))
    assert not rule(Asked(root + PROFILES, "POST"))
