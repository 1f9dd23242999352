"""Use cases of the history: which versions a profile had, each one as it was, and what is different between two."""

import hashlib
from typing import Any, Final

import msgspec
from msgspec import Struct

from pinocchio_core.domain.diffs import patch_between
from pinocchio_core.domain.references import Pin, parse_pin
from pinocchio_core.domain.unified import unified_diff
from pinocchio_core.errors import InvalidRequest
from pinocchio_core.service.checking.names import pin_problems
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.references import require_history, require_revision
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.history import StoredRevision

PAGE: Final = 100
"""Revisions on a page where nothing else is asked for."""


class RevisionPage(Struct, frozen=True):
    """Some revisions of a profile, the newest first."""

    registry: str
    slug: str
    document: list[dict[str, Any]]
    more: bool
    """Whether there are older ones."""


class HistoryService:
    """What was done to profiles, also to those that are deleted."""

    def __init__(self, store: Store, *, default_registry: str) -> None:
        self._store = store
        self.default_registry = default_registry

    def page(self, target: Target, *, before: int | None = None, limit: int = PAGE) -> RevisionPage:
        """The revisions of a profile below the version `before`.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound.
        """
        registry, slug = self._names(target)
        found = self._store.history.page(registry, slug, before=before, limit=limit + 1)
        if not found:
            require_history(self._store, registry, slug)
        labels = self._store.labels.by_version(registry, slug)
        told = [each.told(labels.get(each.version, [])) for each in found[:limit]]
        return RevisionPage(registry, slug, told, len(found) > limit)

    def read(self, target: Target, version: str) -> tuple[bytes, str]:
        """One revision as JSON, by its version or a label, and its entity tag.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound, RowUnreadable.
        """
        registry, slug = self._names(target, ("path.version", version))
        found = require_revision(self._store, registry, slug, parse_pin(version))
        labels = self._store.labels.by_version(registry, slug)
        told = {"registry": registry, "slug": slug, **found.revision.told(labels.get(found.revision.version, []))}
        document = found.document()
        answer = msgspec.json.encode(told if document is None else told | {"document": document})
        return answer, f'"{found.revision.version}-{hashlib.sha256(answer).hexdigest()[:16]}"'

    def diff(self, target: Target, *, older: str | None, newer: str | None) -> dict[str, Any]:
        """What makes `newer` of `older`, each a version or a label: by default the newest one, and the one before.

        What the server itself writes into metadata is left out. A deletion, and what was before the first version,
        count as an empty document.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound, RowUnreadable.
        """
        sent = (("query.from", older), ("query.to", newer))
        registry, slug = self._names(target, *((field, value) for field, value in sent if value is not None))
        after = require_revision(self._store, registry, slug, self._newest(registry, slug, newer))
        before = self._before(after, older)
        from_version = before.revision.version if before else 0
        documents = (_comparable(before), _comparable(after))
        names = (f"{slug}@{from_version}", f"{slug}@{after.revision.version}")
        return {
            "from": from_version,
            "to": after.revision.version,
            "patch": patch_between(*documents),
            "text": unified_diff(*documents, names=names),
        }

    def _newest(self, registry: str, slug: str, sent: str | None) -> Pin:
        if sent is not None:
            return parse_pin(sent)
        newest = self._store.history.last_before(registry, slug)
        if newest is None:
            require_history(self._store, registry, slug)
        return newest or 1

    def _before(self, after: StoredRevision, sent: str | None) -> StoredRevision | None:
        registry, slug = after.registry, after.slug
        if sent is not None:
            return require_revision(self._store, registry, slug, parse_pin(sent))
        version = self._store.history.last_before(registry, slug, after.revision.version)
        return None if version is None else self._store.history.read(registry, slug, version)

    def _names(self, target: Target, *pins: tuple[str, str]) -> tuple[str, str]:
        problems = [*target.problems(), *(each for pin in pins for each in pin_problems(*pin))]
        if problems:
            raise InvalidRequest(problems)
        return target.registry_slug(None, self.default_registry), target.path_slug()


def _comparable(stored: StoredRevision | None) -> dict[str, Any]:
    document = stored.document() if stored else None
    if document is None:
        return {}
    content: dict[str, Any] = msgspec.json.decode(document)
    tags = content.pop("metadata").get("tags")
    return content if tags is None else content | {"metadata": {"tags": tags}}
