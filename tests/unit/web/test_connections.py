"""A connection whose client reads slowly, or not at all; the time is told to it, so nobody waits."""

import socket
import sys
from contextlib import closing

import pytest
from waitress import create_server, wasyncore

from pinocchio_core.web.connections import Channel

MUCH = 8 * 1024 * 1024
PATIENCE_S = 20


@pytest.fixture
def client():
    with closing(socket.socket()) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        yield made


@pytest.fixture
def channel(client):
    """A connection with more to send than the system takes of it."""
    server = create_server(lambda *_: [], listen="127.0.0.1:0", threads=1)
    server.channel_class = Channel
    client.connect(("127.0.0.1", int(server.effective_port)))
    server.handle_accept()
    (made,) = server.active_channels.values()
    made.write_soon(b"x" * MUCH)
    assert made.total_outbufs_len
    yield made
    made.handle_close()
    wasyncore.close_all(server._map)
    server.task_dispatcher.shutdown()


def test_a_client_that_takes_nothing_is_known_once_the_time_is_over(channel):
    assert not any(channel.takes_nothing(now, PATIENCE_S) for now in (1000, 1001, 1019))
    assert channel.takes_nothing(1020, PATIENCE_S)


def test_a_client_takes_something_when_the_system_takes_more_for_it(channel, client, until):
    assert not channel.takes_nothing(1000, PATIENCE_S)
    waiting = channel.total_outbufs_len

    def read_and_send():
        client.recv(65536)
        channel.handle_write()
        return channel.total_outbufs_len < waiting

    until(read_and_send)
    assert not channel.takes_nothing(1020, PATIENCE_S)
    assert channel.takes_nothing(1040, PATIENCE_S)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say what they still hold")
def test_a_client_takes_something_when_the_system_has_less_for_it_and_wants_no_more_yet(channel, client, until):
    assert not channel.takes_nothing(1000, PATIENCE_S)
    waiting = channel.total_outbufs_len
    until(lambda: client.recv(1024) and not channel.takes_nothing(1020, PATIENCE_S))
    assert channel.total_outbufs_len == waiting
    assert channel.takes_nothing(1040, PATIENCE_S)


def test_the_loop_answers_nothing_itself_while_bytes_wait_for_the_client(channel):
    channel.requests = [channel.parser_class(channel.adj)]
    assert not channel.takes_at_once(lambda _: True)
    channel.total_outbufs_len, waiting = 0, channel.total_outbufs_len
    assert channel.takes_at_once(lambda _: True)
    channel.total_outbufs_len = waiting
    channel.requests = []
