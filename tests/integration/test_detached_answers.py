"""Answers that go on without a thread of the server, over real sockets."""

import http.client
import socket
import threading
from contextlib import ExitStack, suppress

import pytest
from waitress import create_server, wasyncore

from pinocchio_core.web.outlets import MAX_BEHIND_BYTES, OutletStream
from pinocchio_core.web.tasks import JOINED_BYTES

DEADLINE_S = 60
GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"".join(b"%06d\n" % number for number in range(JOINED_BYTES // 7))
"""The longest body, nearly, that is sent together with its header."""


class Site:
    """An app whose streams are written by the test, and which tells what it saw."""

    def __init__(self):
        self.outlets = []
        self.arrived = threading.Semaphore(0)
        self.unused = threading.Event()
        self.noticed = threading.Event()

    def __call__(self, env, start_response):
        path = env["PATH_INFO"]
        if path == "/whole":
            return self._whole(env, start_response)
        if path in ("/stream", "/endless"):
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            heartbeat = b": beat\n\n" if env["QUERY_STRING"] else b""
            return OutletStream(
                env, self._take, heartbeat=heartbeat, endless=path == "/endless", unused=self.unused.set
            )
        body = LARGE if path == "/large" else b"ok"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def _take(self, outlet):
        self.outlets.append(outlet)
        self.arrived.release()

    def _whole(self, env, start_response):
        gone = env["waitress.client_disconnected"]
        gone()
        self.arrived.release()
        while not gone() and env["QUERY_STRING"] != "short":
            threading.Event().wait(0.01)
        self.noticed.set()
        start_response("200 OK", [("Content-Length", "5")])
        return [b"whole"]

    def outlet(self):
        """The next outlet that a request made."""
        assert self.arrived.acquire(timeout=DEADLINE_S)
        return self.outlets[-1]


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def server(running, site):
    with running(site) as server:
        yield server


@pytest.fixture
def send(server):
    """Send bytes on a connection of their own."""
    with ExitStack() as opened:

        def do(sent, receive_bytes=None):
            client = opened.enter_context(socket.socket())
            if receive_bytes:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            client.settimeout(DEADLINE_S)
            client.connect(("127.0.0.1", server.port))
            client.sendall(sent)
            return client

        yield do


def everything(client):
    with client.makefile("rb") as stream:
        return stream.read()


def answer(client):
    response = http.client.HTTPResponse(client)
    response.begin()
    return response


def until(condition):
    ended = threading.Event()
    for _ in range(DEADLINE_S * 100):
        if condition():
            return
        ended.wait(0.01)
    raise AssertionError(f"never: {condition}")


def test_more_streams_than_threads_leave_the_threads_to_others(site, send):
    clients = [send(GET % b"/stream") for _ in range(50)]
    for _ in clients:
        site.outlet()
    assert everything(send(b"GET /other HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\nok")
    for number, outlet in enumerate(site.outlets):
        assert outlet.write(b"to %d" % number)
        outlet.close()
    assert sorted(answer(client).read() for client in clients) == sorted(b"to %d" % n for n in range(50))


def test_the_header_arrives_before_anything_is_written(site, send):
    client = send(GET % b"/stream")
    response = answer(client)
    assert (response.status, response.headers["Transfer-Encoding"]) == (200, "chunked")
    assert response.headers["Connection"] == "close"
    site.outlet().close()
    assert response.read() == b""


def test_writes_of_many_threads_arrive_whole(site, send):
    client = send(GET % b"/stream")
    outlet = site.outlet()

    def write(letter):
        for _ in range(200):
            assert outlet.write(letter * 100 + b"\n", wait_s=DEADLINE_S)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    closing = threading.Thread(target=lambda: [thread.join() for thread in threads] + [outlet.close()])
    closing.start()
    lines = answer(client).read().splitlines()
    closing.join()
    assert sorted(lines) == [letter * 100 for letter in (b"a", b"b", b"c") for _ in range(200)]


def test_an_old_client_gets_no_chunks_and_the_end_of_the_connection(site, send):
    client = send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    outlet = site.outlet()
    outlet.write(b"one ")
    outlet.write(b"two")
    outlet.close()
    head, body = everything(client).split(b"\r\n\r\n", 1)
    assert body == b"one two"
    assert b"Connection: close" in head


def test_a_request_behind_a_stream_is_not_answered_and_disturbs_nothing(site, send):
    client = send(GET % b"/stream" + GET % b"/other")
    outlet = site.outlet()
    client.sendall(GET % b"/other")
    outlet.write(b"all of it")
    outlet.close()
    response = answer(client)
    assert response.read() == b"all of it"
    assert client.recv(1024) == b""


def test_a_client_that_goes_is_noticed_without_a_write(site, send):
    client = send(GET % b"/stream")
    outlet = site.outlet()
    assert not outlet.gone
    client.close()
    until(lambda: outlet.gone)
    assert not outlet.write(b"to nobody")
    outlet.close()
    outlet.close()


def test_a_client_that_never_reads_is_cut_off_and_nobody_waits_for_it(site, send):
    send(GET % b"/stream", receive_bytes=4096)
    outlet = site.outlet()
    written = 0
    while outlet.write(b"x" * 65536):
        written += 65536
        assert written < 64 * 1024 * 1024
    assert written >= MAX_BEHIND_BYTES
    assert outlet.gone
    assert everything(send(b"GET /other HTTP/1.0\r\n\r\n")).endswith(b"ok")
    outlet.close()


def test_a_client_that_reads_late_loses_nothing_where_the_writer_waits(site, send):
    client = send(GET % b"/stream", receive_bytes=4096)
    outlet = site.outlet()
    pieces = [b"%08d" % number * 1024 for number in range(1000)]

    def write():
        for piece in pieces:
            assert outlet.write(piece, wait_s=DEADLINE_S)
        outlet.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert answer(client).read() == b"".join(pieces)
    writer.join()


def test_a_quiet_stream_gets_heartbeats(site, send):
    client = send(GET % b"/stream?beat")
    outlet = site.outlet()
    response = answer(client)
    assert response.read(8) == b": beat\n\n"
    outlet.close()


def test_a_server_that_stops_ends_what_is_endless_and_lets_the_rest_finish(running, site):
    with ExitStack() as stack:
        with running(site) as server:

            def open_stream(path):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S))
                client.sendall(GET % path)
                return client, site.outlet()

            endless, _ = open_stream(b"/endless")
            stream, outlet = open_stream(b"/stream")
            server.stop()
            assert answer(endless).read() == b""
            assert outlet.write(b"the end")
            outlet.close()
            assert answer(stream).read() == b"the end"
        assert not outlet.write(b"too late")


def test_who_makes_a_whole_answer_can_ask_whether_the_client_is_there(site, send):
    client = send(GET % b"/whole")
    assert site.arrived.acquire(timeout=DEADLINE_S)
    assert not site.noticed.is_set()
    client.close()
    assert site.noticed.wait(DEADLINE_S)


@pytest.mark.parametrize("leave", [socket.socket.close, lambda client: client.shutdown(socket.SHUT_WR)])
def test_a_client_that_goes_before_anybody_asks_is_not_there(site, send, leave):
    leave(send(GET % b"/whole"))
    assert site.noticed.wait(DEADLINE_S)


def test_a_client_that_only_ends_what_it_sends_gets_its_answer_where_nobody_asks(send):
    for _ in range(50):  # it may be noticed before, while and after the answer is made
        client = send(GET % b"/other")
        client.shutdown(socket.SHUT_WR)
        assert everything(client).endswith(b"\r\n\r\nok")


def test_a_client_that_is_watched_keeps_its_connection_and_its_next_requests(site, send):
    client = send(GET % b"/whole?short" + (GET % b"/other") * 2)
    received = b""
    while received.count(b"\r\n\r\nok") < 2:
        received += client.recv(65536)
    assert b"\r\n\r\nwholeHTTP/1.1 200 OK" in received
    client.sendall(GET % b"/other")
    assert answer(client).read() == b"ok"


def test_a_client_that_takes_a_long_answer_little_by_little_gets_all_of_it(running, site):
    with running(site, send_bytes=4096) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(DEADLINE_S)
        client.connect(("127.0.0.1", server.port))
        client.sendall(GET % b"/large" + GET % b"/other")
        received = b""
        while not received.endswith(b"\r\n\r\nok"):
            received += client.recv(1000)
    assert received.partition(b"\r\n\r\n")[2].startswith(LARGE + b"HTTP/1.1 200 OK")


def test_an_app_that_fails_is_answered_for_and_one_that_fails_later_ends_its_connection(running, caplog):
    def app(env, start_response):
        if env["PATH_INFO"] == "/before":
            raise RuntimeError("before")
        start_response("200 OK", [("Content-Length", "9")])
        yield b"some"
        raise RuntimeError("after")

    received = {}
    with running(app) as server, ExitStack() as opened:
        for path in (b"/before", b"/after"):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S))
            client.sendall(GET % path)
            received[path] = everything(client)
    assert received[b"/before"].startswith(b"HTTP/1.1 500 ")
    assert b"its log says why" in received[b"/before"]
    assert received[b"/after"].endswith(b"\r\n\r\nsome")
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["before", "after"]


