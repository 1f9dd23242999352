"""What was made before and is as good as new, because it is looked up by all that it was made from."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

MAX_KEPT: Final = 256

V = TypeVar("V")


class Kept(Generic[V]):
    """Values by what they were made from; the least recently used goes where there are too many."""

    def __init__(self, most: int = MAX_KEPT, *, fits: Callable[[V], bool] = lambda _: True) -> None:
        """`most` values are kept, each of which `fits`."""
        self._most = most
        self._fits = fits
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The one that was made before, else a new one; two threads may make one each, and one of them stays."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        if not self._fits(made):
            return made
        with self._lock:
            kept = self._kept.setdefault(key, made)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return kept
