"""One server of all those on a database does something: it holds a lease, and that of one that died runs out."""

import os
import secrets
from collections.abc import Callable
from typing import Final

from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.facts import Facts

LEASE_MS: Final = 60_000


class Lease:
    """A fact that says who does it, and until when nobody else does."""

    def __init__(self, store: Store, name: str) -> None:
        """`name` is that of the fact."""
        self._store = store
        self._facts = Facts(store.database)
        self._name = name
        self._holder = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._until_ms = 0

    def left_ms(self) -> int:
        """For how long this server still holds it, 0 where it does not."""
        left_ms = self._until_ms - self._store.now_ms()
        return left_ms if 0 < left_ms <= LEASE_MS else 0

    def taken(self) -> bool:
        """Whether another server holds it now."""
        lease, now_ms = self._facts.read(self._name), self._store.now_ms()
        if lease is None or lease["holder"] == self._holder:
            return False
        return bool(now_ms < lease["until_ms"] <= now_ms + LEASE_MS)

    def take(self, still: Callable[[], bool] = lambda: True) -> bool:
        """Hold it from now on; False where another server does, or what it is for is no longer wanted."""
        with self._store.write():
            if self.taken() or not still():
                return False
            until_ms = self._write()
        self._until_ms = until_ms
        return True

    def keep(self) -> bool:
        """Renew it where half of its time is over; False where it is lost, because the fact names us no more.

        A restore into a running server wipes the fact, and another server may take the lease then.
        """
        if self._is_ours() and self._until_ms - self._store.now_ms() >= LEASE_MS / 2:
            return True
        with self._store.write():
            ours = self._is_ours()
            until_ms = self._write() if ours else 0
        self._until_ms = until_ms
        return ours

    def give_back(self) -> None:
        """Hold it no longer; inside `Store.write`."""
        self._until_ms = 0
        if not self.taken():
            self._facts.write(self._name, None, self._store.now_ms())

    def _is_ours(self) -> bool:
        lease = self._facts.read(self._name)
        return lease is not None and lease["holder"] == self._holder

    def _write(self) -> int:
        """Write that it is ours; returns until when, which holds once that is committed."""
        now_ms = self._store.now_ms()
        self._facts.write(self._name, {"holder": self._holder, "until_ms": now_ms + LEASE_MS}, now_ms)
        return now_ms + LEASE_MS
