"""A real server under bytes that are no requests, or strange ones, or come slowly, or are never answered for.

Every round opens some connections with one kind of attack each. Afterwards the server has to answer as ever, its log to
be free of tracebacks, every answer to be well-formed, and its memory to be what it was after the first rounds.
"""

import contextlib
import json
import random
import re
import socket
import struct
import time

import psutil
import pytest

ROUNDS = 60
"""For the fixed seed."""
WARM_UP = 15
MARGIN_BYTES = 48 * 1024 * 1024
"""How much the server may grow after the warm-up: arenas of threads and pages of SQLite, not what was sent to it."""
HELD = 40
"""Connections that stay open all the time: silent ones, ones that drip, and streams that nobody reads."""
TIMEOUT_S = 30
MIB = 1024 * 1024

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [\x20-\x7e]*")
HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\x20-\x7e\x80-\xff]*")
PATHS = ("/healthz", "/api/chat/profiles", "/api/chat/profiles/default", "/openapi.json", "/chat", "/nope", "/")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BODIES = (
    b"",
    b"{}",
    b'{"slug":"x"}',
    b'{"prompt":"hello"}',
    b"[1,2",
    b"\x00\xff\xfe",
    b'{"prompt":"' + b"a" * 5000 + b'"}',
)
ODD_HEADERS = (
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 0x10",
    b"Content-Length: 5, 5",
    b"Content-Length: 99999999999999999999999999",
    b"Content-Length: \xb2",
    b"Content-Length:",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Expect: 100-continue",
    b"Expect: nothing",
    b"Connection: close",
    b"Connection: keep-alive, close",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"Host: a\r\nHost: b",
    b"Host: [::1",
    b"Host:",
    b": nameless",
    b"no colon at all",
    b" folded: line",
    b"Bad\x00Name: x",
    b"Bad Name: x",
    b"X: \x00\x01\x7f",
    b"X: a\rb",
    b"X: a\nb: c",
    b"Cookie: chat_profile=\xff; chat_profile=;;;=",
    b"If-Match: \xff",
    b"X-Request-Id: " + b"r" * 300,
    b"Idempotency-Key: \xe4",
    b"Content-Type: application/json; charset=\xff",
    b"Authorization: Bearer \xff",
    b"X-Forwarded-Proto: \xff",
    b"Accept: text/event-stream",
)
REQUEST_LINES = (
    b"GET",
    b"GET ",
    b"GET /",
    b"GET / HTTP/9.9",
    b"GET / HTTP/1.1 more",
    b"GET  /  HTTP/1.1",
    b"get / HTTP/1.1",
    b"G\x00T / HTTP/1.1",
    b"GET /\x00 HTTP/1.1",
    b"GET /%00%ff%zz HTTP/1.1",
    b"GET /\xff\xfe HTTP/1.1",
    b"GET * HTTP/1.1",
    b"GET http://[::1/healthz HTTP/1.1",
    b"GET http://127.0.0.1/healthz HTTP/1.1",
    b"GET //healthz HTTP/1.1",
    b"GET /api/chat/profiles?limit=%ff&registry=%00 HTTP/1.1",
    b"CONNECT 127.0.0.1:1 HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"",
    b"\x00" * 100,
    b"A" * 9000,
    b"GET /" + b"a" * 300_000 + b" HTTP/1.1",
)


def request(rng, method=None, path=None, body=None):
    """A sound request that keeps the connection open."""
    method = method or rng.choice(METHODS)
    body = rng.choice(BODIES) if body is None else body
    head = f"{method} {path or rng.choice(PATHS)} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    if rng.random() < 0.5:
        return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    middle = rng.randrange(len(body) + 1)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:middle], body[middle:]) if part)
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def odd_headers(rng):
    lines = [rng.choice(REQUEST_LINES[:16]) if rng.random() < 0.1 else b"POST /chat HTTP/1.1", b"Host: 127.0.0.1"]
    lines += rng.choices(ODD_HEADERS, k=rng.randrange(1, 5))
    return rng.choice((b"\r\n", b"\r\n", b"\n")).join([*lines, b"", b""]) + rng.choice(BODIES)


def odd_request_line(rng):
    return rng.choice(REQUEST_LINES) + b"\r\nHost: 127.0.0.1\r\n\r\n"


def odd_chunks(rng):
    size = rng.choice(
        (b"z", b"-1", b"0x5", b"5 ", b"5;a=b", b"5;" + b"x" * 5000, b"FFFFFFFFFFFFFFFFFF", b"", b"+5", b"5_0")
    )
    rest = rng.choice(
        (b"hello\r\n0\r\n\r\n", b"hello0\r\n\r\n", b"hel", b"hello\r\n0\r\nTrailer: x\r\n\r\n", b"\x00" * 50)
    )
    return b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n" + rest


def two_lengths(rng):
    inner = b"GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    both = [b"Content-Length: %d" % rng.choice((0, 4, len(inner))), b"Transfer-Encoding: chunked"]
    rng.shuffle(both)
    return b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"\r\n".join(both) + b"\r\n\r\n0\r\n\r\n" + inner


def giant_headers(rng):
    kind = rng.randrange(3)
    if kind == 0:
        return (
            b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
            + b"a" * rng.choice((8000, 70_000, 2 * MIB))
            + b"\r\n\r\n"
        )
    if kind == 1:
        return b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: a\r\n" * rng.choice((2000, 100_000)) + b"\r\n"
    return b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 300_000  # and no end


def giant_body(rng):
    size = rng.choice((MIB + 1, 3 * MIB))
    return (
        b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size
        + (b"a" * size)
    )


def pipeline(rng):
    return b"".join(request(rng) for _ in range(rng.randrange(2, 30)))


