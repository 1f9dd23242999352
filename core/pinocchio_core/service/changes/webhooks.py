"""Webhooks: each change is posted to those who want to be told, in order, at least once, by one server of all.

The history is the outbox: what is told is in it before anybody could be. How far each webhook is, is in the database
too, so that whichever server goes on does so from there.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from pinocchio_core.errors import HistoryReset, PinocchioError
from pinocchio_core.service.changes.endpoints import Endpoint
from pinocchio_core.service.changes.posting import NotDelivered, Sending, post
from pinocchio_core.service.upkeep.leases import Lease
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.cursors import WebhookCursor, WebhookCursors
from pinocchio_core.store.tables.feed import BEGINNING, Change, ChangeFeed, Place, parse_place

WEBHOOK_LEASE: Final = "webhook_lease"
"""The fact: who delivers, and until when nobody else does."""
LOOK_S: Final = 0.2
"""How often to look for what was changed."""
_PAGE: Final = 100
_KEEP_EVERY_S: Final = 1.0
"""How much is told again, at most, where a server dies."""
_END_S: Final = 1.0
"""How long a stop waits for threads: one that cannot be cut off, because it is connecting, sends nothing any more."""
_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 3600.0

log = logging.getLogger("pinocchio.webhooks")


class WebhookState(Struct, frozen=True):
    """How one webhook fares."""

    name: str
    behind: int
    """How many changes it is behind, whether or not it wants them."""
    attempts: int
    """That failed since the last one that did not."""
    parked: bool
    last_error: str | None


class Webhooks:
    """Tells them, with a thread for each; `start` it when the program serves, `stop` it before the store is closed."""

    def __init__(self, store: Store, endpoints: Sequence[Endpoint], *, first_retry_s: float = _FIRST_RETRY_S) -> None:
        """`first_retry_s` is how long after a failure it is tried again; each further time twice as long."""
        self._store = store
        self._endpoints = endpoints
        self._first_retry_s = first_retry_s
        self._feed = ChangeFeed(store.database)
        self._cursors = WebhookCursors(store.database)
        self._lease = Lease(store, WEBHOOK_LEASE)
        self._stopping = threading.Event()
        self._sending: dict[str, Sending] = {}
        self.posts: Counter[tuple[str, str]] = Counter()
        """What this process has sent, by name and result."""
        self._threads = [threading.Thread(target=self._run, args=(self._hold,), name="webhooks", daemon=True)]
        self._threads += [
            threading.Thread(target=self._run, args=(self._turn, each), name=f"webhook-{each.name}", daemon=True)
            for each in endpoints
        ]

    def start(self) -> None:
        """Begin; those that are new are told from now on, and those that were given up are tried again."""
        newest = self._feed.newest()
        with self._store.write():
            for endpoint in self._endpoints:
                self._cursors.resume(endpoint.name)
                if self._cursors.read(endpoint.name) is None:
                    place = BEGINNING if endpoint.from_beginning else newest
                    self._cursors.write(endpoint.name, WebhookCursor(place=place))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and let another server go on; what was not acknowledged yet is sent again."""
        self._stopping.set()
        for sending in list(self._sending.values()):
            sending.cut_off()
        deadline = time.monotonic() + _END_S
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        if self._lease.left_ms():
            try:
                with self._store.write():
                    self._lease.give_back()
            except PinocchioError as error:
                log.warning("another server tells webhooks only after a minute: %s", error)

    def states(self) -> list[WebhookState]:
        """How each of them fares, whichever server tells it; StoreUnavailable where the database cannot say."""
        newest = self._feed.newest().seq
        states = []
        for endpoint in self._endpoints:
            cursor = self._cursors.read(endpoint.name) or WebhookCursor(place=BEGINNING)
            behind = max(0, newest - cursor.place.seq)
            states.append(WebhookState(endpoint.name, behind, cursor.attempts, cursor.parked, cursor.last_error))
        return states

    def reasons(self) -> list[str]:
        """Which of them fail, and why."""
        try:
            states = self.states()
        except PinocchioError:
            return []  # that the database cannot say is said by others
        return [
            f"webhook {each.name} {'is given up until a server starts again' if each.parked else 'fails'},"
            f" {each.behind} changes behind: {each.last_error}"
            for each in states
            if each.attempts
        ]

    def _run(self, work: Any, *arguments: Any) -> None:
        while not self._stopping.is_set():
            busy = False
            try:
                busy = work(*arguments)
            except PinocchioError as error:
                if not self._stopping.is_set():
                    log.warning("webhooks have to wait: %s", error)
                self._stopping.wait(1)
            except Exception:  # the others go on, and the next attempt may go well
                log.exception("telling webhooks failed")
                self._stopping.wait(1)
            if not busy:
                self._stopping.wait(LOOK_S)

    def _hold(self) -> bool:
        """Hold the lease, or wait for it."""
        if self._lease.left_ms():
            self._lease.keep()
        elif not self._lease.taken():
            self._lease.take(lambda: not self._stopping.is_set())
        return False

    def _turn(self, endpoint: Endpoint) -> bool:
        """Tell one of what it was not told yet; True where there is more already."""
        if not self._may_send(endpoint):
            return False
        cursor = self._cursors.read(endpoint.name)
        if cursor is None or cursor.parked or self._store.now_ms() < cursor.next_at_ms:
            return False
        try:
            found = self._feed.read(cursor.place, limit=_PAGE)
        except HistoryReset as error:
            return self._tell_of_reset(endpoint, cursor, parse_place(error.newest))
        place = self._tell(endpoint, cursor, found.changes)
        return found.more and place == found.after

    def _tell(self, endpoint: Endpoint, cursor: WebhookCursor, changes: Sequence[Change]) -> Place:
        """Tell one of these, until one cannot be sent; returns after which one it is then, which is kept too."""
        kept_at, place = time.monotonic(), cursor.place
        for change in changes:
            if not self._may_send(endpoint):
                break
            if endpoint.wants(change) and not self._send(endpoint, cursor, place, ("change", change.place, change)):
                return place
            place = change.place
            if time.monotonic() > kept_at + _KEEP_EVERY_S:
                self._keep(endpoint, WebhookCursor(place=place))
                kept_at = time.monotonic()
        if place != cursor.place:
            self._keep(endpoint, WebhookCursor(place=place))
        return place

    def _may_send(self, endpoint: Endpoint) -> bool:
        """Whether no other server can be sending before this one has its answer."""
        return not self._stopping.is_set() and self._lease.left_ms() > endpoint.timeout_s * 1000

    def _tell_of_reset(self, endpoint: Endpoint, cursor: WebhookCursor, newest: Place) -> bool:
        message = ("reset", newest, {"cursor": str(newest)})
        if not self._send(endpoint, cursor, cursor.place, message):
            return False
        self._keep(endpoint, WebhookCursor(place=newest))
        return True

    def _send(self, endpoint: Endpoint, cursor: WebhookCursor, place: Place, message: tuple[str, Place, Any]) -> bool:
        """Send one message; where that fails, remember it together with how far the others went."""
        kind, at, data = message
        now_ms = self._store.now_ms()
        body = msgspec.json.encode({"type": kind, "timestamp": _rfc3339(now_ms), "cursor": str(at), "data": data})
        try:
            post(endpoint, f"{kind}-{at}", body, timestamp_s=now_ms // 1000, begun=partial(self._begun, endpoint.name))
        except NotDelivered as error:
            state = cursor if place == cursor.place else WebhookCursor(place=place)
            if not self._stopping.is_set():
                self.posts[endpoint.name, "failed"] += 1
                state = self._after_failure(endpoint, state, str(error))
            self._keep(endpoint, state)
            return False
        self.posts[endpoint.name, "delivered"] += 1
        return True

    def _begun(self, name: str, sending: Sending) -> None:
        self._sending[name] = sending
        if self._stopping.is_set():
            sending.cut_off()  # a stop may have looked before it was there

    def _after_failure(self, endpoint: Endpoint, before: WebhookCursor, reason: str) -> WebhookCursor:
        now_ms = self._store.now_ms()
        since_ms = before.failing_since_ms or now_ms
        pause_s = min(_LONGEST_RETRY_S, self._first_retry_s * 2 ** min(before.attempts, 30))
        parked = now_ms - since_ms > endpoint.give_up_s * 1000
        if parked:
            log.error("webhook %s is given up until a server starts again: %s", endpoint.name, reason)
        elif not before.attempts:
            log.warning("webhook %s is tried again: %s", endpoint.name, reason)
        return structs.replace(
            before,
            attempts=before.attempts + 1,
            failing_since_ms=since_ms,
            next_at_ms=now_ms + int(1000 * pause_s * random.uniform(0.5, 1)),  # noqa: S311  so that not all come at once
            last_error=reason,
            parked=parked,
        )

    def _keep(self, endpoint: Endpoint, cursor: WebhookCursor) -> None:
        """Write how far it was told, unless another server may have gone on from there."""
        with self._store.write():
            if self._lease.left_ms():
                self._cursors.write(endpoint.name, cursor)


def _rfc3339(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
