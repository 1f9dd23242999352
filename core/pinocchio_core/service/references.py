"""Profiles that requests name, as they are now or as one of their versions was."""

from pinocchio_core.domain.references import Pin, parse_reference
from pinocchio_core.errors import NotFound, ProfileNotFound, RevisionNotFound, RowUnreadable
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.history import StoredRevision
from pinocchio_core.store.tables.rows import StoredProfile


def referenced_row(store: Store, registry: str, reference: str) -> StoredProfile:
    """The profile that a sound reference names, as it was in that version where it has one.

    Raises:
        RegistryNotFound, ProfileNotFound: there is no such profile now.
        RevisionNotFound: it has no such version or label, or that is a deletion.
        RowUnreadable: that version is damaged.
    """
    named = parse_reference(reference)
    if named.pin is None:
        return require_profile(store, registry, named.slug)
    is_default = store.history.is_default(registry, named.slug)
    if is_default is None:
        require_history(store, registry, named.slug)
        raise RevisionNotFound(registry, named.slug, named.pin, reason="the profile was deleted")
    return usable_revision(store, registry, named.slug, named.pin).row(is_default=is_default)


def is_there(store: Store, registry: str, reference: str) -> bool:
    """Whether a sound reference names what can be used."""
    try:
        referenced_row(store, registry, reference)
    except (NotFound, RowUnreadable):
        return False
    return True


def require_profile(store: Store, registry: str, slug: str) -> StoredProfile:
    """A profile as it is now.

    Raises:
        RegistryNotFound, ProfileNotFound: there is none.
    """
    row = store.profiles.read(registry, slug)
    if row is None:
        store.registries.head(registry)
        raise ProfileNotFound(registry, slug)
    return row


def require_history(store: Store, registry: str, slug: str) -> None:
    """Raise RegistryNotFound or ProfileNotFound where there never was a profile of this slug."""
    if not store.history.exists(registry, slug):
        require_profile(store, registry, slug)


def require_revision(store: Store, registry: str, slug: str, pin: Pin) -> StoredRevision:
    """One version of a profile, also of one that is deleted, and also a deletion.

    Raises:
        RegistryNotFound, ProfileNotFound: there never was such a profile.
        RevisionNotFound: it has no such version or label.
    """
    version = pin
    if isinstance(pin, str):
        label = store.labels.read(registry, slug, pin)
        version = label.version if label else 0
    found = store.history.read(registry, slug, int(version)) if version else None
    if found is None:
        require_history(store, registry, slug)
        raise RevisionNotFound(registry, slug, pin)
    return found


def usable_revision(store: Store, registry: str, slug: str, pin: Pin) -> StoredRevision:
    """As `require_revision`, and RevisionNotFound for a deletion too, of which no document is left."""
    found = require_revision(store, registry, slug, pin)
    if found.payload is None:
        raise RevisionNotFound(registry, slug, pin, reason="that version is a deletion")
    return found
