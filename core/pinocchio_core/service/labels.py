"""Use cases of labels: names that point to versions of profiles, and where they pointed before."""

from typing import Any

import msgspec
from msgspec import Struct

from pinocchio_core.domain import limits
from pinocchio_core.domain.references import parse_label
from pinocchio_core.errors import Forbidden, InvalidRequest, Problem, RevisionNotFound, VersionConflict
from pinocchio_core.service.checking.names import label_problems
from pinocchio_core.service.checking.requests import PutLabel
from pinocchio_core.service.checking.targets import Target, checked
from pinocchio_core.service.dependents import require_unused
from pinocchio_core.service.references import require_profile, usable_revision
from pinocchio_core.service.stack_checks import StackChecks
from pinocchio_core.service.writing.outcomes import trial
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.labels import StoredLabel
from pinocchio_core.store.tables.rows import Author

IN_PATH = "path.label"


class LabelOutcome(Struct, frozen=True):
    """What a request for a label came to."""

    before: StoredLabel | None
    """What it was, `None` where there was none."""
    after: StoredLabel | None
    """What it is now, or would be; `None` where it was removed."""
    dry_run: bool

    @property
    def written(self) -> bool:
        """Whether anything was changed."""
        return not self.dry_run and self.before != self.after

    @property
    def trial(self) -> dict[str, Any]:
        """What the answer is where it was only tried."""
        before, after = (msgspec.json.encode(each) if each else None for each in (self.before, self.after))
        return trial(before, after)


class LabelService:
    """Labels of profiles. Those that are protected are moved, made free and removed by admins only."""

    def __init__(self, store: Store, stacks: StackChecks, *, default_registry: str) -> None:
        self._store = store
        self._stacks = stacks
        self.default_registry = default_registry

    def all(self, target: Target) -> list[dict[str, Any]]:
        """Every label of a profile, by name.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound.
        """
        target.check()
        registry, slug = target.registry_slug(None, self.default_registry), target.path_slug()
        require_profile(self._store, registry, slug)
        return [label_document(each) for each in self._store.labels.of_profile(registry, slug)]

    def read(self, target: Target, label: str) -> tuple[dict[str, Any], str]:
        """One label with where it pointed, the newest move first, and its entity tag.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound.
        """
        registry, slug, label = self._names(target, label)
        found = self._require(registry, slug, label)
        moves = self._store.labels.moves(registry, slug, label, limit=limits.MAX_PAGE)
        return label_document(found) | {"moves": [move.told() for move in moves]}, found.etag

    def put(self, target: Target, label: str, body: bytes, *, author: Author) -> LabelOutcome:
        """Let a label point to a version; what is so already is not written again.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound, Forbidden, RowUnreadable, InUse,
            VersionConflict, PreconditionFailed, StoreUnavailable.
        """
        request = checked(body, PutLabel, target, also=lambda tree: [*label_problems(IN_PATH, label), *_missing(tree)])
        registry, slug = target.registry_slug(request.registry, self.default_registry), target.path_slug()
        label, version = parse_label(label), request.version or 0
        with self._store.write(dry_run=target.dry_run):
            require_profile(self._store, registry, slug)
            self._store.require_writable(registry)
            usable_revision(self._store, registry, slug, version).profile()
            old = self._store.labels.read(registry, slug, label)
            self._require_allowed(old, author)
            self._require_room(registry, slug, old)
            self._require_version(registry, slug, label, old, request.expected_version or 0)
            target.conditions.check(old)
            protected = old is not None and old.protected if request.protected is None else request.protected
            author, new = author.because(request.reason), old
            if old is None or (old.version, old.protected) != (version, protected):
                if old and old.version != version:
                    self._stacks.require_label_free(registry, slug, label, version, seen=target.registries)
                new = self._store.labels.put(
                    registry, slug, label, version, protected=protected, author=author, old=old
                )
                self._stacks.keep_following(registry, slug, label)
        return LabelOutcome(old, new, target.dry_run)

    def delete(self, target: Target, label: str, *, author: Author) -> LabelOutcome:
        """Remove a label; where it pointed stays known.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound, Forbidden, InUse, VersionConflict,
            PreconditionFailed, StoreUnavailable.
        """
        registry, slug, label = self._names(target, label)
        with self._store.write(dry_run=target.dry_run):
            old = self._require(registry, slug, label)
            self._require_allowed(old, author)
            self._require_version(registry, slug, label, old, target.expected_version)
            target.conditions.check(old)
            require_unused(
                self._store, registry, slug, label=label, force=target.force, author=author, seen=target.registries
            )
            self._store.labels.remove(old, author=author.because(target.reason))
        return LabelOutcome(old, None, target.dry_run)

    def _names(self, target: Target, label: str) -> tuple[str, str, str]:
        problems = [*target.problems(), *label_problems(IN_PATH, label)]
        if problems:
            raise InvalidRequest(problems)
        return target.registry_slug(None, self.default_registry), target.path_slug(), parse_label(label)

    def _require(self, registry: str, slug: str, label: str) -> StoredLabel:
        found = self._store.labels.read(registry, slug, label)
        if found is None:
            require_profile(self._store, registry, slug)
            raise RevisionNotFound(registry, slug, label)
        return found

    def _require_allowed(self, old: StoredLabel | None, author: Author) -> None:
        if old and old.protected and not author.admin:
            raise Forbidden(
                f'the label "{old.label}" of profile "{old.slug}" is protected, so only an admin changes it'
            )

    def _require_room(self, registry: str, slug: str, old: StoredLabel | None) -> None:
        if old is None and len(self._store.labels.of_profile(registry, slug)) >= limits.MAX_LABELS:
            reason = f"the profile has {limits.MAX_LABELS} labels already, which is the most that it may have"
            raise InvalidRequest([Problem(field=IN_PATH, reason=reason)])

    def _require_version(self, registry: str, slug: str, label: str, old: StoredLabel | None, expected: int) -> None:
        actual = old.version if old else 0
        if expected and expected != actual:
            what = f'label "{label}" of profile "{slug}" in registry "{registry}"'
            raise VersionConflict(what, expected=expected, actual=actual, current=old.current() if old else None)


def label_document(label: StoredLabel) -> dict[str, Any]:
    """A label as JSON."""
    document: dict[str, Any] = msgspec.to_builtins(label)
    return document


def _missing(tree: dict[str, Any]) -> list[Problem]:
    if tree.get("version") is not None:
        return []
    return [Problem(field="version", reason="missing; it is the version that the label is to point to")]
