"""Planned changes of profiles: what is stored, what it will be, and how that is written.

A change looks at what is stored, outside of any transaction, because plugins are asked; then it is made inside one,
unless what it looked at has moved on. Each kind of change says what is checked in which order: 404, 403, 400 for what
only the stored profile shows, 409 and 412. `writes` carries them out, one or many in a transaction.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from msgspec import Struct

from pinocchio_core.domain.profile import Profile
from pinocchio_core.errors import (
    AlreadyExists,
    InUse,
    PreconditionFailed,
    Problem,
    ProfileReadOnly,
    RegistryNotFound,
    VersionConflict,
)
from pinocchio_core.service.checking.requests import CreateProfile
from pinocchio_core.service.checking.targets import Order
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.dependents import release, require_unused
from pinocchio_core.service.references import require_profile
from pinocchio_core.service.stack_checks import Change
from pinocchio_core.service.upkeep.health import RowHealth
from pinocchio_core.service.writing.conflicts import explain
from pinocchio_core.service.writing.drafts import drafted, stamped
from pinocchio_core.service.writing.outcomes import Op, Outcome
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import StoredProfile, readable


class Moved(Exception):
    """What a change looked at is not what is stored any more."""


class Means(Struct, frozen=True):
    """What changes are checked and made with."""

    store: Store
    validation: Validation
    health: RowHealth


class Planned(ABC):
    """A change of one profile."""

    op: ClassVar[Op]

    def __init__(self, means: Means, order: Order) -> None:
        self.order = order
        self._warnings: tuple[Problem, ...] = ()
        self._store, self._validation, self._health = means.store, means.validation, means.health

    @abstractmethod
    def look(self) -> None:
        """Check the change against what is stored; outside the transaction, and again whenever that has moved on."""

    def idle(self) -> Outcome | None:
        """What it comes to where `look` has found nothing to change."""
        return None

    def change(self) -> Change | None:
        """What becomes of the profile, after `look`; `None` where it stays what it is."""
        return None

    def warn(self, problems: Sequence[Problem]) -> None:
        """Tell of these too: they were wrong before."""
        self._warnings = tuple(dict.fromkeys((*self._warnings, *problems)))

    def recheck(self) -> None:  # noqa: B027  most kinds of changes notice when they write
        """Look again, inside the transaction and before any change in it, where `make` does not notice by itself."""

    def require_free(self) -> None:  # noqa: B027  most kinds of changes remove nothing
        """Check that nothing depends on what it removes; inside the transaction, right before `make`.

        Raises:
            Moved: what `look` has seen is not there any more.
            InUse, Forbidden: something does.
        """

    @abstractmethod
    def make(self) -> Outcome:
        """Write it, inside the transaction.

        Raises:
            Moved: what `look` has seen is not there any more.
        """

    def on(self, old: Profile) -> Profile | None:
        """What it would make of a stored profile, `None` for nothing."""
        del old
        return None

    def _changing(self, before: Profile | None, after: Profile | None) -> Change:
        order = self.order
        return Change(registry=order.registry, slug=order.slug, before=before, after=after, registries=order.registries)

    def _read(self) -> StoredProfile:
        row = require_profile(self._store, self.order.registry, self.order.slug)
        self._store.require_writable(self.order.registry)
        return row

    def _read_again(self, looked_at: StoredProfile) -> StoredProfile:
        row = self._store.profiles.read(self.order.registry, self.order.slug)
        if row is None or row.version != looked_at.version:
            raise Moved
        return row

    def _require_writable(self, row: StoredProfile) -> Profile | None:
        """The profile of a row that may be replaced and deleted, `None` where it is damaged; else ProfileReadOnly."""
        profile = readable(row)
        if profile and profile.policy.read_only:
            raise ProfileReadOnly(row.registry, row.slug)
        return profile

    def _require_expected(self, row: StoredProfile) -> None:
        try:
            row.require_version(self.order.expected_version)
            self.order.conditions.check(row)
        except (VersionConflict, PreconditionFailed) as error:
            explain(error, self._store, row, self.order, self.on)
            raise

    def _stamping(self, draft: Profile) -> Callable[[int, int], Profile]:
        author = self.order.author
        return lambda version, at_ms: stamped(
            draft, version=version, at_ms=at_ms, actor=author.actor, source=author.source
        )


class Creation(Planned):
    """A new profile."""

    op = "create"

    def __init__(self, means: Means, order: Order, request: CreateProfile) -> None:
        super().__init__(means, order)
        self._set_default = bool(request.set_default)
        self._draft = drafted(request, registry=order.registry, slug=order.slug, catalog=self._validation.catalog)
        self._allowed = False

    def look(self) -> None:
        """The registry is there, plugins have nothing against the profile, and the slug is free."""
        registry, slug = self.order.registry, self.order.slug
        self._store.registries.head(registry)
        self._store.require_writable(registry)
        if not self._allowed:
            self._validation.new(self._draft)
            self._allowed = True
        existing = self._store.profiles.read(registry, slug)
        self.order.conditions.check(existing)
        if existing:
            raise AlreadyExists(f'profile "{slug}" in registry "{registry}"', current=existing.current())
        if self.order.expected_version:
            raise VersionConflict(f'profile "{slug}"', expected=self.order.expected_version, actual=0)

    def change(self) -> Change:
        """Something new."""
        return self._changing(None, self._draft)

    def make(self) -> Outcome:
        """Add it, and make it the default where that was asked for."""
        registry, slug, author = self.order.registry, self.order.slug, self.order.author
        try:
            written = self._store.profiles.create(registry, slug, self._stamping(self._draft), author=author)
        except (AlreadyExists, RegistryNotFound) as error:
            raise Moved from error
        row = written.row
        if self._set_default:
            self._store.set_default(registry, slug, author=author)
            row = self._read()
        return Outcome(op=self.op, version=row.version, row=row, profile=written.profile)


class Deletion(Planned):
    """The end of a profile, also of one whose row is damaged."""

    op = "delete"

    def look(self) -> None:
        """The profile may be changed."""
        self._row = self._read()
        self._require_writable(self._row)
        self._require_expected(self._row)

    def change(self) -> Change:
        """Nothing is left."""
        return self._changing(readable(self._row), None)

    def require_free(self) -> None:
        """It is not the default of others, and no others depend on it."""
        registry, slug = self.order.registry, self.order.slug
        row = self._read_again(self._row)
        if row.is_default and self._store.profiles.count(registry) > 1:
            raise InUse(
                f'profile "{slug}" is the default of registry "{registry}", which has other profiles',
                next_step=f"make another one the default first, POST {{slug}}/default?registry={registry}",
            )
        author, seen = self.order.author, self.order.registries
        require_unused(self._store, registry, slug, author=author, force=self.order.force, seen=seen)

    def make(self) -> Outcome:
        """Remove what was looked at, and its labels."""
        row = self._read_again(self._row)
        release(self._store, self.order.registry, self.order.slug, author=self.order.author)
        version = self._store.delete_profile(row, author=self.order.author)
        return Outcome(op=self.op, version=version, row=row, before=row)


class DefaultChoice(Planned):
    """A profile as its registry's default; version and conditions are the registry's."""

    op = "set_default"

    def look(self) -> None:
        """Registry and profile are there, and the registry is the one that the client saw."""
        parent = self._store.registries.read(self.order.registry)
        row = self._read()
        parent.require_version(self.order.expected_version)
        self.order.conditions.check(parent)
        row.profile()  # a damaged profile is no default to fall back to

    recheck = look
    """The registry moves on with every profile in it, also by other changes of the same transaction."""

    def make(self) -> Outcome:
        """Choose it, where it is not chosen already."""
        before = self._read()
        if before.is_default:
            return Outcome(op=self.op, version=before.version, row=before, before=before, written=False)
        self._store.set_default(self.order.registry, self.order.slug, author=self.order.author)
        row = self._read()
        return Outcome(op=self.op, version=row.version, row=row, before=before, profile=readable(row))
