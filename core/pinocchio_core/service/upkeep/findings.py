"""What is known of rows that are not well, for requests to look up and for operators to read."""

import heapq
import logging
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct, field

from pinocchio_core.domain.slugs import shown
from pinocchio_core.store.tables.revisions import REGISTRY_ITSELF
from pinocchio_core.store.tables.rows import StoredProfile
from pinocchio_core.store.tables.scan import INVALID, QUARANTINED, Key, RowState

MAX_NAMED: Final = 20
"""How many rows are named where there are more."""

log = logging.getLogger("pinocchio.store")


class RegistryFindings(Struct, frozen=True):
    """What is known of the rows of one registry."""

    states: Mapping[str, RowState] = field(default_factory=dict)
    """By the slug of the profile; the registry's own under `REGISTRY_ITSELF`."""
    mark: int = 0
    """Another number for other states, 0 where there are none."""


NOTHING: Final = RegistryFindings()


class Findings:
    """The rows that are not well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {QUARANTINED: 0, INVALID: 0}
        self.by_registry: Mapping[str, RegistryFindings] = {}
        """Empty where everything is well. Never changed, only replaced."""
        self._shared = lru_cache(maxsize=256)(_itself)
        """One object for equal states: what a missing plugin leaves behind is the same everywhere."""
        self._told: tuple[Mapping[str, RegistryFindings], list[str]] = (self.by_registry, [])

    def of(self, registry: str) -> RegistryFindings:
        """What is known of one registry's rows."""
        return self.by_registry.get(registry, NOTHING)

    def known(self, row: StoredProfile) -> RowState | None:
        """What is known of this version of a row."""
        state = self.of(row.registry).states.get(row.slug)
        return state if state and state.version == row.version else None

    def keys(self) -> Iterator[Key]:
        """All of them, as they are now."""
        return ((registry, slug) for registry, found in self.by_registry.items() for slug in found.states)

    def counts(self) -> dict[str, int]:
        """How many there are in each state."""
        return dict(self._counts)

    def reasons(self) -> list[str]:
        """One line for each, by name; at most MAX_NAMED, and one that counts the others."""
        found = self.by_registry
        if self._told[0] is not found:
            self._told = (found, _reasons(found))
        return list(self._told[1])

    def update(self, states: Mapping[Key, RowState | None]) -> None:
        """Keep what was found, `None` for what is well; log what was well before."""
        if not self.by_registry and not any(states.values()):
            return
        with self._lock:
            found = dict(self.by_registry)
            for registry in dict.fromkeys(key[0] for key in states):
                mine = {key: state for key, state in states.items() if key[0] == registry}
                changed = self._merged(found.pop(registry, NOTHING), mine)
                if changed.states:
                    found[registry] = changed
            self.by_registry = found

    def _merged(self, old: RegistryFindings, states: Mapping[Key, RowState | None]) -> RegistryFindings:
        kept, mark = dict(old.states), old.mark
        for key, state in states.items():
            before = kept.pop(key[1], None)
            if before:
                mark ^= before.mark(key)
                self._counts[before.kind] -= 1
            if state:
                kept[key[1]] = self._shared(state)
                mark ^= state.mark(key)
                self._counts[state.kind] += 1
                if before is None or before.kind != state.kind:
                    self._tell(key, state)
        return RegistryFindings(kept, mark)

    def _tell(self, key: Key, state: RowState) -> None:
        count = sum(self._counts.values())
        if count <= MAX_NAMED:
            log.warning("%s is %s", _name(key), state.kind)
        elif count == MAX_NAMED + 1:
            log.warning("more than %d rows are not well; lists of profiles show which", MAX_NAMED)


def _reasons(found: Mapping[str, RegistryFindings]) -> list[str]:
    every = ((registry, slug) for registry, each in found.items() for slug in each.states)
    told = [
        f"{_name((registry, slug))} is {found[registry].states[slug].kind}"
        for registry, slug in heapq.nsmallest(MAX_NAMED, every)
    ]
    others = sum(len(each.states) for each in found.values()) - len(told)
    return [*told, f"and {others} more"] if others else told


def _itself(state: RowState) -> RowState:
    return state


def _name(key: Key) -> str:
    registry, slug = key
    if slug == REGISTRY_ITSELF:
        return f"registry {shown(registry)}"
    return f"profile {shown(slug)} in registry {shown(registry)}"
