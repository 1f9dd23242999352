"""What a page in somebody's browser cannot make it do here, and what the pages of trusted origins can."""

from contextlib import ExitStack, closing

import pytest

from pinocchio_core.bootstrap import More, assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.settings import parse_address
from pinocchio_core.settings.access import parse_access
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp
from pinocchio_core.web.browsers import SECURITY_HEADERS
from pinocchio_plugins import starter_profile

PROFILES = "/api/chat/profiles"
ONE = f"{PROFILES}/default"
CHAT = "https://chat.example.org"


@pytest.fixture
def at(tmp_path):
    """An app as it is served at an address: `at("127.0.0.1:8080", hosts=[], origins=[])`."""
    with ExitStack() as stack:

        def make(address="127.0.0.1:8080", hosts=(), origins=()):
            access = parse_access(parse_address(address), None, hosts, origins, insecure=True)
            dsn = dsn_of_path(str(tmp_path / "profiles.db"))
            program = assemble(
                Host(given_plugins([starter_profile])), dsn, default_registry="default", more=More(access=access)
            )
            return TestApp(stack.enter_context(closing(program)))

        yield make


OWN = ["localhost", "localhost:8080", "LOCALHOST:1", "localhost.", "localhost.:80", "127.0.0.1:8080", "127.0.0.1"]
OWN += ["[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]:8080", "127.9.9.9:80"]
FOREIGN = ["", " ", "evil.example", "evil.example:8080", "localhost.evil.example", "evil.localhost", "10.0.0.1:8080"]
FOREIGN += ["user@localhost:8080", "localhost@evil.example", "localhost, localhost", "localhost:80:80", "localhost:x"]
FOREIGN += ["[::1", "::1", "[::2]:8080", "[localhost]", "[127.0.0.1]", "[::1]x", "localhost..", "http://localhost", "*"]
FOREIGN += ["localhost/", "l\xf6calhost", "x" * 30_000, "192.0.2.1", "localhost:\u0661"]


def test_hosts_of_this_machine_are_served(at):
    app = at()

    assert {host: app.get("/healthz", host=host).status for host in OWN} == dict.fromkeys(OWN, 200)


def test_other_hosts_are_refused_on_every_method(at, expect_problem):
    app = at()

    assert {host: app.get(ONE, host=host).status for host in FOREIGN} == dict.fromkeys(FOREIGN, 421)
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        assert app.request(method, ONE, host="evil.example").status == 421
    problem = expect_problem(app.get(ONE, host="evil.example"), 421, "misdirected request")
    assert problem["detail"] == 'this server does not go by the host "evil.example"'


def test_a_host_that_is_allowed_is_served_with_any_port(at):
    app = at(hosts=["Chat.Example.org.", "2001:db8::1"])

    for host in ("chat.example.org", "CHAT.example.org:443", "[2001:db8::1]:80", "localhost:8080"):
        assert app.get(ONE, host=host).status == 200
    assert app.get(ONE, host="example.org").status == 421


@pytest.mark.parametrize("address", [":8080", "0.0.0.0:8080", "[::]:8080"])
def test_a_server_on_every_address_is_served_by_addresses_and_not_by_names(at, address):
    app = at(address)

    for host in ("192.0.2.7:8080", "[2001:db8::7]:8080", "localhost:8080"):
        assert app.get(ONE, host=host).status == 200
    assert app.get(ONE, host="evil.example:8080").status == 421


def test_the_address_that_is_bound_is_a_host(at):
    app = at("chat.example.org:8080")

    assert app.get(ONE, host="chat.example.org:8080").status == 200
    assert app.get(ONE, host="evil.example").status == 421


# origins

SAME = [
    {},
    {"origin": "http://localhost:8080"},
    {"origin": "http://LOCALHOST:8080"},
    {"sec_fetch_site": "same-origin", "origin": "http://localhost:8080"},
    {"sec_fetch_site": "none"},
]
CROSS = [
    {"origin": "http://evil.example"},
    {"origin": "http://localhost:9090"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://localhost:8080.evil.example"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site", "origin": "http://localhost:9090"},
    {"sec_fetch_site": "cross-site", "origin": "http://localhost:8080"},
    {"sec_fetch_site": "anything"},
]


@pytest.mark.parametrize("sent", SAME, ids=str)
def test_writes_of_programs_and_of_our_own_pages_pass(at, sent):
    assert at().patch(ONE, {"description": "x"}, host="localhost:8080", **sent).status == 200


@pytest.mark.parametrize("sent", CROSS, ids=str)
def test_writes_for_pages_of_others_are_refused_whatever_the_method(at, expect_problem, sent):
    app = at()

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = app.request(method, ONE, {"description": "x"}, host="localhost:8080", **sent)
        assert expect_problem(answer, 403, "forbidden")["code"] == "cross_site"
    assert app.get(ONE, host="localhost:8080", **sent).status == 200


# trusted origins


def test_pages_of_a_trusted_origin_read_and_write(at):
    app = at(origins=[f"{CHAT}:443/"])
    read = app.get(ONE, origin=CHAT, sec_fetch_site="cross-site")
    written = app.patch(ONE, {"description": "x"}, origin=CHAT, sec_fetch_site="cross-site")

    for answer in (read, written):
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == CHAT
        assert answer.headers["vary"] == "Origin"
        assert {"ETag", "X-Request-Id", "Location", "Link", "Retry-After"} == set(
            answer.headers["access-control-expose-headers"].split(", ")
        )
    assert app.get(f"{PROFILES}/gone", origin=CHAT).headers["access-control-allow-origin"] == CHAT


def test_a_preflight_says_what_a_trusted_origin_may_send(at):
    app = at(origins=[CHAT])
    asked = {"origin": CHAT, "access_control_request_method": "PATCH", "sec_fetch_site": "cross-site"}
    told = app.request("OPTIONS", ONE, **asked).headers

    assert told["access-control-allow-origin"] == CHAT
    assert {"GET", "PATCH", "PUT", "DELETE"} <= set(told["access-control-allow-methods"].split(", "))
    assert {"Authorization", "Content-Type", "If-Match"} <= set(told["access-control-allow-headers"].split(", "))
    assert told["access-control-max-age"] == "600"
    assert "*" not in str([told[name] for name in told if name.startswith("access-control")])


@pytest.mark.parametrize("origins", [[], [CHAT]])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{CHAT}.evil.example", "http://chat.example.org"])
def test_other_origins_are_told_nothing(at, origins, origin):
    app = at(origins=origins)
    for answer in (
        app.get(ONE, origin=origin),
        app.request("OPTIONS", ONE, origin=origin, access_control_request_method="PATCH"),
        app.patch(ONE, {}, origin=origin),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers.get("vary") == ("Origin" if origins else None)


# headers


@pytest.mark.parametrize("path", [ONE, PROFILES, "/healthz", "/metrics", "/gone", "/a//b", f"{ONE}?raw=true"])
def test_every_answer_has_the_security_headers(at, path):
    app = at()
    for answer in (app.get(path), app.delete(path), app.get(path, host="evil.example")):
        assert {name: answer.headers[name.lower()] for name in SECURITY_HEADERS} == SECURITY_HEADERS
