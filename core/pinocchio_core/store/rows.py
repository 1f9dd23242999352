"""Rows of the database as values, and values as rows: where documents meet columns."""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from pinocchio_core.domain.profile import Profile, decode_profile, encode_document
from pinocchio_core.errors import RowUnreadable

PROFILE_COLUMNS = (
    "registry_slug, slug, version, updated_at_ms, display_name, description, default_prompt,"
    " tags_json, extensions_json, payload_sha256, payload_json"
)


@dataclass(frozen=True)
class Author:
    """Who writes, through what, and why; kept with every revision."""

    actor: str
    source: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile's row: the document ready to serve, and what the store knows besides."""

    registry: str
    slug: str
    payload: bytes
    sha256: str
    version: int
    is_default: bool

    @property
    def _name(self) -> str:
        return f'profile "{self.slug}" in registry "{self.registry}"'

    @property
    def etag(self) -> str:
        """A strong validator of `document`: it changes with the content and with the default."""
        return f'"{self.version}-{self.sha256[:16]}{"-default" if self.is_default else ""}"'

    @property
    def document(self) -> bytes:
        """The profile as JSON, with `is_default`.

        Raises:
            RowUnreadable: the payload is not what was written.
        """
        payload = self.payload
        if hashlib.sha256(payload).hexdigest() != self.sha256:
            raise RowUnreadable(self._name, "its payload does not match its checksum")
        return payload[:-1] + (b',"is_default":true}' if self.is_default else b',"is_default":false}')

    def profile(self) -> Profile:
        """The profile as a value.

        Raises:
            RowUnreadable: the payload is not what was written, or is not a profile.
        """
        if hashlib.sha256(self.payload).hexdigest() != self.sha256:
            raise RowUnreadable(self._name, "its payload does not match its checksum")
        try:
            return decode_profile(self.payload)
        except msgspec.DecodeError as error:
            raise RowUnreadable(self._name, f"it is not a profile: {error}") from error


def readable(row: StoredProfile) -> Profile | None:
    """The profile of a row, `None` where the row is damaged."""
    try:
        return row.profile()
    except RowUnreadable:
        return None


def stored(profile: Profile, *, is_default: bool) -> StoredProfile:
    """A profile as its row will be."""
    payload = encode_document(profile)
    digest = hashlib.sha256(payload).hexdigest()
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
        profile.runtime.system_prompt,
        _json(profile.metadata.tags),
        _json(profile.extensions),
        row.sha256,
        row.payload.decode(),
    )


def _json(value: Any) -> str | None:
    return msgspec.json.encode(value).decode() if value else None
