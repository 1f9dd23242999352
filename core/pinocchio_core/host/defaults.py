"""What a JSON Schema says of values besides whether they fit: defaults for what is left out."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_MAX_DEPTH = 32


def defaults_for(schema: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """What the schema's properties have as defaults, to be laid under `value`.

    Inside an object that has no default of its own they count only where `value` has that object: what is optional
    as a whole does not come into being for the sake of its parts.
    """
    return _defaults(schema, schema, value, _MAX_DEPTH)


def subschema(schema: Mapping[str, Any], keys: list[str]) -> Mapping[str, Any] | None:
    """The schema of the value at these keys, `None` where the schema does not know it."""
    found: Any = _followed(schema, schema)
    for key in keys:
        properties = found.get("properties")
        if not isinstance(properties, Mapping) or key not in properties:
            return None
        found = _followed(properties[key], schema)
    return found if isinstance(found, Mapping) else None


def _defaults(schema: Any, root: Mapping[str, Any], value: Any, depth: int) -> dict[str, Any]:
    properties = _followed(schema, root).get("properties")
    if not isinstance(properties, Mapping) or not depth:
        return {}
    found: dict[str, Any] = {}
    for name, of_property in properties.items():
        followed = _followed(of_property, root)
        if "default" in followed:
            found[name] = followed["default"]
        elif isinstance(value, Mapping) and isinstance(value.get(name), Mapping):
            inside = _defaults(followed, root, value[name], depth - 1)
            if inside:
                found[name] = inside
    return found


def _followed(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema, or what its reference inside the same document leads to; empty where that is nothing to look at."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/") or "default" in schema:
            return schema
        target: Any = root
        for step in reference[2:].split("/"):
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, Mapping) else None
        schema = target
    return {}
