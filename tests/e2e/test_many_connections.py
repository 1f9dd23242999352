"""More connections at a time than the usual limit of open files lets a process have."""

import resource
import socket
from contextlib import ExitStack

import pytest

DEADLINE_S = 60
LOW = 128
CLIENTS = 300


@pytest.fixture
def low_limit():
    """What is started meanwhile may open few files, until it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 2 * CLIENTS:
        pytest.skip("this system allows a process too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (LOW, hard))
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_limit_of_open_files_is_raised_for_connections(serving, low_limit, tmp_path, workers):
    with serving(tmp_path, "--workers", workers) as server, ExitStack() as opened:
        low_limit()
        for _ in range(CLIENTS):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert server.request("PATCH", "/api/chat/profiles/default", {"description": "new"}).status == 200
