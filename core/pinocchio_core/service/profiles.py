"""Use cases of profiles: read, list, create, change, delete."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import structs

from pinocchio_core.domain.profile import Profile, same_content
from pinocchio_core.domain.slugs import parse_slug
from pinocchio_core.errors import (
    InUse,
    ProfileNotFound,
    ProfileReadOnly,
    RowUnreadable,
    StoreUnavailable,
    VersionConflict,
)
from pinocchio_core.host.host import Host
from pinocchio_core.plugin.types import ProfileChange
from pinocchio_core.service.drafts import changed, drafted, lifts_read_only, stamped
from pinocchio_core.service.health import RowHealth, disagreements
from pinocchio_core.service.requests import CreateProfile, PatchProfile, ReplaceProfile
from pinocchio_core.service.targets import Outcome, Target
from pinocchio_core.service.validation import Validation
from pinocchio_core.store.listing import Page, ProfileFilter
from pinocchio_core.store.profiles import Written
from pinocchio_core.store.registries import RegistryHead
from pinocchio_core.store.rows import Author, StoredProfile, readable
from pinocchio_core.store.scan import QUARANTINED
from pinocchio_core.store.store import Store


class ProfileService:
    """Profiles, checked and stored."""

    def __init__(self, store: Store, host: Host, health: RowHealth, *, default_registry: str) -> None:
        self._store = store
        self._host = host
        self._health = health
        self._validation = Validation(host)
        self.default_registry = default_registry

    def read(self, target: Target) -> StoredProfile:
        """One profile.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound: there is none by these names.
        """
        try:
            slug = parse_slug(target.slug or "")
            registry = (
                self.default_registry if target.registry is None else target.registry_slug(None, self.default_registry)
            )
        except ValueError:
            target.check()
            raise
        return self._read(registry, slug)

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
        return self._store.list_profiles(registry, head.default_profile_slug, wanted, states)

    def list_etag(self, registry: str, head: RegistryHead) -> str:
        """A validator of every list of a registry's profiles: the registry's, and what is known of its rows."""
        mark = self._health.findings.of(registry).mark
        return f'{head.etag[:-1]}-{mark:x}"' if mark else head.etag

    def create(self, target: Target, body: bytes, *, author: Author) -> StoredProfile:
        """Add the profile that `body` describes.

        Raises:
            InvalidRequest, RegistryNotFound, AlreadyExists, VersionConflict, PreconditionFailed, StoreUnavailable.
        """
        request = self._validation.request(body, CreateProfile, target=target)
        registry = target.registry_slug(request.registry, self.default_registry)
        slug, author = parse_slug(request.slug or ""), author.because(request.reason)
        self._store.registries.head(registry)
        draft = drafted(request, registry=registry, slug=slug, catalog=self._validation.catalog)
        self._validation.whole(draft, configs_too=False)
        with self._store.write():
            target.conditions.check(self._store.profiles.read(registry, slug))
            written = self._store.profiles.create(
                registry,
                slug,
                _stamping(draft, author),
                author=author,
                expected_version=request.expected_version or 0,
            )
            row = written.row
            if request.set_default:
                self._store.set_default(registry, slug, author=author)
                row = self._read(registry, slug)
        self._tell("create", written, author)
        return row

    def patch(self, target: Target, body: bytes, *, author: Author) -> Outcome:
        """Change a profile as `body` says; what is stored already is not written again.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, ProfileReadOnly, VersionConflict, PreconditionFailed,
            StoreUnavailable, RowUnreadable.
        """
        request = self._validation.request(body, PatchProfile, target=target)
        registry, slug = target.registry_slug(request.registry, self.default_registry), target.path_slug()
        author = author.because(request.reason)
        for _ in self._attempts():
            row = self._read(registry, slug)
            old = self._profile_of(row)
            draft = self._changed(old, request)
            _require_version(row, request.expected_version or 0)
            target.conditions.check(row)
            if same_content(draft, old):
                return Outcome(row, written=False)
            with self._store.write():
                written = self._store.profiles.replace(_stamping(draft, author), old=old, author=author)
            if written:
                self._tell("update", written, author)
                return Outcome(written.row, written=True)
        raise StoreUnavailable(f'profile "{slug}" is being changed by too many others at once')

    def replace(self, target: Target, body: bytes, *, author: Author) -> StoredProfile:
        """Put the profile that `body` describes in the place of a stored one, also of one whose row is damaged.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, ProfileReadOnly, VersionConflict, PreconditionFailed,
            StoreUnavailable.
        """
        request = self._validation.request(body, ReplaceProfile, target=target)
        registry, slug = target.registry_slug(request.registry, self.default_registry), target.path_slug()
        author = author.because(request.reason)
        _require_writable(self._read(registry, slug))
        draft = drafted(request, registry=registry, slug=slug, catalog=self._validation.catalog)
        self._validation.whole(draft, configs_too=False)
        with self._store.write():
            row = self._read(registry, slug)
            old = _require_writable(row)
            _require_version(row, request.expected_version or 0)
            target.conditions.check(row)
            written = self._store.profiles.overwrite(row, _stamping(_successor(draft, old), author), author=author)
        self._tell("update", written, author)
        return written.row

    def delete(self, target: Target, *, author: Author) -> None:
        """Remove a profile, also one whose row is damaged.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, ProfileReadOnly, InUse, VersionConflict,
            PreconditionFailed, StoreUnavailable.
        """
        target.check()
        registry, slug = target.registry_slug(None, self.default_registry), target.path_slug()
        author = author.because(target.reason)
        with self._store.write():
            row = self._read(registry, slug)
            _require_writable(row)
            _require_version(row, target.expected_version)
            target.conditions.check(row)
            if row.is_default and self._store.profiles.count(registry) > 1:
                raise InUse(
                    f'profile "{slug}" is the default of registry "{registry}", which has other profiles',
                    next_step=f"make another one the default first, POST {{slug}}/default?registry={registry}",
                )
            version = self._store.delete_profile(row, author=author)
        self._health.written(registry, slug)
        self._host.changed(
            ProfileChange(
                op="delete",
                registry=registry,
                slug=slug,
                version=version,
                actor=author.actor,
                at_ms=self._store.now_ms(),
            )
        )

    def _changed(self, old: Profile, request: PatchProfile) -> Profile:
        if old.policy.read_only:
            lifted = lifts_read_only(old, request)
            if lifted is None:
                raise ProfileReadOnly(old.registry, old.slug)
            self._validation.whole(lifted, configs_too=False)
            return lifted
        draft = changed(old, request, self._validation.catalog)
        self._validation.whole(draft, configs_too=request.runtime is not None or request.extensions is not None)
        return draft

    def _read(self, registry: str, slug: str) -> StoredProfile:
        row = self._store.profiles.read(registry, slug)
        if row is None:
            self._store.registries.head(registry)
            raise ProfileNotFound(registry, slug)
        return row

    def _profile_of(self, row: StoredProfile) -> Profile:
        try:
            profile = row.profile()
        except RowUnreadable:
            self._health.look(row)
            raise
        if disagreements(row, profile):
            raise row.unreadable("its document and its row do not agree on its names and version")
        return profile

    def _attempts(self) -> Iterator[int]:
        """Tries until the busy timeout: a change is checked outside the transaction, and made if nothing moved."""
        deadline = time.monotonic() + self._store.busy_timeout_ms / 1000
        attempt = 0
        while attempt == 0 or time.monotonic() < deadline:
            yield attempt
            attempt += 1

    def _tell(self, op: Any, written: Written, author: Author) -> None:
        profile = written.profile
        change = ProfileChange(
            op=op,
            registry=profile.registry,
            slug=profile.slug,
            version=profile.metadata.version,
            actor=author.actor,
            at_ms=profile.metadata.updated_at_ms,
            profile=profile,
        )
        self._health.written(profile.registry, profile.slug)
        self._host.changed(change)


def _stamping(draft: Profile, author: Author) -> Callable[[int, int], Profile]:
    return lambda version, at_ms: stamped(draft, version=version, at_ms=at_ms, actor=author.actor, source=author.source)


def _successor(draft: Profile, old: Profile | None) -> Profile:
    """The draft with what it inherits from the profile that it replaces, where that can be read."""
    if old is None:
        return draft
    return structs.replace(draft, metadata=structs.replace(old.metadata, tags=draft.metadata.tags))


def _require_writable(row: StoredProfile) -> Profile | None:
    """The profile of a row that may be replaced and deleted, `None` where it is damaged; else ProfileReadOnly."""
    profile = readable(row)
    if profile and profile.policy.read_only:
        raise ProfileReadOnly(row.registry, row.slug)
    return profile


def _require_version(row: StoredProfile, expected: int) -> None:
    if expected and expected != row.version:
        raise VersionConflict(f'profile "{row.slug}"', expected=expected, actual=row.version, current=row.current())
