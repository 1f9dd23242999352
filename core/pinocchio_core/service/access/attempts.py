"""How often an address sent tokens that are not valid."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

LIMIT: Final = 20
"""Invalid tokens of one address within WINDOW_S that are answered as such."""
WINDOW_S: Final = 60.0
ADDRESSES: Final = 4096
"""Addresses that are remembered; the one that was heard of least recently is forgotten first."""


class Excess(NamedTuple):
    """An invalid token too many."""

    wait_s: int
    first: bool
    """Whether it is the first of its address within WINDOW_S: only that one is worth a line in a log."""


class Attempts:
    """Counts invalid tokens by address, for one process."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def failed(self, address: str) -> Excess | None:
        """Count one more; how many seconds to wait where that is one too many."""
        now = self._clock()
        with self._lock:
            began, count = self._known.pop(address, (now, 0))
            if now - began >= WINDOW_S:
                began, count = now, 0
            self._known[address] = (began, count + 1)
            if len(self._known) > ADDRESSES:
                self._known.popitem(last=False)
        return None if count < LIMIT else Excess(max(1, math.ceil(began + WINDOW_S - now)), count == LIMIT)
