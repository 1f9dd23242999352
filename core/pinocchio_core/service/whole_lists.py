"""Pages of the lists of profiles: read one by one, or cut from the whole list where all of it is asked for.

Whoever shows a list page by page, or to many people, asks for the same rows again and again while nothing changes.
Once as many rows of one version of a registry were read as it has profiles, the next read is of all of them, and pages
are cut from that as long as the registry stays what it is.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from pinocchio_core.store.sqlite.blocking import about_to_block
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.store.tables.listing import Page, WholeList
from pinocchio_core.store.tables.registries import RegistryHead

MOST_PROFILES: Final = 2000
MOST_BYTES: Final = 2 * 1024 * 1024
"""The longest list that is kept as a whole."""
MOST_REGISTRIES: Final = 4
"""Of how many registries it is."""


class _Asked:
    """What was asked for of one version of a registry."""

    def __init__(self, version: Hashable) -> None:
        self.version = version
        self.profiles = 0
        """How many it has, as far as pages say."""
        self.rows = 0
        self.bytes = 0
        """What was read of them."""
        self.is_damaged = False
        self.whole: WholeList | None = None

    @property
    def is_worth_a_whole_list(self) -> bool:
        """Whether reading all of it costs no more than what was read, and it will not be too long."""
        if self.is_damaged or not 0 < self.profiles <= min(self.rows, MOST_PROFILES):
            return False
        return self.profiles * self.bytes <= MOST_BYTES * self.rows


class WholeLists:
    """The whole lists of a few registries, of rows that are well."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, registry: str, head: RegistryHead, wanted: ProfileFilter) -> Page | None:
        """A page without conditions, `None` where it has to be read."""
        asked = self._of(registry, head)
        if asked.whole is None:
            if not asked.is_worth_a_whole_list:
                return None
            about_to_block()
            asked.whole = self._store.whole_list(registry, head.default_profile_slug)
            if asked.whole is None:
                asked.is_damaged = True
                return None
        return asked.whole.page(wanted)

    def was_read(self, registry: str, head: RegistryHead, page: Page) -> None:
        """Count a page that was read."""
        asked = self._of(registry, head)
        asked.profiles = len(page.slugs) if page.total is None else page.total
        asked.rows += len(page.slugs)
        asked.bytes += len(page.document)

    def _of(self, registry: str, head: RegistryHead) -> _Asked:
        version = (head, self._store.database.tally.reopened)
        asked = self._asked.get(registry)
        if asked is not None and asked.version == version:
            return asked
        with self._lock:
            asked = self._asked[registry] = _Asked(version)
            self._asked.move_to_end(registry)
            while len(self._asked) > MOST_REGISTRIES:
                self._asked.popitem(last=False)
        return asked