def noise(rng):
    return rng.randbytes(rng.randrange(1, 5000))


def mutated(rng):
    """Sound requests with some bytes that are other ones, missing or there twice."""
    data = bytearray(pipeline(rng)[:4000])
    for _ in range(rng.randrange(1, 8)):
        at = rng.randrange(len(data))
        kind = rng.randrange(3)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.randrange(1, 20)]
        else:
            data[at:at] = data[at : at + rng.randrange(1, 20)]
        if not data:
            break
    return bytes(data)


ATTACKS = (odd_headers, odd_request_line, odd_chunks, two_lengths, giant_headers, giant_body, pipeline, noise, mutated)


class Answers:
    """What a server sent on one connection, as answers; AssertionError where it is none."""

    def __init__(self, received):
        self.statuses = []
        rest = received
        while rest:
            head, end, rest = rest.partition(b"\r\n\r\n")
            if not end:
                break  # cut off by whoever went first
            rest = self._take(head.split(b"\r\n"), rest)

    def _take(self, lines, rest):
        matched = STATUS_LINE.fullmatch(lines[0])
        assert matched, f"no status line: {lines[0][:200]!r}"
        assert all(HEADER.fullmatch(line) for line in lines[1:]), lines
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        status = int(matched[1])
        self.statuses.append(status)
        assert status not in (500, 502), lines
        if status == 100 or status in (204, 304):
            return rest
        assert b"x-request-id" in headers, lines
        if headers.get(b"transfer-encoding") == b"chunked":
            body, rest = _unchunked(rest)
        elif b"content-length" in headers:
            size = int(headers[b"content-length"])
            body, rest = (rest[:size], rest[size:]) if len(rest) >= size else (None, b"")
        else:
            assert headers.get(b"connection", b"").lower() == b"close", lines
            body, rest = rest, b""
        if status >= 400 and body is not None:
            assert headers[b"content-type"] == b"application/problem+json", lines
            problem = json.loads(body)
            assert problem["status"] == status
            assert problem["request_id"].encode() == headers[b"x-request-id"]
        return rest


def _unchunked(rest):
    body = b""
    while True:
        size, end, rest = rest.partition(b"\r\n")
        if not end:
            return None, b""
        length = int(size, 16)
        if len(rest) < length + 2:
            return None, b""
        body, rest = body + rest[:length], rest[length + 2 :]
        if not length:
            return body, rest


class Client:
    """Connections to one server, all closed at the end."""

    def __init__(self, port, rng, stack):
        self._port = port
        self._rng = rng
        self._stack = stack

    def connect(self):
        return self._stack.enter_context(socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_S))

    def attack(self, data):
        """Send it in pieces, and leave in one of the ways in which clients leave; returns what came."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_S) as connection:
            leave = self._rng.choice(("read", "read", "read", "half", "half", "close", "reset"))
            with contextlib.suppress(ConnectionError):  # refused in the middle of what it sends
                for piece in self._pieces(data):
                    connection.sendall(piece)
            if leave == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if leave in ("close", "reset"):
                return b""
            with contextlib.suppress(OSError):
                if leave == "half":
                    connection.shutdown(socket.SHUT_WR)
                else:  # an answer to this ends what came, unless the bytes before it swallow it
                    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    connection.settimeout(0.3)
            return _received(connection)

    def _pieces(self, data):
        if len(data) > 50_000 or self._rng.random() < 0.4:
            yield data
            return
        cuts = sorted(self._rng.randrange(len(data) + 1) for _ in range(self._rng.randrange(1, 12)))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            yield data[start:end]
            time.sleep(0.001)  # so that pieces are packets


def _received(connection):
    chunks = []
    with contextlib.suppress(TimeoutError, ConnectionError):
        while chunk := connection.recv(1 << 16):
            chunks.append(chunk)
    return b"".join(chunks)


def hold(client, number):
    """A connection that stays: silent, in the middle of a request, or with a stream that nobody reads."""
    connection = client.connect()
    kind = number % 4
    if kind == 1:
        connection.sendall(b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le")
    elif kind == 2:
        connection.sendall(b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")
    elif kind == 3:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = json.dumps({"prompt": "word " * 100_000, "stream": True}).encode()
        head = b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(body) + body)
    return connection


def drip(held):
    """One more byte on every connection that drips."""
    for connection in held[1::4]:
        with contextlib.suppress(OSError):
            connection.sendall(b"n")


def memory_bytes(server):
    process = psutil.Process(server.process.pid)
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


@pytest.fixture
def server(tmp_path, serving):
    with serving(tmp_path, "--threads", "4", "--engine", "echo") as running:
        yield running


def test_server_answers_whatever_bytes_come(server, budget):
    assert server.request("GET", "/healthz").status == 200
    warm, statuses = None, set()
    rounds = 0
    for seed in budget.seeds():
        rng = random.Random(seed)  # noqa: S311  no secret
        with contextlib.ExitStack() as stack:
            client = Client(server.port, rng, stack)
            held = [hold(client, number) for number in range(HELD)]
            for _ in range(ROUNDS):
                rounds += 1
                for attack in ATTACKS:
                    statuses.update(Answers(client.attack(attack(rng))).statuses)
                drip(held)
                assert server.request("GET", "/healthz").json == {"status": "ok"}
                assert server.request("GET", "/api/chat/profiles").status == 200
                warm = memory_bytes(server) if rounds == WARM_UP else warm
        grown = memory_bytes(server) - warm
        budget.tell(f"{rounds} rounds of {len(ATTACKS)} attacks, statuses {sorted(statuses)}, grown by {grown:,} bytes")
        assert grown < MARGIN_BYTES
        assert server.process.poll() is None
    assert statuses >= {200, 400, 404, 405, 413, 415, 431}
    assert server.stop() == 0
