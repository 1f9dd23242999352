"""The loop over sockets, otherwise than waitress's.

That asks every connection before each wait what it waits for, so that hundreds of idle ones cost more than to answer
the one that is not. Here a connection is asked after something happened to it; all of them are where something happened
to what they share, and once a second for what only time changes.
"""

import select
import time
from collections.abc import Mapping
from typing import Any, Final

from waitress import wasyncore
from waitress.channel import HTTPChannel

ASK_ALL_EVERY_S: Final = 1.0


class Loop:
    """Waits for sockets and lets those that own them act, which are `wasyncore.dispatcher` by their descriptors."""

    def __init__(self, owners: Mapping[int, Any]) -> None:
        """`owners` may change at any time in the thread of the loop."""
        self._owners = owners
        self._poller = select.poll()
        self._wanted: dict[int, int] = {}
        """What is waited for, by descriptor."""
        self._ask_all_at = 0.0

    def turn(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` seconds until something happens, and have it dealt with."""
        now = time.monotonic()
        if now >= self._ask_all_at:
            self._ask_all()
            self._ask_all_at = now + ASK_ALL_EVERY_S
        wait_s = min(timeout_s, self._ask_all_at - now)
        for descriptor, events in self._poller.poll(1000 * wait_s):
            owner = self._owners.get(descriptor)
            if owner is not None:
                wasyncore.readwrite(owner, events)
            if isinstance(owner, HTTPChannel) and self._owners.get(descriptor) is owner:
                self._want(descriptor, _wanted_by(owner))
            else:  # one has come or gone, or somebody else has woken the loop
                self.ask_all()

    def ask_all(self) -> None:
        """Ask every owner before the next wait."""
        self._ask_all_at = 0.0

    def _ask_all(self) -> None:
        self._poller = select.poll()
        self._wanted = {}
        for descriptor, owner in list(self._owners.items()):
            self._want(descriptor, _wanted_by(owner))

    def _want(self, descriptor: int, events: int) -> None:
        if events == self._wanted.get(descriptor, 0):
            return
        self._wanted[descriptor] = events
        if events:
            self._poller.register(descriptor, events)
        else:
            self._poller.unregister(descriptor)


def _wanted_by(owner: Any) -> int:
    events = select.POLLIN | select.POLLPRI if owner.readable() else 0
    if owner.writable() and not owner.accepting:
        events |= select.POLLOUT
    return events
