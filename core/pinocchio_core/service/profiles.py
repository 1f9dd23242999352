"""Use cases of reading profiles: one, and the list of a registry."""

from collections.abc import Mapping

from msgspec import structs

from pinocchio_core.domain.slugs import parse_slug
from pinocchio_core.errors import RowUnreadable
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.kept import Kept
from pinocchio_core.service.references import referenced_row, require_profile
from pinocchio_core.service.upkeep.health import RowHealth
from pinocchio_core.service.whole_lists import WholeLists
from pinocchio_core.store.sqlite.blocking import about_to_block
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.store.tables.listing import Page
from pinocchio_core.store.tables.registries import RegistryHead
from pinocchio_core.store.tables.rows import StoredProfile
from pinocchio_core.store.tables.scan import QUARANTINED, RowState

PAGES, PAGE_BYTES = 16, 256 * 1024
"""How many pages are kept, and how long each may be."""
SHORT_PAGE = 100
"""The longest page that is a short read, where every profile is on one."""


class ProfileService:
    """Profiles as they are stored."""

    def __init__(self, store: Store, health: RowHealth, *, default_registry: str) -> None:
        self._store = store
        self._health = health
        self._totals: Kept[int] = Kept()
        """How many profiles a registry has in one of its versions; to count very many takes longer than a page."""
        self._pages: Kept[Page] = Kept(PAGES, fits=lambda page: len(page.document) <= PAGE_BYTES)
        """Those asked for last: one that has the same entity tag is the same page."""
        self._whole = WholeLists(store)
        self.default_registry = default_registry

    def read(self, target: Target) -> StoredProfile:
        """One profile, or one version of it where its slug says which.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound: there is none by these names.
            RowUnreadable: that version is damaged.
        """
        if target.problems_outside:
            target.check()
        try:
            slug = parse_slug(target.slug or "")
            registry = (
                self.default_registry
                if target.registry is None and target.registries is None
                else target.registry_slug(None, self.default_registry)
            )
        except ValueError:
            target.check()
            registry = target.registry_slug(None, self.default_registry)
            return referenced_row(self._store, registry, target.slug or "")
        return require_profile(self._store, registry, slug)

    def document(self, row: StoredProfile) -> bytes:
        """The document of a profile that was read.

        Raises:
            RowUnreadable: the row is damaged, which is remembered.
        """
        findings = self._health.findings
        if findings.by_registry:
            known = findings.known(row)
            if known and known.kind == QUARANTINED and self.state(row) == QUARANTINED:
                raise row.unreadable()
        try:
            return row.document
        except RowUnreadable:
            self._health.look(row)
            raise

    def state(self, row: StoredProfile) -> str | None:
        """QUARANTINED or INVALID, `None` for a row that is well, as it is now."""
        state = self._health.look(row)
        return None if state is None else state.kind

    def head(self, target: Target) -> tuple[str, RegistryHead]:
        """A registry's slug, and what changes whenever its list of profiles changes."""
        target.check()
        registry = target.registry_slug(None, self.default_registry)
        return registry, self._store.registries.head(registry)

    def list(self, registry: str, head: RegistryHead, wanted: ProfileFilter) -> Page:
        """The profiles of a registry that are wanted, by slug; its slug and head are from `head`."""
        states = self._health.findings.of(registry).states
        if wanted.takes_all and not states and (cut := self._whole.page(registry, head, wanted)):
            return cut
        seen = (registry, self.list_etag(registry, head, wanted), wanted, self._store.database.tally.reopened)
        return self._pages.get(seen, lambda: self._page(registry, head, wanted, states))

    def _page(self, registry: str, head: RegistryHead, wanted: ProfileFilter, states: Mapping[str, RowState]) -> Page:
        if wanted.limit is None or wanted.limit > SHORT_PAGE or not wanted.takes_all:
            about_to_block()
        if wanted.limit is not None and wanted.takes_all:
            seen = (registry, head, self._store.database.tally.reopened)
            wanted = structs.replace(wanted, total=self._totals.get(seen, lambda: self._count(registry)))
        page = self._store.list_profiles(registry, head.default_profile_slug, wanted, states)
        if wanted.takes_all:
            self._whole.was_read(registry, head, page)
        return page

    def _count(self, registry: str) -> int:
        about_to_block()
        return self._store.profiles.count(registry)

    def list_etag(self, registry: str, head: RegistryHead, wanted: ProfileFilter) -> str:
        """A validator of a list of a registry's profiles: the registry's, and what is known of its rows.

        Moves of labels do not change the registry, so that lists which ask for a label have a mark of these too.
        """
        mark = self._health.findings.of(registry).mark
        etag = f'{head.etag[:-1]}-{mark:x}"' if mark else head.etag
        return f'{etag[:-1]}-label-{self._store.labels.last_move()}"' if wanted.label else etag
