"""Which turns may run: one of a conversation at a time, and not too many in all."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from pinocchio_core.domain.turns import Emit, Event
from pinocchio_core.errors import ConversationBusy, TooManyTurns

DEFAULT_TURNS_AT_ONCE: Final = 100
"""Each has a thread and a connection to the database of conversations."""
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


class Place:
    """Where a turn runs or waits; it is given back by `leave`, or at the end of `turn`."""

    def __init__(
        self, queue: _Queue, conv_id: str, *, leave: Callable[[], None], running: Callable[[int], None]
    ) -> None:
        """`leave` gives the place back; `running` is told of turns that run, 1 for one more and -1 for one less."""
        self._queue = queue
        self._conv_id = conv_id
        self._leaving = [leave]
        self._running = running

    def leave(self) -> None:
        """Give it back; once is enough."""
        while self._leaving:
            self._leaving.pop()()

    @contextmanager
    def turn(self, emit: Emit) -> Iterator[None]:
        """Be the one turn of the conversation that runs, as long as the block does.

        Raises:
            ConversationBusy: the one before does not end.
            TurnCancelled: the client has gone meanwhile.
        """
        try:
            self._wait(emit)
            self._running(1)
            try:
                yield
            finally:
                self._running(-1)
                self._queue.lock.release()
        finally:
            self.leave()

    def _wait(self, emit: Emit) -> None:
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not self._queue.lock.acquire(timeout=_LOOK_S):
            emit(ALIVE)
            if time.monotonic() > deadline:
                raise ConversationBusy(self._conv_id)


class Admission:
    """Lets turns of this process in."""

    def __init__(self, turns_at_once: int, *, in_threads: int) -> None:
        """So many run or wait at one time, and of those so many in a thread that other requests need."""
        self._bounds = {"turns": turns_at_once, "waiting": in_threads}
        self._inside = {"turns": 0, "waiting": 0}
        self._queues: dict[str, _Queue] = {}
        self._lock = threading.Condition()
        self.running = 0
        """Turns that run."""

    @property
    def running_or_waiting(self) -> int:
        """Turns that have a place."""
        return self._inside["turns"]

    def place_for(self, conv_id: str, *, holds_thread: bool) -> Place:
        """A place for one turn of a conversation, at once.

        Raises:
            ConversationBusy: too many of it wait already.
            TooManyTurns: too many turns run or wait.
        """
        counted = ("turns", "waiting") if holds_thread else ("turns",)
        with self._lock:
            queue = self._queues.get(conv_id) or _Queue()
            if queue.inside > MAX_WAITING:
                raise ConversationBusy(conv_id)
            for bound in counted:
                if self._inside[bound] >= self._bounds[bound]:
                    raise TooManyTurns(self._bounds[bound], holding_threads=bound == "waiting")
            for bound in counted:
                self._inside[bound] += 1
            queue.inside += 1
            self._queues[conv_id] = queue
        return Place(queue, conv_id, leave=lambda: self._left(conv_id, queue, counted), running=self._runs)

    def wait_until_empty(self, longest_s: float) -> bool:
        """Wait until no turn has a place; False where some still have after so many seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: not self.running_or_waiting, longest_s)

    def _runs(self, more: int) -> None:
        with self._lock:
            self.running += more

    def _left(self, conv_id: str, queue: _Queue, counted: Iterable[str]) -> None:
        with self._lock:
            for bound in counted:
                self._inside[bound] -= 1
            queue.inside -= 1
            if not queue.inside:
                del self._queues[conv_id]
            if not self.running_or_waiting:
                self._lock.notify_all()
