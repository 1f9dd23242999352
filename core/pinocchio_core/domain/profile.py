"""A profile and what it is made of, as frozen values.

Optional fields are `None` when absent and are then left out of the JSON. `extensions` keeps each value as
the very bytes that were sent, because an extension of a plugin that is not installed must come back unchanged.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Raw, Struct


class MiddlewareUse(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One use of a middleware in a profile, in the order in which the chain runs."""

    name: str
    id: str | None = None
    enabled: bool | None = None
    """`None` and `True` both mean enabled; what was sent is what is kept."""

    @property
    def slot(self) -> str:
        """The key of this use's config in `middleware.<name>_config@vN` → `instances`."""
        return slot_of(self.id)


def slot_of(use_id: str | None) -> str:
    """The config slot of a use with this id, or of the one use without an id."""
    return f"id:{use_id}" if use_id else "default"


class Base(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A profile that another one builds on: as it is now, or one version of it."""

    registry: str | None = None
    """`None`: the registry of the profile that builds on it."""
    slug: str
    version: int | None = None
    label: str | None = None
    """Never with a version."""

    @property
    def pin(self) -> int | str | None:
        """Which version is meant, `None` for the newest one."""
        return self.version if self.label is None else self.label


class Runtime(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a chat turn runs with."""

    system_prompt: str | None = None
    middlewares: tuple[MiddlewareUse, ...] | None = None
    tools: tuple[str, ...] | None = None
    step_settings_patch: dict[str, dict[str, Any]] | None = None
    """Engine settings: section → field → value."""
    extends: tuple[Base, ...] | None = None
    """Each over those before it, and all of them under the profile itself."""


class Policy(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who may override or change what."""

    allow_overrides: bool
    read_only: bool
    allowed_override_keys: tuple[str, ...] | None = None
    """`None`: any key; present: only these; empty: none."""
    denied_override_keys: tuple[str, ...] | None = None


OPEN_POLICY = Policy(allow_overrides=False, read_only=False)


class Metadata(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the server knows about a profile; a client sets `tags` only."""

    version: int
    created_at_ms: int
    updated_at_ms: int
    created_by: str
    updated_by: str
    source: str
    tags: tuple[str, ...] | None = None


class Profile(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A stored profile."""

    registry: str
    slug: str
    display_name: str | None = None
    description: str | None = None
    runtime: Runtime
    policy: Policy
    metadata: Metadata
    extensions: dict[str, Raw] = msgspec.field(default_factory=dict)
    """Extension key → its value as JSON text; see `extension`."""

    def extension(self, key: str) -> Any:
        """The decoded value of one extension, or `None` where the profile does not have it."""
        raw = self.extensions.get(key)
        return None if raw is None else msgspec.json.decode(raw)

    def other_extensions(self) -> dict[str, Any]:
        """The decoded values of the extensions that hold no configs of middlewares, by key."""
        return {key: self.extension(key) for key in self.extensions if not key.startswith("middleware.")}

    def config_of(self, use: MiddlewareUse, *, version: int = 1) -> dict[str, Any]:
        """The stored config of one use of a middleware, empty where nothing is stored; defaults are not applied."""
        extension = self.extension(f"middleware.{use.name}_config@v{version}")
        instances = extension.get("instances") if isinstance(extension, dict) else None
        config = instances.get(use.slot) if isinstance(instances, dict) else None
        return config if isinstance(config, dict) else {}


class RegistryMetadata(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the server knows about a registry; version and time of the last write are columns of its row."""

    created_at_ms: int
    created_by: str
    updated_by: str
    source: str
    tags: tuple[str, ...] | None = None


class Registry(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A registry without its profiles, as `profile_registries.payload_json` keeps it."""

    slug: str
    display_name: str | None = None
    description: str | None = None
    default_profile_slug: str | None = None
    metadata: RegistryMetadata


_decode_profile = msgspec.json.Decoder(Profile).decode
_encode = msgspec.json.Encoder().encode


def _exact(number: str) -> Decimal | str:
    try:
        return Decimal(number)
    except InvalidOperation:  # its exponent is too long
        return number


_decode_exactly = msgspec.json.Decoder(float_hook=_exact).decode


def encode_document(value: Profile | Registry) -> bytes:
    """The document as JSON text, as it is stored and served."""
    return _encode(value)


def decode_profile(payload: bytes) -> Profile:
    """A profile from its stored document.

    Raises:
        msgspec.DecodeError: it is not JSON, or not a profile (`msgspec.ValidationError`).
    """
    return _decode_profile(payload)


def canonical_json(value: bytes | Raw) -> bytes:
    """The same JSON with sorted keys and no white space; types stay apart (`1`, `1.0` and `true` differ)."""
    return msgspec.json.encode(msgspec.json.decode(value), order="sorted")


def content_of(profile: Profile) -> dict[str, Any]:
    """The document as plain JSON values, without what the server itself says of it."""
    document: dict[str, Any] = msgspec.json.decode(encode_document(profile))
    document["metadata"] = {"tags": list(profile.metadata.tags)} if profile.metadata.tags else {}
    return document


def same_content(one: Profile, other: Profile) -> bool:
    """Whether two profiles mean the same, whatever their metadata apart from tags and however written."""
    parts, others = _parts(one), _parts(other)
    if parts != others or one.extensions.keys() != other.extensions.keys():
        return False
    # to Python `1`, `1.0` and `True` are equal, to JSON they are not
    return _canonical(parts) == _canonical(others) and all(
        _same_json(raw, other.extensions[key]) for key, raw in one.extensions.items()
    )


def _same_json(one: Raw, other: Raw) -> bool:
    if bytes(one) == bytes(other):
        return True
    # numbers that are the same float may still be two, with more digits than a float has
    return canonical_json(one) == canonical_json(other) and _decode_exactly(one) == _decode_exactly(other)


def _parts(profile: Profile) -> tuple[Any, ...]:
    return (profile.display_name, profile.description, profile.runtime, profile.policy, profile.metadata.tags)


def _canonical(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")
