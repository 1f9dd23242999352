"""What is counted and timed while the server runs, and the families that a scrape is made of."""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

Key = tuple[str, ...]
"""A value for each label."""

Cells = list[float]
"""How many times fell into each bucket, the last of them without a bound, and after it the sum of their seconds."""


class Family(Struct, frozen=True):
    """Values of one name, as a scrape shows them."""

    kind: Literal["counter", "gauge"]
    name: str
    """Without the suffix that Prometheus has for counters."""
    text: str
    values: Iterable[tuple[Key, float]]
    labels: tuple[str, ...] = ()


class TimesFamily(Struct, frozen=True):
    """Times of one name, as a scrape shows them."""

    name: str
    text: str
    values: Iterable[tuple[Key, Cells]]
    labels: tuple[str, ...]
    bounds_s: Sequence[float]


AnyFamily = Family | TimesFamily


def single(kind: Literal["counter", "gauge"], name: str, text: str, value: float) -> Family:
    """A family of one value that has no labels."""
    return Family(kind, name, text, [((), value)])


class Counts:
    """How often something happened, by what its labels say of it; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Key, float] = {}

    def add(self, *key: str, by: float = 1) -> None:
        """Count one, or several."""
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + by

    def total(self) -> dict[Key, float]:
        """What was counted until now."""
        with self._lock:
            return dict(self._counts)


class Times:
    """How long something took, by what its labels say of it; for all threads."""

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self.bounds_s = bounds_s
        self._lock = threading.Lock()
        self._times: dict[Key, Cells] = {}

    def observe(self, seconds: float, *key: str) -> None:
        """Count one."""
        with self._lock:
            note(self._times, key, seconds, self.bounds_s)

    def total(self) -> dict[Key, Cells]:
        """What was counted until now."""
        with self._lock:
            return {key: list(cells) for key, cells in self._times.items()}


class TimesOfThreads:
    """The same for what is timed with every answer: each thread counts for itself, and whoever asks adds it up.

    For threads that stay: what a thread counted is kept when it has ended.
    """

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self.bounds_s = bounds_s
        self._own = threading.local()
        self._all: list[dict[Key, Cells]] = []

    def observe(self, seconds: float, *key: str) -> None:
        """Count one."""
        try:
            times: dict[Key, Cells] = self._own.times
        except AttributeError:
            times = self._own.times = {}
            self._all.append(times)
        note(times, key, seconds, self.bounds_s)

    def total(self) -> dict[Key, Cells]:
        """What was counted until now."""
        total: dict[Key, Cells] = {}
        for times in list(self._all):
            for key, cells in list(times.items()):
                total[key] = [a + b for a, b in zip(total.get(key, [0.0] * len(cells)), cells, strict=True)]
        return total


def note(times: dict[Key, Cells], key: Key, seconds: float, bounds_s: Sequence[float]) -> None:
    """Put one time where it belongs."""
    cells = times.get(key)
    if cells is None:
        cells = times[key] = [0.0] * (len(bounds_s) + 2)
    cells[bisect_left(bounds_s, seconds)] += 1
    cells[-1] += seconds
