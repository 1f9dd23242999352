"""What clients on real sockets may do to a server: send too much, send nonsense, hold connections, reuse them."""

import http.client
import json
import resource
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

MEBIBYTE = 1024 * 1024
PROFILES = "/api/chat/profiles"


@pytest.fixture(scope="module")
def server(serving, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def talk(server):
    """Open a socket to the server and send bytes; gives a stream to read answers from."""
    with ExitStack() as open_sockets:

        def send(sent):
            client = open_sockets.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            client.sendall(sent)
            return open_sockets.enter_context(client.makefile("rb"))

        yield send


def next_answer(stream):
    """One answer of fixed length from a stream, leaving what follows it."""
    status = stream.readline()
    assert status.startswith(b"HTTP/1."), status
    headers = http.client.parse_headers(stream)
    body = stream.read(int(headers.get("Content-Length", "0")))
    return SimpleNamespace(status=int(status.split()[1]), headers=headers, body=body, json=json.loads(body or "null"))


# bodies that are too large


@pytest.mark.parametrize("size", [MEBIBYTE + 1, 5 * MEBIBYTE, 20 * MEBIBYTE])
def test_body_over_the_limit_is_refused_in_words_the_sender_can_read(server, problem, size):
    answer = server.request("POST", PROFILES, b" " * size)

    document = problem(answer, 413, "request too large")
    assert document["code"] == "body_too_large"
    assert "1048576 bytes" in document["detail"]


def test_chunked_body_over_the_limit_is_refused_too(server, problem, ask):
    with server.connection() as connection:
        chunks = iter([b" " * 65536] * 100)
        connection.request("POST", PROFILES, chunks, {"content-type": "application/json"}, encode_chunked=True)
        response = connection.getresponse()
        answer = SimpleNamespace(status=response.status, headers=response.headers, body=response.read())
    answer.json = json.loads(answer.body)

    problem(answer, 413, "request too large")


def test_body_of_60_megabytes_is_refused_for_curl(server, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("this machine has no curl")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(60_000_000)
    command = ["curl", "-s", "-H", "Expect:", "-H", "content-type: application/json", "-T", large.name, "-X", "POST"]
    url = f"http://127.0.0.1:{server.port}{PROFILES}"
    ran = subprocess.run([*command, url], capture_output=True, check=False, timeout=60)

    assert ran.returncode == 0
    assert json.loads(ran.stdout)["title"] == "request too large"


# one connection, several requests


def test_connection_survives_answers_without_body(server, ask):
    server.request("POST", PROFILES, {"slug": "leaving"})
    with server.connection() as connection:
        tag = ask(connection, "GET", f"{PROFILES}/default").headers["ETag"]
        first = connection.sock
        statuses = [
            ask(connection, "GET", f"{PROFILES}/default", if_none_match=tag).status,
            ask(connection, "DELETE", f"{PROFILES}/leaving").status,
            ask(connection, "HEAD", f"{PROFILES}/default").status,
            ask(connection, "GET", f"{PROFILES}/default").status,
        ]

        assert statuses == [304, 204, 200, 200]
        assert connection.sock is first


def test_waitress_still_closes_after_304_by_itself():
    """Once this fails, waitress keeps such connections: drop `set_close_on_finish` from web/tasks.py."""
    script = """
import http.client, threading, waitress.server
def app(environ, start_response):
    start_response("304 Not Modified", [])
    return []
server = waitress.server.create_server(app, host="127.0.0.1", port=0)
threading.Thread(target=server.run, daemon=True).start()
connection = http.client.HTTPConnection("127.0.0.1", server.effective_port, timeout=60)
connection.request("GET", "/")
response = connection.getresponse()
response.read()
print(response.getheader("Connection"), flush=True)
connection.close()
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout == "close\n"


def test_http_1_0_client_is_answered_and_let_go(talk):
    stream = talk(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")

    assert next_answer(stream).json == {"status": "ok"}
    assert stream.read() == b""


def test_pipelined_requests_are_answered_in_order(talk):
    body = b'{"slug":"piped"}'
    create = (
        b"POST /api/chat/profiles HTTP/1.1\r\nHost:[::1]\r\nContent-Type:application/json\r\nContent-Length: %d\r\n\r\n"
    )
    requests = [
        create % len(body) + body,
        b"GET /api/chat/profiles/piped HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"DELETE /api/chat/profiles/piped HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/chat/profiles/piped HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
    stream = talk(b"".join(requests))

    assert [next_answer(stream).status for _ in requests] == [201, 200, 204, 404]


def test_idle_and_unfinished_connections_do_not_lock_out_others(server, talk):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1024:
        pytest.skip("this system allows a process fewer than 1,024 open files")
    for number in range(300):
        talk(b"" if number % 2 else b"POST /api/chat/profiles HTTP/1.1\r\nHost: localhost\r\nContent-Le")

    assert server.request("GET", "/healthz").status == 200


# requests that are no HTTP

MALFORMED = {
    "a chunk size that is no number": b"POST /api/chat/profiles HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "headers over 32 KiB": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\nHost\r\n\r\n",
    "a carriage return in a header": b"GET /healthz HTTP/1.1\r\nX-Request-Id: a\rSet-Cookie: b=c\r\n\r\n",
    "a length that is no number": b"POST /api/chat/profiles HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    "a length of 5,000 digits": b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n",
    "a target whose host does not end": b"GET http://[::1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": b"POST /api/chat/profiles HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a first line of one word": b"GARBAGE\r\n\r\n",
    "a method in lower case": b"get /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a version that does not exist": b"GET /healthz HTTP/9\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_http_is_answered_with_a_problem(server, talk, problem, sent):
    answer = next_answer(talk(sent))

    assert 400 <= answer.status < 500
    assert "Set-Cookie" not in answer.headers
    problem(answer, answer.status)
    assert server.request("GET", "/healthz").status == 200


# hostile headers and paths


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xfe\x80",
        b"\xc3\xa9t\xc3\xa9",
        b"a\tb",
        b"a b",
        b"x" * 129,
        b"",
        b"a\x7f",
        b"<script>",
        b"a\r\n Set-Cookie: b=c",
    ],
)
def test_request_id_that_is_not_sane_is_replaced(talk, sent):
    answer = next_answer(talk(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: " + sent + b"\r\n\r\n"))

    assert answer.status in (200, 400)
    assert answer.headers["X-Request-Id"].isascii()
    assert answer.headers["X-Request-Id"].encode() != sent
    assert "Set-Cookie" not in answer.headers


def test_request_id_that_is_sane_comes_back(server):
    assert server.request("GET", "/nothing-here", x_request_id="trace-1.2:3").headers["X-Request-Id"] == "trace-1.2:3"


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match", "Cookie", "Content-Type", "Host", "Accept", "Range"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b'"\x80', b"chat_profile=\xff;;==", b"," * 3000])
def test_odd_header_never_breaks_the_server(talk, name, value):
    request = b"GET /api/chat/profile HTTP/1.1\r\nHost: localhost\r\n" + name.encode() + b": " + value + b"\r\n\r\n"

    assert next_answer(talk(request)).status < 500


@pytest.mark.parametrize(
    "segment",
    [
        "%00",
        "a%00b",
        "%ff",
        "%c3%28",
        "a" * 8000,
        "%0d%0aSet-Cookie:%20b=c",
        "%2e%2e",
        "..",
        "%2F",
        "a%2Fb",
        "%20",
        "%",
        "%zz",
    ],
)
@pytest.mark.parametrize("collection", [PROFILES, "/api/chat/registries"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_segment_that_is_no_slug_is_refused(talk, problem, collection, method, segment):
    answer = next_answer(talk(f"{method} {collection}/{segment} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()))

    assert answer.status in (400, 404)
    assert "Set-Cookie" not in answer.headers
    problem(answer, answer.status)


@pytest.mark.parametrize("path", [f"{PROFILES}/agent%2Fdefault", f"{PROFILES}%2fagent"])
def test_encoded_slash_leads_to_no_other_route(server, talk, problem, path):
    for method in ("POST", "DELETE"):
        answer = next_answer(talk(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()))
        problem(answer, 404, "not found")
    assert server.request("GET", f"{PROFILES}/agent?registry=default&x=%2F").status == 200


@pytest.mark.parametrize(
    "query", ["registry=%00", "registry=%ff", "registry=" + "a" * 8000, "registry=a%0d%0ab", "limit=%ff"]
)
def test_query_that_names_nothing_is_refused(talk, problem, query):
    answer = next_answer(talk(f"GET {PROFILES}?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()))

    assert answer.status in (400, 404)
    problem(answer, answer.status)


# what a front proxy says


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
def test_cookie_is_secure_where_the_proxy_says_the_client_came_over_tls(server, scheme, secure):
    chosen = server.request("POST", "/api/chat/profile", {"slug": "default"}, x_forwarded_proto=scheme)

    assert ("; Secure" in chosen.headers["Set-Cookie"]) is secure
