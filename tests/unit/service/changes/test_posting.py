"""Messages that are cut off before they are sent."""

import http.client
import socket

import pytest

from pinocchio_core.service.changes.endpoints import Endpoint
from pinocchio_core.service.changes.posting import NotDelivered, Sending, post


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(0)
        yield made


def port_of(listener):
    return listener.getsockname()[1]


def test_one_that_is_cut_off_before_it_connects_does_not_connect(listener):
    endpoint = Endpoint(
        name="ci",
        url=f"http://127.0.0.1:{port_of(listener)}/",
        secret=b"a secret of the receiver",
        registries=None,
        ops=None,
        timeout_s=5,
        from_beginning=False,
        give_up_s=1000,
    )
    with pytest.raises(NotDelivered):
        post(endpoint, "change-1", b"{}", timestamp_s=1, begun=Sending.cut_off)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_one_that_is_cut_off_while_it_connects_sends_nothing(listener):
    class Slow(http.client.HTTPConnection):
        def connect(self):
            sending.cut_off()  # there is no socket yet
            super().connect()

    connection = Slow("127.0.0.1", port_of(listener))
    sending = Sending(connection)
    with pytest.raises(ConnectionAbortedError):
        sending.connect()
    connection.close()
    listener.settimeout(60)
    with listener.accept()[0] as accepted:
        assert accepted.recv(1) == b""
