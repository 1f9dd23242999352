"""Profiles and registries as files hold them: what the server owns is left out, and numbers keep their spelling."""

import json
from typing import Any

from pinocchio_core.domain.profile import OPEN_POLICY, Profile, Registry, encode_document


class Number(str):
    """A number as JSON spells it."""

    __slots__ = ()


def plain_json(text: bytes | str) -> Any:
    """A JSON value whose numbers keep their spelling."""
    return json.loads(text, parse_int=Number, parse_float=Number)


def json_of(value: Any) -> str:
    """A value of `plain_json` as JSON text with sorted keys, so that two of them can be compared."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{json_of(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_of, value)) + "]"
    return json.dumps(value)


def profile_document(profile: Profile) -> dict[str, Any]:
    """A profile as a file holds it, without its slug, which is its key or the file's name."""
    document: dict[str, Any] = plain_json(encode_document(profile))
    for name in ("registry", "slug"):
        del document[name]
    document["metadata"] = _tags(document["metadata"])
    if profile.policy == OPEN_POLICY:
        del document["policy"]
    if profile.extensions:
        document["extensions"] = dict(sorted(document["extensions"].items()))
    return {name: value for name, value in document.items() if value != {}}


def registry_document(registry: Registry) -> dict[str, Any]:
    """A registry as a file holds it, without its profiles."""
    document: dict[str, Any] = plain_json(encode_document(registry))
    document["metadata"] = _tags(document["metadata"])
    return {name: value for name, value in document.items() if value != {}}


def _tags(metadata: dict[str, Any]) -> dict[str, Any]:
    return {"tags": metadata["tags"]} if "tags" in metadata else {}
