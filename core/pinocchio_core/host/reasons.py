"""Our own words for what a JSON Schema check found.

`jsonschema`'s messages repeat the whole value, which may be a prompt of thousands of characters or a secret; here
values are cut, and none is shown where the schema says `"x-secret": true`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from jsonschema import ValidationError
from msgspec import Struct

from pinocchio_core.domain import paths
from pinocchio_core.domain.slugs import shown

_TYPE_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}


class SchemaProblem(Struct, frozen=True):
    """One thing in a value that does not fit its schema; `path` is below the value, empty for itself."""

    path: str
    reason: str
    expected: str | None = None
    actual: str | None = None
    unknown: str | None = None
    """The property that the schema does not know, where that is the problem; `known` has those it knows."""
    known: tuple[str, ...] = ()
    missing: bool = False
    """Whether the problem is that a property is not there."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


def type_name(value: Any) -> str:
    """The JSON type of a decoded value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "integer" if isinstance(value, int) or value.is_integer() else "number"
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def problem_of(error: ValidationError) -> SchemaProblem:
    """The problem behind one error of the validator."""
    path = paths.of(error.absolute_path)
    if error.schema is False:
        return SchemaProblem(path, "is not allowed here")
    if error.validator in ("anyOf", "oneOf") and error.context:
        return _closest_branch(path, error.validator_value, error)
    limit = error.validator_value
    phrase = _PHRASES.get(str(error.validator))
    reason = phrase(limit, error) if phrase else f"does not satisfy {error.validator}"
    if error.validator == "additionalProperties":
        # the validator in `schemas` puts the property's name into the message
        known = tuple(sorted(_schema(error).get("properties", {})))
        reason = f"unknown property {shown(error.message)} (allowed: {', '.join(known) or 'none'})"
        return SchemaProblem(path, reason, unknown=error.message, known=known)
    if error.validator == "type":
        return SchemaProblem(path, reason, _types(limit), type_name(error.instance))
    return SchemaProblem(path, reason, missing=error.validator == "required")


def mark_secret(error: ValidationError) -> None:
    """Keep the value out of what will be said of this error, and of those below it."""
    error.secret = True  # type: ignore[attr-defined]  # ours
    for child in error.context or ():
        mark_secret(child)


def _sent(error: ValidationError) -> str:
    return "(secret)" if getattr(error, "secret", False) else value_text(error.instance)


def value_text(value: Any) -> str:
    """A value for a message, cut."""
    if isinstance(value, str):
        return shown(value)
    try:
        text = msgspec.json.encode(value).decode()
    except ValueError:  # Python's bound of digits
        return "(a number that is too long to be shown)"
    return text if len(text) <= 80 else text[:79] + "…"


def _closest_branch(path: str, limit: Any, error: ValidationError) -> SchemaProblem:
    branches: dict[int, list[ValidationError]] = defaultdict(list)
    for child in error.context:
        if child.schema_path:  # a branch that is `false` has none, and is never the closest
            branches[int(child.schema_path[0])].append(child)
    if not branches:
        return SchemaProblem(path, f"fits none of {len(list(limit))} alternatives")

    def misfit(index: int) -> tuple[int, int]:
        wrong_type = any(e.validator == "type" and not e.path for e in branches[index])
        return (int(wrong_type), len(branches[index]))

    best = min(branches, key=misfit)
    alternatives: list[Any] = list(limit)
    title = alternatives[best].get("title") if isinstance(alternatives[best], dict) else None
    name = shown(title) if title else f"number {best + 1}"
    says = _below(path, problem_of(branches[best][0]))
    return SchemaProblem(path, f"fits none of {len(alternatives)} alternatives; the closest, {name}, says: {says}")


def _schema(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _below(path: str, inner: SchemaProblem) -> str:
    relative = inner.path.removeprefix(path).removeprefix(".")
    return f"{relative}: {inner.reason}" if relative else inner.reason


def _types(limit: Any) -> str:
    return " or ".join(limit) if isinstance(limit, list) else str(limit)


def _required(limit: Any, error: ValidationError) -> str:
    missing = next((key for key in limit if error.message.startswith(repr(key))), None)
    return f"missing required property {shown(missing)}" if missing else "a required property is missing"


def _dependent(limit: Any, error: ValidationError) -> str:
    sent: Any = error.instance
    missing = [
        f"{key} needs {other}" for key, needs in limit.items() if key in sent for other in needs if other not in sent
    ]
    return "a property needs another one: " + "; ".join(missing)


_PHRASES: dict[str, Callable[[Any, ValidationError], str]] = {
    "type": lambda limit, e: (
        f"expected {_types(limit)}, got {type_name(e.instance)}"
        + ("" if isinstance(e.instance, dict | list) or e.instance is None else f" {_sent(e)}")
    ),
    "unevaluatedProperties": lambda _, __: "has properties that no part of the schema allows",
    "required": _required,
    "dependentRequired": _dependent,
    "enum": lambda limit, e: f"must be one of {value_text(limit)}, got {_sent(e)}",
    "const": lambda limit, e: f"must be {value_text(limit)}, got {_sent(e)}",
    "minimum": lambda limit, e: f"must be at least {limit}, got {_sent(e)}",
    "maximum": lambda limit, e: f"must be at most {limit}, got {_sent(e)}",
    "exclusiveMinimum": lambda limit, e: f"must be more than {limit}, got {_sent(e)}",
    "exclusiveMaximum": lambda limit, e: f"must be less than {limit}, got {_sent(e)}",
    "multipleOf": lambda limit, e: f"must be a multiple of {limit}, got {_sent(e)}",
    "minLength": lambda limit, _: f"must have at least {limit} characters",
    "maxLength": lambda limit, _: f"must have at most {limit} characters",
    "pattern": lambda limit, e: f"must match {shown(limit)}, got {_sent(e)}",
    "minItems": lambda limit, _: f"must have at least {limit} items",
    "maxItems": lambda limit, _: f"must have at most {limit} items",
    "uniqueItems": lambda _, __: "must not hold the same item twice",
    "minProperties": lambda limit, _: f"must have at least {limit} properties",
    "maxProperties": lambda limit, _: f"must have at most {limit} properties",
    "propertyNames": lambda _, e: f"the property name {shown(e.message)}: {problem_of(e.context[0]).reason}",
    "items": lambda _, __: "has more items than are allowed",
    "unevaluatedItems": lambda _, __: "has items that no part of the schema allows",
    **dict.fromkeys(
        ("contains", "minContains", "maxContains"),
        lambda _, __: "has no item, or not the right number of items, of the required kind",
    ),
    "not": lambda _, __: "is of a kind that is not allowed",
    "oneOf": lambda _, __: "fits more than one of the alternatives, and must fit exactly one",
}
