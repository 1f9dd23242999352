"""Writing the layout of the original program, so that it can have its profiles back."""

from collections.abc import Iterator
from typing import Any

import msgspec

from pinocchio_core.domain.profile import Profile, Registry
from pinocchio_core.domain.slugs import middleware_key

LAYOUT = (
    "CREATE TABLE profile_registries (slug TEXT PRIMARY KEY, payload_json TEXT NOT NULL,"
    " updated_at_ms INTEGER NOT NULL DEFAULT 0)"
)
"""The original program's one table."""


def joined(registry: Registry, *, version: int, updated_at_ms: int, profiles: Iterator[Profile]) -> bytes:
    """A registry with its profiles as one `payload_json` of the original program."""
    documents: dict[str, Any] = {}
    for profile in profiles:
        document = msgspec.to_builtins(profile, enc_hook=_raw_value)
        document.pop("registry")
        _number_slots(document)
        documents[profile.slug] = document
    head = msgspec.to_builtins(registry)
    head["metadata"] |= {"version": version, "updated_at_ms": updated_at_ms}
    return msgspec.json.encode({"slug": registry.slug} | head | {"profiles": documents})


def _number_slots(document: dict[str, Any]) -> None:
    """Put the config of a use without an id where the original program looks for it: under its position."""
    for position, use in enumerate(document["runtime"].get("middlewares", ())):
        extension = document.get("extensions", {}).get(str(middleware_key(use["name"], 1)))
        instances = extension.get("instances") if isinstance(extension, dict) else None
        if not use.get("id") and isinstance(instances, dict) and "default" in instances:
            instances[f"index:{position}"] = instances.pop("default")


def _raw_value(value: Any) -> Any:
    return msgspec.json.decode(value)
