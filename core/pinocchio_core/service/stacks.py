"""The profiles that one builds on, read from the store: as they are, or as they would be after changes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct, field

from pinocchio_core.domain import limits
from pinocchio_core.domain.profile import Base, Profile
from pinocchio_core.domain.references import Reference
from pinocchio_core.errors import (
    NotFound,
    Problem,
    ProfileNotFound,
    RegistryNotFound,
    RevisionNotFound,
    RowUnreadable,
    StackBroken,
)
from pinocchio_core.service.checking.names import EXTENDS
from pinocchio_core.service.references import require_profile, usable_revision
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.extends import Key
from pinocchio_core.store.tables.rows import StoredProfile

_PENDING: Final = 0
"""Stands for the version of what is not written yet."""

Node = tuple[str, str, int]
"""One version of a profile."""
Read = tuple[str, str, str | None]
"""A profile, or one of its labels, that was looked at."""


class Pending(Struct, frozen=True):
    """Changes that are not written yet."""

    profiles: Mapping[Key, Profile | None] = field(default_factory=dict)
    """What will be stored, `None` for what is deleted."""
    labels: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """Where labels will point."""
    registries: frozenset[str] = frozenset()
    """Those that will be made."""


NOTHING_PENDING: Final = Pending(MappingProxyType({}), MappingProxyType({}))


class StackReader:
    """Finds what profiles build on, and remembers what it looked at."""

    def __init__(
        self, store: Store, pending: Pending = NOTHING_PENDING, *, registries: frozenset[str] | None = None
    ) -> None:
        """`registries` are the only ones that exist for who asks, `None` for all."""
        self._store = store
        self._pending = pending
        self._registries = registries
        self.seen: dict[Read, int | None] = {}
        """The version that each had, `None` where it was not there."""
        self._found: dict[tuple[str, str, int | str | None], tuple[Profile, Node]] = {}

    def bases_of(self, leaf: Profile) -> list[Profile]:
        """The profiles that one builds on, each one once and after all that it builds on itself.

        Raises:
            StackBroken: one of them is not there, they go round in a circle, or there are too many; with every problem.
        """
        if not leaf.runtime.extends:
            return []
        walk = _Walk(self)
        walk.visit(leaf, self._node(leaf), [], f"{leaf.registry}/{leaf.slug}")
        if walk.problems:
            raise StackBroken(leaf.registry, leaf.slug, walk.problems)
        return list(walk.found.values())[:-1]

    def find(self, registry: str, base: Base) -> tuple[Profile, Node]:
        """The profile that a reference in a profile of this registry means.

        Raises:
            NotFound, RowUnreadable: there is none that can be used.
        """
        key = (base.registry or registry, base.slug, base.pin)
        if key not in self._found:
            self._found[key] = self._read(key[0], base)
        return self._found[key]

    def _read(self, registry: str, base: Base) -> tuple[Profile, Node]:
        if self._registries is not None and registry not in self._registries:
            raise RegistryNotFound(registry)
        newest = self._newest(registry, base.slug)  # what is deleted cannot be used in any version
        if base.pin is None:
            profile = newest.profile() if isinstance(newest, StoredProfile) else newest
            return profile, self._node(profile)
        if registry in self._pending.registries:
            raise RevisionNotFound(registry, base.slug, base.pin)
        version = base.version if base.label is None else self._pointed(registry, base.slug, base.label)
        profile = usable_revision(self._store, registry, base.slug, version or 0).row(is_default=False).profile()
        return profile, (registry, base.slug, profile.metadata.version)

    def _newest(self, registry: str, slug: str) -> Profile | StoredProfile:
        if (registry, slug) in self._pending.profiles:
            pending = self._pending.profiles[registry, slug]
            if pending is None:
                raise ProfileNotFound(registry, slug)
            return pending
        self.seen[registry, slug, None] = None
        if registry in self._pending.registries:
            raise ProfileNotFound(registry, slug)
        row = require_profile(self._store, registry, slug)
        self.seen[registry, slug, None] = row.version
        return row

    def _pointed(self, registry: str, slug: str, label: str) -> int:
        version = self._pending.labels.get((registry, slug, label))
        if version is not None:
            return version
        found = self._store.labels.read(registry, slug, label)
        self.seen[registry, slug, label] = found.version if found else None
        if found is None:
            raise RevisionNotFound(registry, slug, label)
        return found.version

    def _node(self, profile: Profile) -> Node:
        pending = self._pending.profiles.get((profile.registry, profile.slug)) is profile
        return (profile.registry, profile.slug, _PENDING if pending else profile.metadata.version)


class _Walk:
    """One way through everything that a profile builds on."""

    def __init__(self, reader: StackReader) -> None:
        self._reader = reader
        self.found: dict[Node, Profile] = {}
        self.problems: list[Problem] = []
        self._heights: dict[Node, int] = {}

    def visit(self, profile: Profile, node: Node, path: list[tuple[Node, str]], name: str, field: str = EXTENDS) -> int:
        """Add a profile after what it builds on; how many build on one another from there on, itself included."""
        path = [*path, (node, name)]
        if len(path) > limits.MAX_STACK_DEPTH:
            self._refuse(field, f"more than {limits.MAX_STACK_DEPTH} profiles build on one another: {_told(path)}")
            return 1
        height = 0
        for index, base in enumerate(profile.runtime.extends or ()):
            where = field if len(path) > 1 else f"{EXTENDS}[{index}]"
            height = max(height, self._base(profile, base, path, where))
            if len(self.found) >= limits.MAX_STACK:
                self._refuse(EXTENDS, f"builds on {limits.MAX_STACK} profiles or more in all")
                break
        self.found[node] = profile
        self._heights[node] = height + 1
        return height + 1

    def _base(self, profile: Profile, base: Base, path: list[tuple[Node, str]], field: str) -> int:
        """Visit one base; how many build on one another from there on."""
        try:
            found, node = self._reader.find(profile.registry, base)
        except (NotFound, RowUnreadable) as error:
            part = f".{_part(error, base)}" if len(path) == 1 else ""
            through = f" (through {_told(path[1:])})" if len(path) > 1 else ""
            self._refuse(f"{field}{part}", f"{error}{through}")
            return 0
        name = f"{found.registry}/{Reference(found.slug, base.pin)}"
        ahead = next((index for index, (each, _) in enumerate(path) if each == node), None)
        if ahead is not None:
            self._refuse(field, f"goes round in a circle: {_told([*path[ahead:], (node, name)])}")
            return 0
        height = self._heights.get(node)
        if height is None:
            return self.visit(found, node, path, name, field)
        if len(path) + height > limits.MAX_STACK_DEPTH:
            reason = f"more than {limits.MAX_STACK_DEPTH} profiles build on one another: {_told([*path, (node, name)])}"
            self._refuse(field, reason)
        return height

    def _refuse(self, field: str, reason: str) -> None:
        if len(self.problems) < limits.MAX_EXTENDS and reason not in {each.reason for each in self.problems}:
            self.problems.append(Problem(field=field, reason=reason))


def _part(error: Exception, base: Base) -> str:
    """Which part of a reference leads nowhere."""
    if isinstance(error, RegistryNotFound) and base.registry:
        return "registry"
    if isinstance(error, RevisionNotFound) and base.pin is not None:
        return "label" if base.label is not None else "version"
    return "slug"


def _told(path: list[tuple[Node, str]]) -> str:
    names = [name for _, name in path]
    return " → ".join(names if len(names) <= 8 else [*names[:4], "…", *names[-3:]])
