"""Finds stored rows that are not well: unreadable ones, and those that the installed plugins would refuse.

It looks in a thread of its own, a little at a time, so that requests pay nothing for it: at everything once after the
start, soon after at what was changed, and for damage done from outside every RESCAN_S. What is known of a row holds
for the version that was looked at and no other, so a repaired row is well at once.
"""

import logging
import threading
import time
from collections.abc import Iterable
from itertools import islice
from typing import Final

from msgspec import structs

from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.slugs import shown
from pinocchio_core.errors import PinocchioError, Problem, RegistryNotFound, RowUnreadable
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.stack_checks import MAX_DEPENDANTS, StackChecks
from pinocchio_core.service.upkeep.findings import MAX_NAMED, Findings
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.revisions import REGISTRY_ITSELF
from pinocchio_core.store.tables.rows import StoredProfile
from pinocchio_core.store.tables.scan import INVALID, PAGE, QUARANTINED, Key, Position, RowScan, RowState

LOOK_S: Final = 5.0
"""How often to look at what was changed, and again at what is known not to be well."""
RESCAN_S: Final = 600.0
"""How long after a scan of everything the next one begins."""
_MAX_PROBLEMS = 5
_BURST_S, _REST, _LONGEST_REST_S = 0.001, 30, 0.5
"""How long to work at one time, and how many times as long to rest then: requests need the processor."""

log = logging.getLogger("pinocchio.store")


class RowHealth:
    """Looks after the rows of a store: `start` it when the program serves, `stop` it before the store is closed."""

    def __init__(self, store: Store, validation: Validation) -> None:
        self.findings = Findings()
        self._store = store
        self._validation = validation
        self._stacks = StackChecks(store, validation)
        self._scan = RowScan(store.database)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="row-health", daemon=True)
        self._working_since = 0.0
        self._scanned_at: float | None = None
        self._seen = Position(0, 0, 0)

    def start(self) -> None:
        """Begin; a database in memory is written by this program alone and needs none of it."""
        if self._store.database.dsn.path is not None:
            self._thread.start()

    def stop(self) -> None:
        """End, within the time that one row takes."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def is_well(self, registry: str, slug: str) -> bool:
        """Whether nothing is known against a profile."""
        return slug not in self.findings.of(registry).states

    def look(self, row: StoredProfile) -> RowState | None:
        """Look at a profile's row now; `None` where it is well, as what is read of the history is."""
        if row.is_past:
            return None
        state = self._state(row)
        self.findings.update({(row.registry, row.slug): state})
        return state

    def written(self, registry: str, slug: str) -> None:
        """Look again at what this program has just written or deleted, where it was not well."""
        if not self.is_well(registry, slug):
            self._revisit([(registry, slug)])

    def scan(self) -> None:
        """Look at every row. What the schemas of plugins have against a row is found by the first scan alone.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        schemas, known, after = self._scanned_at is None, list(self.findings.keys()), -1
        self._seen = self._scan.position()
        self._revisit((slug, REGISTRY_ITSELF) for slug in self._scan.registries())
        while not self._stopping.is_set():
            rows, after = self._scan.profiles(after)
            if not rows:
                break
            self._look_at(rows, schemas=schemas)
        self._revisit(known)
        self._scanned_at = time.monotonic()

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            pause_s = LOOK_S
            self._working_since = time.perf_counter()
            try:
                self._turn()
            except PinocchioError as error:
                log.debug("the stored rows cannot be looked at now: %s", error)
            except Exception:  # nothing else may suffer, and the next look may go well
                log.exception("looking at the stored rows failed")
                pause_s = RESCAN_S

    def _turn(self) -> None:
        now, seen = self._scan.position(), self._seen
        if (now.floor, now.reopened) != (seen.floor, seen.reopened) or now.seq < seen.seq:
            self._scanned_at = None  # a restore, perhaps: nothing is known of what is there now
        if self._scanned_at is None or time.monotonic() > self._scanned_at + RESCAN_S:
            self.scan()
            return
        self._revisit(islice(self.findings.keys(), MAX_NAMED))
        after = seen.seq
        while after < now.seq and not self._stopping.is_set():
            keys, after = self._scan.changed(after)
            if not keys:
                break  # the history became shorter meanwhile, or cannot be read to its end
            self._revisit(keys)
            self._revisit(each for key in keys for each in self._store.extends.on(*key, limit=MAX_DEPENDANTS))
        self._seen = structs.replace(now, seq=after)

    def _look_at(self, rows: list[StoredProfile], *, schemas: bool) -> None:
        states: dict[Key, RowState | None] = {}
        for row in rows:
            known = self.findings.known(row)
            state = self._state(row, schemas=schemas or known is not None)
            if state or known:
                states[row.registry, row.slug] = state
            if self._rest():
                break
        self.findings.update(states)

    def _revisit(self, keys: Iterable[Key]) -> None:
        states: dict[Key, RowState | None] = {}
        for key in keys:
            states[key] = self._registry_state(key[0]) if key[1] == REGISTRY_ITSELF else self._profile_state(key)
            if len(states) == PAGE:
                self.findings.update(states)
                states = {}
            if self._rest():
                break
        self.findings.update(states)

    def _profile_state(self, key: Key) -> RowState | None:
        row = self._scan.profile(key)
        return None if row is None else self._state(row)

    def _registry_state(self, slug: str) -> RowState | None:
        try:
            row = self._store.registries.read(slug)
        except RegistryNotFound:
            return None
        try:
            row.registry()
        except RowUnreadable:
            return RowState(QUARANTINED, row.version)
        return None

    def _state(self, row: StoredProfile, *, schemas: bool = True) -> RowState | None:
        try:
            profile = row.profile()
        except RowUnreadable:
            return RowState(QUARANTINED, row.version)
        problems = disagreements(row, profile)
        if schemas:
            problems += self._validation.stored_problems(row.payload)
        problems += self._stacks.problems(profile)
        return RowState(INVALID, row.version, tuple(problems[:_MAX_PROBLEMS])) if problems else None

    def _rest(self) -> bool:
        """Leave the processor to requests after a short piece of work; True where it is time to end."""
        if threading.current_thread() is self._thread:
            worked_s = time.perf_counter() - self._working_since
            if worked_s > _BURST_S:
                self._stopping.wait(min(worked_s * _REST, _LONGEST_REST_S))
                self._working_since = time.perf_counter()
        return self._stopping.is_set()


def disagreements(row: StoredProfile, profile: Profile) -> list[Problem]:
    """Where a document says something else of itself than the row that it is in."""
    pairs = (
        ("registry", profile.registry, row.registry),
        ("slug", profile.slug, row.slug),
        ("metadata.version", profile.metadata.version, row.version),
    )
    return [
        Problem(field=name, reason=f"is {shown(said)}, and its row says {shown(stored)}")
        for name, said, stored in pairs
        if said != stored
    ]
