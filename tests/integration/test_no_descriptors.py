"""A server that has no descriptors left for the connections that come, over real sockets."""

import logging
import os
import socket
from contextlib import ExitStack, closing, contextmanager

import pytest

resource = pytest.importorskip("resource")

DEADLINE_S = 60
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b"\r\n\r\nok"


def app(env, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


@contextmanager
def no_descriptor_left():
    """A time in which this process, and the server in it, can open nothing."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def answered(client):
    received = b""
    while not received.endswith(ANSWER):
        piece = client.recv(1024)
        assert piece
        received += piece
    return received.startswith(b"HTTP/1.1 200 OK")


def test_connections_wait_until_there_are_descriptors_for_them_and_the_log_says_so_once(running, caplog):
    caplog.set_level(logging.WARNING)
    with running(app) as server, ExitStack() as opened:
        early, *late = [opened.enter_context(closing(socket.socket())) for _ in range(21)]
        for client in (early, *late):
            client.settimeout(DEADLINE_S)
        early.connect(("127.0.0.1", server.port))
        early.sendall(GET)
        assert answered(early)
        with no_descriptor_left():
            for client in late:
                client.connect(("127.0.0.1", server.port))
                client.sendall(GET)
            for _ in range(200):  # each in a turn of the loop, in which it could try again
                early.sendall(GET)
                assert answered(early)
        assert all(answered(client) for client in late)
    (warning,) = [record.message for record in caplog.records]
    assert "cannot accept connections" in warning
