"""The original program's layout: one row a registry, with all of its profiles in `payload_json`.

`split_registries` moves such rows into today's tables (storage contract, "Tables"); `original` writes them back.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from pinocchio_core.domain import limits
from pinocchio_core.domain.configs import SentUse, stored_form
from pinocchio_core.domain.profile import (
    Metadata,
    Policy,
    Profile,
    Registry,
    RegistryMetadata,
    Runtime,
    encode_document,
)
from pinocchio_core.domain.slugs import fold, middleware_key, parse_extension_key, parse_slug, trim
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.rows import PROFILE_COLUMNS, Author, profile_values, stored

IMPORTED = Author(actor="pinocchio", source="legacy-import")

_LEGACY = (
    "SELECT CAST(slug AS TEXT), coalesce(CAST(payload_json AS BLOB), x''), CAST(updated_at_ms AS INTEGER)"
    " FROM legacy_profile_registries"
)
_INSERT_REGISTRY = (
    "INSERT INTO profile_registries (slug, payload_json, updated_at_ms, version, default_profile_slug)"
    " VALUES (?, ?, ?, ?, ?)"
)
_INSERT_PROFILE = f"INSERT INTO profiles ({PROFILE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_REVISION = (
    "INSERT INTO profile_revisions (registry_slug, slug, version, op, payload_json, actor, source, at_ms)"
    " VALUES (?, ?, ?, 'import', ?, ?, ?, ?)"
)

_STAYS = "was not taken over, it stays in legacy_profile_registries"
_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
_Integer = Annotated[int, Meta(ge=0, lt=2**62)]
"""Room to count on within SQLite's 64 bits."""


class _Metadata(Struct):
    version: _Integer = 0
    created_at_ms: _Integer = 0
    updated_at_ms: _Integer = 0
    created_by: str = ""
    updated_by: str = ""
    source: str = ""
    tags: list[str] | None = None


class _Policy(Struct):
    allow_overrides: bool = False
    read_only: bool = False
    allowed_override_keys: tuple[str, ...] | None = None
    denied_override_keys: tuple[str, ...] | None = None


class _Runtime(Struct):
    system_prompt: str | None = None
    middlewares: list[SentUse] | None = None
    tools: tuple[str, ...] | None = None
    step_settings_patch: dict[str, dict[str, Any]] | None = None
    extends: Any = None
    """The original program has none; what this one exports may."""


class _Profile(Struct):
    slug: str = ""
    display_name: str | None = None
    description: str | None = None
    runtime: _Runtime = msgspec.field(default_factory=_Runtime)
    policy: _Policy = msgspec.field(default_factory=_Policy)
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    extensions: dict[str, Raw] | None = None


class _Registry(Struct):
    slug: str = ""
    display_name: str | None = None
    description: str | None = None
    default_profile_slug: str = ""
    profiles: dict[str, Raw] | None = None
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Split(Struct, frozen=True):
    """One registry, taken apart."""

    registry: Registry
    version: int
    profiles: list[Profile]


def split_registries(database: Database, *, now_ms: int) -> list[str]:
    """Move every row of `legacy_profile_registries` into today's tables; the rows themselves stay.

    Returns notices on what was repaired, and on what could not be read and is only in the legacy table.
    """
    notices: list[str] = []
    taken: set[str] = set()
    rows = database.rows(_LEGACY)
    for name, payload, updated_at_ms in sorted(rows, key=lambda row: _canonical_first(str(row[0]))):
        at_ms = updated_at_ms or now_ms
        try:
            split = _split(name or "", payload, at_ms, notices)
        except _UNREADABLE as error:
            notices.append(f'registry "{name}" {_STAYS}: {error}')
            continue
        if split.registry.slug in taken:
            notices.append(f'registry "{name}" {_STAYS}: another one has its slug, {split.registry.slug}')
            continue
        taken.add(split.registry.slug)
        _insert(database, split, at_ms)
    return notices


def versions_in(payload: bytes | None) -> Iterator[int]:
    """The versions of a registry and its profiles in a row of the original program, of all that can be read."""
    try:
        registry = msgspec.json.decode(payload or b"", type=_Registry)
    except _UNREADABLE:
        return
    yield registry.metadata.version
    for raw in (registry.profiles or {}).values():
        with suppress(*_UNREADABLE):
            yield msgspec.json.decode(raw, type=_Profile).metadata.version


def _canonical_first(slug: str) -> tuple[bool, str]:
    return fold(slug) != slug, slug


def _split(name: str, payload: bytes, at_ms: int, notices: list[str]) -> _Split:
    slug = parse_slug(name, what="registry slug")
    sent = msgspec.json.decode(payload, type=_Registry)
    profiles: dict[str, Profile] = {}
    for key, raw in sorted((sent.profiles or {}).items(), key=lambda item: _canonical_first(item[0])):
        where = f'profile "{key}" of registry "{slug}"'
        try:
            profile = _profile(slug, key, raw, at_ms, notices)
        except _UNREADABLE as error:
            notices.append(f"{where} {_STAYS}: {error}")
            continue
        if profiles.setdefault(profile.slug, profile) is not profile:
            notices.append(f"{where} {_STAYS}: another one has its slug, {profile.slug}")
    default = sent.default_profile_slug
    if profiles and default not in profiles:
        repaired = "default" if "default" in profiles else min(profiles)
        notices.append(f'registry "{slug}" had the default "{default}", which is missing; it is now "{repaired}"')
        default = repaired
    metadata = RegistryMetadata(
        created_at_ms=sent.metadata.created_at_ms or at_ms,
        created_by=sent.metadata.created_by or IMPORTED.actor,
        updated_by=sent.metadata.updated_by or IMPORTED.actor,
        source=sent.metadata.source or IMPORTED.source,
        tags=tuple(sent.metadata.tags) if sent.metadata.tags else None,
    )
    registry = Registry(
        slug=slug,
        display_name=sent.display_name or None,
        description=sent.description or None,
        default_profile_slug=default if profiles else None,
        metadata=metadata,
    )
    return _Split(registry, max(1, sent.metadata.version), list(profiles.values()))


