"""Which thread takes the next request: as few as keep up, as many as are needed.

waitress wakes a thread for every request. Threads that run Python at one time only take the interpreter from each
other, and the more there are the less gets done; threads that wait for a disk or a plugin are another matter. So a
request waits for one of a few busy threads, and a further thread is woken as soon as those have been busy for long.
"""

import time
from typing import Any

from waitress.task import ThreadedTaskDispatcher

BUSY = 2
"""Threads that serve short requests at one time."""
LONG_S = 0.005
"""A request that takes longer is waiting for something, and its thread no longer counts as busy."""


class Dispatcher(ThreadedTaskDispatcher):
    """A pool of threads of which few are awake."""

    def __init__(self) -> None:
        super().__init__()
        self._started: dict[Any, float] = {}

    def add_task(self, task: Any) -> None:
        """Queue a request, and wake a thread for it unless enough are busy with short ones."""
        with self.lock:
            self.queue.append(task)
            if self._busy() < BUSY:
                self.queue_cv.notify()

    def relieve(self) -> None:
        """Wake a thread where requests wait and those that were to take them have been busy for long."""
        with self.lock:
            if self.queue and self._busy() < BUSY:
                self.queue_cv.notify()

    def started(self, task: Any) -> None:
        """A thread has begun with a request."""
        self._started[task] = time.monotonic()

    def ended(self, task: Any) -> None:
        """It is done with it."""
        self._started.pop(task, None)

    def _busy(self) -> int:
        since = time.monotonic() - LONG_S
        return sum(began > since for began in list(self._started.values()))
