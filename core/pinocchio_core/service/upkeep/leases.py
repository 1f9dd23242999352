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
            self._hold()
        return True

    def keep(self) -> None:
        """Renew it where half of its time is over."""
        if self._until_ms - self._store.now_ms() < LEASE_MS / 2:
            with self._store.write():
                self._hold()

    def give_back(self) -> None:
        """Hold it no longer; inside `Store.write`."""
        self._until_ms = 0
        if not self.taken():
            self._facts.write(self._name, None, self._store.now_ms())

    def _hold(self) -> None:
        now_ms = self._store.now_ms()
        self._until_ms = now_ms + LEASE_MS
        self._facts.write(self._name, {"holder": self._holder, "until_ms": self._until_ms}, now_ms)