def _profile(registry: str, key: str, raw: Raw, at_ms: int, notices: list[str]) -> Profile:
    sent = msgspec.json.decode(raw, type=_Profile)
    slug = parse_slug(key)
    runtime = sent.runtime
    where = f'profile "{slug}" of registry "{registry}"'
    extensions = _canonical(sent.extensions or {}, where, notices)
    if any(_is_deep(value) for value in extensions.values()):
        raise ValueError(f"an extension is nested more than {limits.MAX_DEPTH} deep")
    uses, repaired = _with_ids(runtime.middlewares or [])
    if repaired:
        notices.append(f"{where}: repeated middlewares now have ids")
    if runtime.extends:
        notices.append(f"{where}: what it builds on {_STAYS}")
    for name, value in extensions.items():
        if name.startswith("middleware."):
            extensions[name] = _by_use(name, value, uses, runtime.middlewares or [])
    plain, extensions = stored_form(
        uses, extensions, key_of=lambda name: str(middleware_key(name, 1)), holds_configs=lambda _: False
    )
    return Profile(
        registry=registry,
        slug=slug,
        display_name=sent.display_name or None,
        description=sent.description or None,
        runtime=Runtime(
            system_prompt=runtime.system_prompt or None,
            middlewares=plain or None,
            tools=runtime.tools or None,
            step_settings_patch=runtime.step_settings_patch or None,
        ),
        policy=msgspec.convert(sent.policy, Policy, from_attributes=True),
        metadata=Metadata(
            version=max(1, sent.metadata.version),
            created_at_ms=sent.metadata.created_at_ms or at_ms,
            updated_at_ms=sent.metadata.updated_at_ms or at_ms,
            created_by=sent.metadata.created_by or IMPORTED.actor,
            updated_by=sent.metadata.updated_by or IMPORTED.actor,
            source=sent.metadata.source or IMPORTED.source,
            tags=tuple(sent.metadata.tags) if sent.metadata.tags else None,
        ),
        extensions=extensions,
    )


def _is_deep(value: Raw) -> bool:
    """Whether a value is nested deeper than a request may be; how deep a decoder goes depends on the Python."""
    level = [msgspec.json.decode(value)]
    for _ in range(limits.MAX_DEPTH):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _canonical(sent: dict[str, Raw], where: str, notices: list[str]) -> dict[str, Raw]:
    """The extensions by canonical key; of two that become one, the one whose key was canonical already."""
    keys = {name: str(parse_extension_key(name)) for name in sent}
    chosen = {keys[name]: name for name in sorted(sent, key=lambda name: name == keys[name])}
    notices += [
        f'{where}: its extension "{name}" {_STAYS}: another one has that key'
        for name in sent
        if chosen[keys[name]] != name
    ]
    return {key: sent[name] for key, name in chosen.items()}


def _with_ids(sent: list[SentUse]) -> tuple[list[SentUse], bool]:
    """The uses, with an id for each that has none although its name was used without one before."""
    uses: list[SentUse] = []
    taken = {trim(use.id or "") for use in sent}
    without_id: Counter[str] = Counter()
    for position, use in enumerate(sent):
        name = trim(use.name or "")
        if trim(use.id or ""):
            uses.append(use)
            continue
        without_id[name] += 1
        made = next(each for each in _ids_for(position) if each not in taken)
        uses.append(msgspec.structs.replace(use, id=made) if without_id[name] > 1 else use)
    return uses, any(times > 1 for times in without_id.values())


def _ids_for(position: int) -> Iterator[str]:
    yield f"index-{position}"
    yield from (f"index-{position}-{number}" for number in count(2))


def _by_use(key: str, value: Raw, uses: list[SentUse], sent: list[SentUse]) -> Raw:
    """The extension with each `index:<position>` slot under the slot of the use that stood there.

    Slots of positions at which no such use stood are left out; the legacy table still has them.
    """
    name = parse_extension_key(key).middleware
    extension = msgspec.json.decode(value)
    instances = extension.get("instances") if isinstance(extension, dict) else None
    if not isinstance(instances, dict) or not any(slot.startswith("index:") for slot in instances):
        return value
    kept = {slot: config for slot, config in instances.items() if not slot.startswith("index:")}
    for position, (before, now) in enumerate(zip(sent, uses, strict=True)):
        slot = f"index:{position}"
        if slot in instances and now.use().name == name and not trim(before.id or ""):
            kept.setdefault(now.use().slot, instances[slot])
    return Raw(msgspec.json.encode(extension | {"instances": kept}))


def _insert(database: Database, split: _Split, at_ms: int) -> None:
    registry, payload = split.registry, encode_document(split.registry).decode()
    author = (IMPORTED.actor, IMPORTED.source)
    database.run(_INSERT_REGISTRY, (registry.slug, payload, at_ms, split.version, registry.default_profile_slug))
    database.run(_INSERT_REVISION, (registry.slug, "", split.version, payload, *author, at_ms))
    for profile in split.profiles:
        row = stored(profile, is_default=False)
        database.run(_INSERT_PROFILE, profile_values(profile, row))
        revision = (registry.slug, profile.slug, profile.metadata.version, row.payload.decode(), *author, at_ms)
        database.run(_INSERT_REVISION, revision)
