"""The planned change of going back: a version of a profile becomes its newest one, also where it was deleted."""

import sys
from typing import Final

from msgspec import structs

from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.references import Pin
from pinocchio_core.errors import AlreadyExists, InvalidRequest, Problem, RegistryNotFound, VersionConflict
from pinocchio_core.service.checking.requests import ReplaceProfile
from pinocchio_core.service.checking.targets import Order, Target
from pinocchio_core.service.references import require_revision
from pinocchio_core.service.stack_checks import Change
from pinocchio_core.service.writing.drafts import drafted
from pinocchio_core.service.writing.outcomes import Outcome
from pinocchio_core.service.writing.planned import Means, Moved, Planned
from pinocchio_core.store.tables.history import StoredRevision
from pinocchio_core.store.tables.profiles import Written
from pinocchio_core.store.tables.rows import StoredProfile

VERSION_IN_PATH: Final = "path.version"


class Restoration(Planned):
    """A version of a profile as its newest one; its document goes the way of one that is sent today."""

    op = "restore"

    def __init__(self, means: Means, order: Order, pin: Pin) -> None:
        super().__init__(means, order)
        self._pin = pin

    def look(self) -> None:
        """The version is there and no deletion, the profile may be changed, and nothing wrong is brought back.

        What was stored before there was a limit of the values of whole profiles may have more of them.
        """
        revision = require_revision(self._store, self.order.registry, self.order.slug, self._pin)
        self._row = self._store.profiles.read(self.order.registry, self.order.slug)
        if self._row is None:
            self._store.registries.head(self.order.registry)
        self._store.require_writable(self.order.registry)
        self._now = now = self._require_writable(self._row) if self._row else None
        then = self._then(revision)
        self._restored_from = revision.revision.version
        request = self._validation.request(
            revision.payload or b"", ReplaceProfile, target=Target(), stored=lambda _: now, max_nodes=sys.maxsize
        )
        new = drafted(request, registry=then.registry, slug=then.slug, catalog=self._validation.catalog)
        self._draft = _inheriting(new, now or then)
        if now is None:
            self._validation.new(self._draft, of_any_size=True)
        else:
            self._warnings = self._validation.change(self._draft, now, of_any_size=True)
        self._require_seen(self._row)

    def change(self) -> Change:
        """What was becomes what is."""
        return self._changing(self._now, self._draft)

    def make(self) -> Outcome:
        """Write it over what was looked at, or where there is nothing."""
        row = self._store.profiles.read(self.order.registry, self.order.slug)
        if (row and row.version) != (self._row and self._row.version):
            raise Moved
        written = self._written(row)
        return Outcome(
            op=self.op,
            version=written.row.version,
            row=written.row,
            before=row,
            profile=written.profile,
            warnings=self._warnings,
        )

    def on(self, old: Profile) -> Profile:
        """The version that is brought back, with what it inherits: who created it, and when."""
        return _inheriting(self._draft, old)

    def _then(self, revision: StoredRevision) -> Profile:
        then = revision.profile()
        if then is None:
            reason = f"version {revision.revision.version} is a deletion, which leaves nothing to restore"
            step = "restore the version before it, or DELETE the profile"
            raise InvalidRequest([Problem(field=VERSION_IN_PATH, reason=reason)], next_step=step)
        return then

    def _require_seen(self, row: StoredProfile | None) -> None:
        if row is not None:
            self._require_expected(row)
            return
        if self.order.expected_version:
            raise VersionConflict(f'profile "{self.order.slug}"', expected=self.order.expected_version, actual=0)
        self.order.conditions.check(None)

    def _written(self, row: StoredProfile | None) -> Written:
        stamping, profiles, author = self._stamping(self._draft), self._store.profiles, self.order.author
        if row is not None:
            return profiles.overwrite(row, stamping, author=author, restored_from=self._restored_from)
        registry, slug = self.order.registry, self.order.slug
        try:
            return profiles.create(registry, slug, stamping, author=author, restored_from=self._restored_from)
        except (AlreadyExists, RegistryNotFound) as error:
            raise Moved from error


def _inheriting(new: Profile, old: Profile) -> Profile:
    return structs.replace(new, metadata=structs.replace(old.metadata, tags=new.metadata.tags))
