"""Clients that ask and never read what they are answered, over real sockets."""

import http.client
import socket
import threading
from contextlib import ExitStack

import pytest

from pinocchio_core.web.outlets import OutletStream

DEADLINE_S = 60
GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"
MIB = b"x" * 1024 * 1024
THREADS = 2


class Site:
    """An app with an answer that has no end, and streams that are written by the test."""

    def __init__(self):
        self.begun, self.ended = threading.Semaphore(0), threading.Semaphore(0)
        self.outlets = []

    def __call__(self, env, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        if env["PATH_INFO"] == "/stream":
            return OutletStream(env, self._take)
        return self._without_end() if env["PATH_INFO"] == "/much" else [b"ok"]

    def _take(self, outlet):
        self.outlets.append(outlet)
        self.begun.release()

    def _without_end(self):
        self.begun.release()
        try:
            while True:
                yield MIB
        finally:
            self.ended.release()


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def send(running, site):
    """Send bytes on a connection of their own, to a server that has patience for a second."""
    with running(site, threads=THREADS, patience_s=1) as server, ExitStack() as opened:

        def do(sent):
            client = opened.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(DEADLINE_S)
            client.connect(("127.0.0.1", server.port))
            client.sendall(sent)
            return client

        yield do


def test_clients_that_take_nothing_are_cut_off_and_the_threads_are_free_for_others(site, send, caplog):
    caplog.set_level("INFO")
    for _ in range(THREADS):
        send((GET % b"/much") * 10)
        assert site.begun.acquire(timeout=DEADLINE_S)
    with send(b"GET /other HTTP/1.0\r\n\r\n").makefile("rb") as answer:
        assert answer.read().endswith(b"\r\n\r\nok")
    for _ in range(THREADS):
        assert site.ended.acquire(timeout=DEADLINE_S)
    assert "a client took nothing of its answer for 1 s" in caplog.text
    assert [record.message for record in caplog.records if record.exc_info or record.levelname != "INFO"] == []


def test_a_stream_keeps_its_own_rule(site, send):
    client = send(GET % b"/stream")
    assert site.begun.acquire(timeout=DEADLINE_S)
    (outlet,) = site.outlets
    written = 0
    while not outlet.full:
        assert outlet.write(MIB)
        written += len(MIB)
    send(GET % b"/much")
    assert site.ended.acquire(timeout=DEADLINE_S)  # it was cut off, and waited for less time
    assert not outlet.gone
    outlet.close()
    response = http.client.HTTPResponse(client)
    response.begin()
    assert len(response.read()) == written
