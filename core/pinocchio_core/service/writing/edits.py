"""Planned changes of what a profile says: of some of its fields, or of the whole of it."""

from msgspec import structs

from pinocchio_core.domain.profile import Profile, same_content
from pinocchio_core.errors import Forbidden, ProfileReadOnly, RequestError, RowUnreadable
from pinocchio_core.service.checking.requests import PatchProfile, ReplaceProfile
from pinocchio_core.service.checking.targets import NO_CONDITIONS, Order
from pinocchio_core.service.stack_checks import Change
from pinocchio_core.service.upkeep.health import disagreements
from pinocchio_core.service.writing.drafts import changed, drafted, lifts_read_only
from pinocchio_core.service.writing.outcomes import Outcome
from pinocchio_core.service.writing.planned import Means, Moved, Planned
from pinocchio_core.store.tables.recent import Recent
from pinocchio_core.store.tables.rows import StoredProfile


class Patch(Planned):
    """Changes of the fields of a profile that a request has; what is stored already is not written again."""

    op = "update"

    def __init__(self, means: Means, order: Order, request: PatchProfile) -> None:
        super().__init__(means, order)
        self._request = request
        self._recent: Recent | None = None
        self._is_first_look = order.conditions == NO_CONDITIONS  # which may ask for the default, and that is not recent

    def look(self) -> None:
        """The profile can be read and may be changed, and the change brings in nothing that is wrong.

        The first look is at what this process wrote last of it, without a read. It counts where the change can be made
        from that: `make` notices what is out of date. Whatever is said against a change is said of what is stored.
        """
        is_first, self._is_first_look = self._is_first_look, False
        self._recent = self._recently() if is_first else None
        if self._recent is None:
            self._look_at(self._read())

    def _recently(self) -> Recent | None:
        registry, slug = self.order.registry, self.order.slug
        recent = self._store.profiles.recent(registry, slug)
        if recent is None or not self._health.is_well(registry, slug):
            return None
        try:
            self._store.require_writable(registry)
            self._look_at(recent.row)
        except (RequestError, RowUnreadable):
            return None
        stacked = self._old.runtime.extends or self._draft.runtime.extends  # which is judged later, with the others
        return None if self._same or stacked else recent

    def _look_at(self, row: StoredProfile) -> None:
        self._row = row
        self._old = self._profile_of(self._row)
        self._draft = self.on(self._old)
        self._warnings = self._validation.change(self._draft, self._old)
        self._require_expected(self._row)
        self._same = same_content(self._draft, self._old)

    def idle(self) -> Outcome | None:
        """The profile as it is, where the request asks for nothing else."""
        return self._unchanged(self._row) if self._same else None

    def change(self) -> Change | None:
        """The fields of the request."""
        return None if self._same else self._changing(self._old, self._draft)

    def make(self) -> Outcome:
        """Write it over what was looked at."""
        if self._same:
            return self._unchanged(self._read_again(self._row))
        written = self._store.profiles.replace(
            self._stamping(self._draft), old=self._old, author=self.order.author, recent=self._recent
        )
        if written is None:
            raise Moved
        return Outcome(
            op=self.op,
            version=written.row.version,
            row=written.row,
            before=structs.replace(self._row, is_default=written.row.is_default),
            profile=written.profile,
            warnings=self._warnings,
        )

    def on(self, old: Profile) -> Profile:
        """The profile with the fields of the request; ProfileReadOnly where it takes no changes."""
        if not old.policy.read_only:
            return changed(old, self._request, self._validation.catalog)
        lifted = lifts_read_only(old, self._request, self._validation.catalog)
        if lifted is None:
            raise ProfileReadOnly(old.registry, old.slug)
        if not self.order.author.admin:
            raise Forbidden(f'profile "{old.slug}" is read-only, and only an administrator may change that')
        return lifted

    def _unchanged(self, row: StoredProfile) -> Outcome:
        return Outcome(
            op=self.op,
            version=row.version,
            row=row,
            before=row,
            profile=self._old,
            written=False,
            warnings=self._warnings,
        )

    def _profile_of(self, row: StoredProfile) -> Profile:
        try:
            profile = row.profile()
        except RowUnreadable:
            self._health.look(row)
            raise
        if disagreements(row, profile):
            raise row.unreadable("its document and its row do not agree on its names and version")
        return profile


class Replacement(Planned):
    """A whole profile in the place of a stored one, also of one whose row is damaged."""

    op = "replace"

    def __init__(self, means: Means, order: Order, request: ReplaceProfile) -> None:
        super().__init__(means, order)
        self._new = drafted(request, registry=order.registry, slug=order.slug, catalog=self._validation.catalog)
        self._old: Profile | None = None

    def look(self) -> None:
        """The profile may be changed, and the new one brings in nothing that is wrong."""
        self._row = self._read()
        self._old = old = self._require_writable(self._row)
        if old is None:
            self._draft = self._new
            self._validation.new(self._draft)
        else:
            self._draft = self.on(old)
            self._warnings = self._validation.change(self._draft, old)
        self._require_expected(self._row)

    def change(self) -> Change:
        """The whole of it."""
        return self._changing(self._old, self._draft)

    def make(self) -> Outcome:
        """Write it over what was looked at."""
        row = self._read_again(self._row)
        written = self._store.profiles.overwrite(row, self._stamping(self._draft), author=self.order.author)
        return Outcome(
            op=self.op,
            version=written.row.version,
            row=written.row,
            before=row,
            profile=written.profile,
            warnings=self._warnings,
        )

    def on(self, old: Profile) -> Profile:
        """The new profile with what it inherits: who created it, and when."""
        metadata = structs.replace(old.metadata, tags=self._new.metadata.tags)
        return structs.replace(self._new, metadata=metadata)
