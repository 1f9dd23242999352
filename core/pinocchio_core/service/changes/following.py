"""Listeners to the feed of changes: one thread reads for all of them, and each goes on from its own place.

Those at the same place share one SELECT and one encoding. A listener that is behind is not read for, and goes on from
where it was once it has taken what waits for it; so it misses nothing, and costs no memory.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from typing import Final, Protocol

from msgspec import Struct

from pinocchio_core.errors import HistoryReset, ListenersFull, PinocchioError
from pinocchio_core.store.tables.feed import EVERYTHING, Change, ChangeFeed, Place, Wanted, parse_place

LOOK_S: Final = 0.1
"""How often to look for what this and other processes have written."""
STALLED_S: Final = 60.0
"""How long a listener may take nothing of what waits for it."""
_BATCH: Final = 250

log = logging.getLogger("pinocchio.changes")


class Outlet(Protocol):
    """Where a listener's bytes go; see `web.outlets`."""

    @property
    def gone(self) -> bool:
        """Whether nobody listens any more."""

    @property
    def full(self) -> bool:
        """Whether as much waits as may."""

    def write(self, data: bytes) -> bool:
        """Send bytes."""

    def close(self) -> None:
        """End."""


class Batch(Struct, frozen=True, dict=True):
    """Changes with their encoding."""

    told: list[tuple[Change, bytes]]
    after: Place
    more: bool

    @cached_property
    def whole(self) -> bytes:
        """All of them."""
        return b"".join(data for _, data in self.told)

    def of(self, wanted: Wanted) -> bytes:
        """Those that are wanted."""
        if wanted == EVERYTHING:
            return self.whole
        return b"".join(data for change, data in self.told if wanted.includes(change))


class Listener:
    """One that is told of changes as they come."""

    def __init__(self, outlet: Outlet, place: Place, wanted: Wanted) -> None:
        self.outlet = outlet
        self.place = place
        self.wanted = wanted
        self._full_since: float | None = None

    def ready(self) -> bool:
        """Whether it can be told more; one that has taken nothing for STALLED_S is cut off."""
        if not self.outlet.full:
            self._full_since = None
            return True
        now = time.monotonic()
        self._full_since = self._full_since or now
        if now > self._full_since + STALLED_S:
            self.outlet.close()
        return False


class Follower:
    """Tells listeners of changes; `start` it when the program serves, `stop` it before the store is closed."""

    def __init__(
        self,
        feed: ChangeFeed,
        *,
        encode: Callable[[Change], bytes],
        encode_reset: Callable[[Place], bytes],
        most: int,
    ) -> None:
        """`most` is how many listeners there may be."""
        self._feed = feed
        self._encode = encode
        self._encode_reset = encode_reset
        self._most = most
        self._admitted = 0
        self._listeners: list[Listener] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="changes", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and with it what listeners are told."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        for listener in self._listeners:
            listener.outlet.close()

    @property
    def count(self) -> int:
        """How many listen."""
        return self._admitted

    def admit(self) -> None:
        """Take one more, for whom `follow` or `dismiss` is called then; ListenersFull where there are too many."""
        with self._changed:
            if self._admitted >= self._most:
                raise ListenersFull(self._most)
            self._admitted += 1

    def dismiss(self) -> None:
        """One that was taken does not listen after all."""
        with self._changed:
            self._admitted -= 1

    def follow(self, listener: Listener) -> None:
        """Tell a listener of everything after its place from now on."""
        with self._changed:
            self._listeners.append(listener)
            self._changed.notify_all()

    def _run(self) -> None:
        more = False
        while True:
            with self._changed:
                if not more and self._listeners:
                    self._changed.wait(LOOK_S)
                self._changed.wait_for(lambda: self._stopping or self._listeners)
                if self._stopping:
                    return
                self._drop_gone()
                listeners = list(self._listeners)
            try:
                more = self._turn(listeners)
            except Exception:  # the others go on, and the next look may go well
                log.exception("telling of changes failed")
                more = False

    def _drop_gone(self) -> None:
        gone = [listener for listener in self._listeners if listener.outlet.gone]
        for listener in gone:
            listener.outlet.close()
            self._listeners.remove(listener)
        self._admitted -= len(gone)

    def _turn(self, listeners: list[Listener]) -> bool:
        """Tell each what there is for it now; True where there is more already."""
        together: dict[Place, list[Listener]] = defaultdict(list)
        for listener in listeners:
            if listener.ready():
                together[listener.place].append(listener)
        more = False
        for place, group in together.items():
            more |= self._tell(place, group)
        return more

    def _tell(self, place: Place, group: list[Listener]) -> bool:
        try:
            found = self._feed.read(place, limit=_BATCH)
        except HistoryReset as error:
            newest = parse_place(error.newest)
            for listener in group:
                listener.outlet.write(self._encode_reset(newest))
                listener.place = newest
            return False
        except PinocchioError as error:
            log.debug("the history cannot be read now: %s", error)
            return False
        batch = Batch([(change, self._encode(change)) for change in found.changes], found.after, found.more)
        for listener in group if batch.told else ():
            data = batch.of(listener.wanted)
            if data:
                listener.outlet.write(data)
            listener.place = batch.after
        return batch.more
