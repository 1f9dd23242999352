"""Rows of the database as values, and values as rows: where documents meet columns."""

import hashlib
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from pinocchio_core.domain.profile import Profile, decode_profile, encode_document
from pinocchio_core.domain.slugs import trim
from pinocchio_core.errors import RowUnreadable, VersionConflict

PROFILE_COLUMNS = (
    "registry_slug, slug, version, updated_at_ms, display_name, description, tags_json, item_json,"
    " payload_sha256, payload_json"
)


UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a damaged payload raises."""


class ListItem(Struct, frozen=True, omit_defaults=True):
    """A profile in a list, as `item_json` keeps it; `is_default` is added when it is read."""

    slug: str
    version: int
    display_name: str | None = None
    description: str | None = None
    default_prompt: str | None = None
    extensions: dict[str, Raw] = msgspec.field(default_factory=dict)


class Author(Struct, frozen=True):
    """Who writes, through what, and why; kept with every revision."""

    actor: str
    source: str
    reason: str | None = None
    admin: bool = True
    """Whether what only admins may do is theirs to do; everybody's where there are no tokens."""

    def because(self, *reasons: str | None) -> "Author":
        """The same one with the first reason that is more than white space, if there is one."""
        given = next((text for reason in reasons if (text := trim(reason or ""))), None)
        return self if given is None else structs.replace(self, reason=given)


class StoredProfile(Struct, frozen=True):
    """A profile's row: the document ready to serve, and what the store knows besides."""

    registry: str
    slug: str
    payload: bytes
    sha256: str
    version: int
    is_default: bool
    is_past: bool = False
    """Whether it is a version from the history, whatever the profile is now."""

    def unreadable(self, reason: str = "it is not a profile") -> RowUnreadable:
        """The exception for this row."""
        return RowUnreadable(self._name, reason)

    @property
    def _name(self) -> str:
        return f'profile "{self.slug}" in registry "{self.registry}"'

    @property
    def etag(self) -> str:
        """A strong validator of `document`: it changes with the content and with the default."""
        return etag_of(self.version, self.sha256, is_default=self.is_default)

    def current(self) -> dict[str, Any]:
        """What a client whose change comes too late is told of it."""
        profile = readable(self)
        if profile is None:
            return {"version": self.version}
        metadata = profile.metadata
        return {"version": self.version, "updated_at_ms": metadata.updated_at_ms, "updated_by": metadata.updated_by}

    def require_version(self, expected: int) -> None:
        """Raise VersionConflict where a client expects another version; 0 is unchecked."""
        if expected and expected != self.version:
            raise VersionConflict(
                f'profile "{self.slug}"', expected=expected, actual=self.version, current=self.current()
            )

    @property
    def document(self) -> bytes:
        """The profile as JSON, with `is_default`.

        Raises:
            RowUnreadable: the payload is not what was written.
        """
        payload = self.payload
        if checksum(payload) != self.sha256:
            raise self.unreadable("its payload does not match its checksum")
        beginning = f'{{"registry":"{self.registry}","slug":"{self.slug}",'
        if not payload.startswith(beginning.encode()) or payload[-1:] != b"}":
            profile = self.profile()
            if (profile.registry, profile.slug) != (self.registry, self.slug):
                raise self.unreadable("it is that of another profile")  # a damaged index leads to other rows
            payload = encode_document(profile)  # one that another program wrote
        return payload[:-1] + (b',"is_default":true}' if self.is_default else b',"is_default":false}')

    def profile(self) -> Profile:
        """The profile as a value.

        Raises:
            RowUnreadable: the payload is not what was written, or is not a profile.
        """
        if checksum(self.payload) != self.sha256:
            raise self.unreadable("its payload does not match its checksum")
        try:
            return decode_profile(self.payload)
        except UNDECODABLE as error:
            raise self.unreadable(f"it is not a profile: {error}") from error


def etag_of(version: int, sha256: str, *, is_default: bool) -> str:
    """The validator of a version of a profile."""
    return f'"{version}-{sha256[:16]}{"-default" if is_default else ""}"'


def readable(row: StoredProfile) -> Profile | None:
    """The profile of a row, `None` where the row is damaged."""
    try:
        return row.profile()
    except RowUnreadable:
        return None


def checksum(payload: bytes) -> str:
    """SHA-256 of a payload, in hexadecimal.

    In pieces below 2,048 bytes, from where on `hashlib` lets other threads run: with many threads that costs a read
    ten times what the sum itself does.
    """
    digest = hashlib.sha256()
    for start in range(0, len(payload), 2047):
        digest.update(payload[start : start + 2047])
    return digest.hexdigest()


def stored(profile: Profile, *, is_default: bool) -> StoredProfile:
    """A profile as its row will be."""
    payload = encode_document(profile)
    digest = checksum(payload)
    return StoredProfile(profile.registry, profile.slug, payload, digest, profile.metadata.version, is_default)


def profile_values(profile: Profile, row: StoredProfile) -> tuple[Any, ...]:
    """The values of PROFILE_COLUMNS for a profile and its row."""
    return (
        profile.registry,
        profile.slug,
        profile.metadata.version,
        profile.metadata.updated_at_ms,
        profile.display_name,
        profile.description,
        msgspec.json.encode(profile.metadata.tags).decode() if profile.metadata.tags else None,
        msgspec.json.encode(_item(profile)).decode(),
        row.sha256,
        row.payload.decode(),
    )


def _item(profile: Profile) -> ListItem:
    return ListItem(
        profile.slug,
        profile.metadata.version,
        profile.display_name,
        profile.description,
        profile.runtime.system_prompt,
        profile.extensions,
    )
