import socket
from contextlib import ExitStack

import pytest
from waitress.channel import HTTPChannel

from pinocchio_core.web import loop
from pinocchio_core.web.loop import Loop


class Owner:
    """One end of a pair of sockets; counts how often it is asked what it waits for."""

    accepting = False

    def __init__(self, owners):
        self.own, self.client = socket.socketpair()
        self.owners = owners
        self.waits, self.closes = True, False
        self.asked = 0
        self.heard = b""
        owners[self.own.fileno()] = self

    def readable(self):
        self.asked += 1
        return self.waits

    def writable(self):
        return False

    def handle_read_event(self):
        self.heard += self.own.recv(10)
        if self.closes:
            self.handle_close()

    def handle_close(self):
        del self.owners[self.own.fileno()]
        self.own.close()


class Connection(Owner, HTTPChannel):
    """Stands for a connection of a server."""


@pytest.fixture
def owners():
    made = {}
    with ExitStack() as at_end:
        yield made
        for owner in made.values():
            at_end.enter_context(owner.own)
            at_end.enter_context(owner.client)


def asked(owners):
    return [owner.asked for owner in owners.values()]


def test_only_the_connection_that_something_happened_to_is_asked_again(owners):
    first, *others = [Connection(owners) for _ in range(4)]
    served = Loop(owners)
    for number in range(1, 4):
        first.client.send(b"x")
        served.turn(60)
        assert first.heard == b"x" * number
    assert first.asked == 4
    assert [owner.asked for owner in others] == [1, 1, 1]


def test_a_connection_that_waits_for_nothing_is_left_alone_until_somebody_wakes_the_loop(owners):
    busy, waker = Connection(owners), Owner(owners)
    busy.client.send(b"a")
    served = Loop(owners)
    busy.waits = False
    served.turn(0)
    assert busy.heard == b""
    busy.waits = True
    waker.client.send(b"!")
    served.turn(60)
    served.turn(60)
    assert (busy.heard, waker.heard) == (b"a", b"!")
    assert asked(owners) == [3, 2]


def test_whoever_gets_the_descriptor_of_a_connection_that_has_closed_is_asked(owners):
    gone, stays = Connection(owners), Connection(owners)
    served = Loop(owners)
    gone.closes = True
    descriptor = gone.own.fileno()
    gone.client.send(b"x")
    served.turn(60)
    gone.client.close()
    follows = Connection(owners)
    assert follows.own.fileno() == descriptor
    follows.client.send(b"y")
    served.turn(60)
    assert (follows.heard, stays.heard) == (b"y", b"")
    assert stays.asked == 2


def test_all_are_asked_once_in_a_while_for_what_only_time_changes(owners, monkeypatch):
    monkeypatch.setattr(loop, "ASK_ALL_EVERY_S", 0.0)
    Connection(owners)
    served = Loop(owners)
    for _ in range(3):
        served.turn(60)
    assert asked(owners) == [3]
