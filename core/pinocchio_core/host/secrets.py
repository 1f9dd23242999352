"""Which values of a document are secrets: those that a schema marks with `"x-secret": true`, wherever they are.

The walk is `jsonschema`'s own, with the keywords that lead to other values and nothing that judges them; of
alternatives each is walked, because a secret is one whichever of them the document fits.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError, validators

MARK: Final = "x-secret"
HIDDEN: Final = "(secret)"
"""What is shown of a secret."""

Path = tuple[str | int, ...]


def has_secrets(schema: Any) -> bool:
    """Whether a schema marks anything."""
    if isinstance(schema, Mapping):
        return schema.get(MARK) is True or any(map(has_secrets, schema.values()))
    return isinstance(schema, list) and any(map(has_secrets, schema))


def paths_of(errors: Iterator[ValidationError]) -> list[Path]:
    """Where the secrets are that a validator with `WALK` found, each once."""
    return list(dict.fromkeys(tuple(error.absolute_path) for error in errors if error.validator == MARK))


def hidden(value: Any, found: list[Path]) -> Any:
    """The value with `HIDDEN` in the place of those at these paths."""
    if () in found:
        return HIDDEN
    for step in dict.fromkeys(path[0] for path in found):
        inside = [path[1:] for path in found if path[0] == step]
        changed = hidden(value[step], inside)
        value = (
            {**value, step: changed}
            if isinstance(value, Mapping)
            else [*value[: int(step)], changed, *value[int(step) + 1 :]]
        )
    return value


def _secret(_: Any, marked: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    if marked is True and value is not None:
        yield ValidationError("")


def _each(validator: Any, alternatives: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    for schema in alternatives:
        yield from validator.descend(value, schema)


def _into(validator: Any, schema: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    yield from validator.descend(value, schema)


def _members(validator: Any, schema: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from validator.descend(member, schema, path=key)


def _items(validator: Any, schema: Any, value: Any, whole: Any) -> Iterator[ValidationError]:
    if isinstance(value, list):
        for index in range(len(whole.get("prefixItems", ())), len(value)):
            yield from validator.descend(value[index], schema, path=index)


def _any_item(validator: Any, schema: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from validator.descend(item, schema, path=index)


def _dependent(validator: Any, schemas: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    for schema in schemas.values():
        yield from validator.descend(value, schema)


_STANDARD: Final = Draft202012Validator.VALIDATORS
WALK: Final[Mapping[str, Any]] = {
    MARK: _secret,
    "allOf": _each,
    "anyOf": _each,
    "oneOf": _each,
    "not": _into,
    "if": _into,
    "then": _into,
    "else": _into,
    "dependentSchemas": _dependent,
    "prefixItems": _STANDARD["prefixItems"],
    "items": _items,
    "contains": _any_item,
    "unevaluatedItems": _any_item,
    "unevaluatedProperties": _members,
}
"""Keywords that lead from a value to others; those that the checks of `schemas` do in their own way are not here."""


def walker(more: Mapping[str, Any]) -> Any:
    """The class of validators that find secrets; `more` are the other keywords that lead somewhere."""
    return validators.create(meta_schema=Draft202012Validator.META_SCHEMA, validators={**WALK, **more})
