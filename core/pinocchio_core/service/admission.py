"""Which turns may run: one of a conversation at a time, and not too many in all."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pinocchio_core.domain.turns import Emit, Event
from pinocchio_core.errors import ConversationBusy, Overloaded

MAX_WAITING: Final = 8
"""Turns of one conversation that wait for the one that runs."""
LONGEST_WAIT_S: Final = 120.0
"""How long they wait."""
ALIVE: Final = Event(type="delta", data={"text": ""})
"""Nothing to tell; whoever gets it may find that the client has gone."""
_LOOK_S = 0.5


class _Queue:
    """The turns of one conversation: one runs, a few wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0


class Admission:
    """Lets turns of this process in."""

    def __init__(self, turns_at_once: int) -> None:
        """So many run at one time, so that threads are left for other requests."""
        self._slots = threading.BoundedSemaphore(turns_at_once)
        self._turns_at_once = turns_at_once
        self._queues: dict[str, _Queue] = {}
        self._lock = threading.Lock()

    @contextmanager
    def turn_of(self, conv_id: str, emit: Emit) -> Iterator[None]:
        """Be the one turn of a conversation that runs, as long as the block does.

        Raises:
            ConversationBusy: too many wait already, or the one before does not end.
            Overloaded: too many turns run.
            TurnCancelled: the client has gone meanwhile.
        """
        with self._queued(conv_id) as queue:
            self._wait(queue, conv_id, emit)
            try:
                if not self._slots.acquire(blocking=False):
                    raise Overloaded(self._turns_at_once, "chat turns")
                try:
                    yield
                finally:
                    self._slots.release()
            finally:
                queue.lock.release()

    @contextmanager
    def _queued(self, conv_id: str) -> Iterator[_Queue]:
        with self._lock:
            queue = self._queues.setdefault(conv_id, _Queue())
            if queue.inside > MAX_WAITING:
                raise ConversationBusy(conv_id)
            queue.inside += 1
        try:
            yield queue
        finally:
            with self._lock:
                queue.inside -= 1
                if not queue.inside:
                    self._queues.pop(conv_id, None)

    def _wait(self, queue: _Queue, conv_id: str, emit: Emit) -> None:
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not queue.lock.acquire(timeout=_LOOK_S):
            emit(ALIVE)
            if time.monotonic() > deadline:
                raise ConversationBusy(conv_id)