def test_a_next_request_that_waits_to_be_told_to_continue_is_told_once_after_the_answer(send):
    for _ in range(50):  # the loop may be waiting, reading or about to send when the answer ends
        client = send(
            GET % b"/whole?short" + b"POST /other HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        stream = client.makefile("rb")
        before = b"".join(iter(stream.readline, b"\r\n")) + stream.read(5)
        assert before.startswith(b"HTTP/1.1 200 OK")
        assert before.endswith(b"whole")
        assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        client.sendall(b"{}")
        assert stream.readline() == b"\r\n"
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"


def test_the_same_stream_under_a_server_that_only_knows_iterators():
    site = Site()
    stream = site({"PATH_INFO": "/stream", "QUERY_STRING": "beat"}, lambda *_: None)
    chunks = iter(stream)
    writer = threading.Thread(target=lambda: site.outlet().write(b"one"))
    writer.start()
    assert next(chunks) == b"one"
    writer.join()
    (outlet,) = site.outlets
    assert next(chunks) == b": beat\n\n"
    outlet.write(b"two")
    outlet.close()
    assert list(chunks) == [b"two"]
    assert not outlet.write(b"three")
    assert not site.unused.is_set()


def test_a_client_that_goes_under_such_a_server_is_noticed_too():
    site = Site()
    stream = site({"PATH_INFO": "/stream", "QUERY_STRING": ""}, lambda *_: None)
    chunks = iter(stream)
    site_has_it = threading.Thread(target=lambda: site.outlet().write(b"one"))
    site_has_it.start()
    next(chunks)
    site_has_it.join()
    (outlet,) = site.outlets
    assert outlet.write(b"x" * (MAX_BEHIND_BYTES + 1))
    assert not outlet.write(b"no room")
    stream.close()
    assert outlet.gone


def test_a_stream_that_never_begins_says_so():
    site = Site()
    site({"PATH_INFO": "/stream", "QUERY_STRING": ""}, lambda *_: None).close()
    assert site.unused.is_set()
    assert site.outlets == []


def test_waitress_by_itself_still_keeps_the_thread():
    """Once this fails, waitress lets such answers go by itself: see what of web/outlets.py is still needed."""
    site = Site()
    server = create_server(site, listen="127.0.0.1:0", threads=1)
    loop = threading.Thread(target=server.run)
    loop.start()
    with ExitStack() as opened:
        for path in (b"/stream", b"/other"):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", server.effective_port)))
            client.sendall(GET % path)
        outlet = site.outlet()
        until(lambda: server.task_dispatcher.queue)
        outlet.close()
        assert answer(client).read() == b"ok"
    with suppress(OSError):  # where another byte woke the loop, it is closed before this one is sent
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
    loop.join(DEADLINE_S)
    server.task_dispatcher.shutdown()
    assert not loop.is_alive()
