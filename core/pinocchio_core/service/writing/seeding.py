"""Filling a new store: the default registry, with the profiles that plugins bring."""

import msgspec

from pinocchio_core.domain.profile import Profile, Registry, RegistryMetadata
from pinocchio_core.domain.slugs import parse_slug
from pinocchio_core.errors import HookFailed, InvalidRequest, Problem
from pinocchio_core.host.host import Host
from pinocchio_core.host.records import PluginRecord
from pinocchio_core.plugin.types import ProfileSeed
from pinocchio_core.service.checking.names import EXTENDS
from pinocchio_core.service.checking.requests import CreateProfile
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.writing.drafts import drafted, stamped
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import Author

SOURCE = "bootstrap"


def fill(store: Store, host: Host, *, registry: str, strict: bool) -> bool:
    """Create the default registry with its first profiles, where the database has no row for it; once in its life.

    Who deletes every profile later does not get them back. A plugin whose seed is not sound fails. Returns whether
    anything was created.

    Raises:
        PluginsFailed: `strict`, and a seed is not sound; nothing was written.
    """
    if store.database.read_only or store.registries.exists(registry):
        return False
    drafts = _drafts(host, registry)
    if strict:
        host.require_sound()
    default = "default" if "default" in drafts else min(drafts, default=None)
    author = Author(actor="pinocchio", source=SOURCE)
    metadata = RegistryMetadata(
        created_at_ms=store.now_ms(), created_by=author.actor, updated_by=author.actor, source=author.source
    )
    with store.write():
        if store.registries.exists(registry):
            return False  # another process was faster
        store.registries.insert(Registry(slug=registry, default_profile_slug=default, metadata=metadata), author)
        for slug, (record, draft) in sorted(drafts.items()):
            actor = f"{record.distribution} {record.version}"
            _insert(store, registry, slug, draft, Author(actor=actor, source=SOURCE))
    return True


def check_seeds(host: Host, *, registry: str) -> None:
    """Find fault with plugins whose bootstrap profiles are not sound; writes nothing."""
    _drafts(host, registry)


def _insert(store: Store, registry: str, slug: str, draft: Profile, author: Author) -> None:
    def make(version: int, at_ms: int) -> Profile:
        return stamped(draft, version=version, at_ms=at_ms, actor=author.actor, source=author.source)

    store.profiles.create(registry, slug, make, author=author)


def _drafts(host: Host, registry: str) -> dict[str, tuple[PluginRecord, Profile]]:
    drafts: dict[str, tuple[PluginRecord, Profile]] = {}
    for record, seed in host.seeds():
        try:
            draft = _draft(host, registry, seed)
        except (InvalidRequest, TypeError, msgspec.MsgspecError) as error:
            host.fail(record, f'its profile "{seed.slug}" is not sound: {error}')
            continue
        if draft.slug in drafts:
            owner = drafts[draft.slug][0]
            host.fail(record, f'profile "{draft.slug}" comes from {owner.source} and from {record.source}')
            continue
        drafts[draft.slug] = (record, draft)
    failed = {record.name for record in host.faults}
    return {slug: draft for slug, draft in drafts.items() if draft[0].name not in failed}


def _draft(host: Host, registry: str, seed: ProfileSeed) -> Profile:
    validation = Validation(host)
    body = msgspec.json.encode({**seed.document, "slug": seed.slug})
    request = validation.request(body, CreateProfile, target=Target())
    if request.runtime and request.runtime.extends:
        reason = "is not for profiles that plugins bring: what they would build on may be another plugin's"
        raise InvalidRequest([Problem(field=EXTENDS, reason=reason)])
    slug = parse_slug(request.slug or "")
    draft = drafted(request, registry=registry, slug=slug, catalog=validation.catalog)
    while True:
        try:
            validation.new(draft)
        except HookFailed as error:
            # whose hook cannot check profiles is at fault, not who brings them
            host.fail(next(each for each in host.records if each.source == error.plugin), str(error))
        else:
            return draft
