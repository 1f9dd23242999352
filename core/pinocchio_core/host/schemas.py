"""JSON Schemas of plugins: screened once when they come in, then checked against without surprises.

What `jsonschema` does by itself and a server cannot have (docs/write-a-plugin.md, "Schemas"): it fetches
remote references, runs patterns on a backtracking engine, compares every pair of items for `uniqueItems`, and
recurses without end on a reference to itself. Here nothing is ever fetched, patterns run on RE2, uniqueness is
by hash, and each check has a budget of references.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import islice
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from pinocchio_core.errors import MAX_PROBLEMS
from pinocchio_core.host.patterns import matches
from pinocchio_core.host.reasons import SchemaProblem, mark_secret, problem_of
from pinocchio_core.host.secrets import Path, has_secrets, hidden, paths_of, walker

MAX_REFERENCES = 10_000
"""References followed in one check before it is given up."""

MAX_REFERENCE_DEPTH = 70
"""References followed inside one another; more than the depth of a request, less than Python's stack holds."""

MAX_SEEN = 1_024
"""Values that a schema remembers, 16 bytes each."""

_reference_depth: ContextVar[int] = ContextVar("reference_depth")
_references_left: ContextVar[int] = ContextVar("references_left")


class TooComplex(Exception):
    """A check followed more than MAX_REFERENCES references."""


class _Seen:
    """Values that were looked at and are as they should be, by their digests: most come again with the next write."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def __contains__(self, digest: bytes | None) -> bool:
        return digest in self._digests

    def add(self, digest: bytes | None) -> None:
        """Remember one; all others are forgotten where there are too many."""
        if digest is not None:
            if len(self._digests) >= MAX_SEEN:
                self._digests.clear()
            self._digests.add(digest)


def _digest(value: Any) -> bytes | None:
    """One for each value that a schema can tell from others, or none; JSON would not tell infinity from null."""
    try:
        return hashlib.blake2b(msgspec.msgpack.encode(value), digest_size=16).digest()
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError, OverflowError):
        return None


class CompiledSchema:
    """A schema that documents can be checked against, thread-safe."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """`schema` must have passed `screening.fault_of`."""
        self.schema = schema
        self._validator = _VALIDATOR(schema, registry=Registry())
        self._walker = _WALKER(schema, registry=Registry()) if has_secrets(schema) else None
        self._sound, self._open = _Seen(), _Seen()

    def problems(self, value: Any) -> list[SchemaProblem]:
        """Everything in which a decoded JSON value does not fit, as far as it will be listed; empty where it does."""
        digest = _digest(value)
        if digest in self._sound:
            return []
        errors = self._errors(value)
        if isinstance(errors, str):
            return [SchemaProblem("", errors)]
        for secret in self.secrets(value) if errors else ():
            for found in errors:
                around = tuple(found.absolute_path)
                if secret[: len(around)] == around:
                    mark_secret(found)  # what is shown of a value would show the secret in it
        if not errors:
            self._sound.add(digest)
        return [problem_of(found) for found in errors]

    def _errors(self, value: Any) -> list[ValidationError] | str:
        """What the validator finds, or why it cannot be asked."""
        with _bounded():
            try:
                return list(islice(self._validator.iter_errors(value), MAX_PROBLEMS + 1))
            except (RecursionError, TooComplex):
                return "is too complex to be checked against its schema"
            except (OverflowError, ValueError):  # `multipleOf` divides
                return "has a number that cannot be checked against its schema"
            except Unresolvable as error:
                return f"its schema has a reference that leads nowhere: {error.ref}"

    @property
    def has_secrets(self) -> bool:
        """Whether it marks any value as a secret."""
        return self._walker is not None

    def secrets(self, value: Any) -> list[Path]:
        """Where in a decoded JSON value secrets are; the value itself is one where that cannot be found out."""
        if self._walker is None:
            return []
        digest = _digest(value)
        if digest in self._open:
            return []
        with _bounded():
            try:
                found = paths_of(self._walker.iter_errors(value))
            except (RecursionError, TooComplex, Unresolvable):
                return [()]
        if not found:
            self._open.add(digest)
        return found

    def masked(self, value: Any) -> Any:
        """The value with HIDDEN in the place of each secret."""
        return hidden(value, self.secrets(value))


@contextmanager
def _bounded() -> Iterator[None]:
    """A budget of references for the block."""
    token = _references_left.set(MAX_REFERENCES)
    _reference_depth.set(0)
    try:
        yield
    finally:
        _references_left.reset(token)


def _pattern(_: Any, expression: str, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not matches(expression, value):
        yield ValidationError("")


def _pattern_properties(validator: Any, expected: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        for expression, subschema in expected.items():
            for key in filter(partial(matches, expression), value):
                yield from validator.descend(value[key], subschema, path=key, schema_path=expression)


def _additional_properties(validator: Any, expected: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    known, expressions = schema.get("properties", {}), schema.get("patternProperties", {})
    for key in value:
        if key in known or any(matches(expression, key) for expression in expressions):
            continue
        if expected is False:
            yield ValidationError(key)  # `reasons` builds the text from the property's name
        else:
            yield from validator.descend(value[key], expected, path=key)


def _unique_items(_: Any, unique: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    if unique and isinstance(value, list):
        seen = {msgspec.json.encode(_numbers_as_floats(item), order="sorted") for item in value}
        if len(seen) != len(value):
            yield ValidationError("")


def _numbers_as_floats(value: Any) -> Any:
    """`1` and `1.0` are one number to JSON Schema."""
    if isinstance(value, dict):
        return {key: _numbers_as_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers_as_floats(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _properties(validator: Any, expected: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        for key, subschema in expected.items():
            if key in value and subschema is False:
                # `descend` leaves the path out where the schema is `false`
                yield ValidationError("", path=[key], validator="", schema=False)
            elif key in value:
                yield from validator.descend(value[key], subschema, path=key, schema_path=key)


def _property_names(validator: Any, expected: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        for key in value:
            for error in validator.descend(key, expected):
                yield ValidationError(key, context=[error])  # `reasons` builds the text from the two


def _keeping_secrets(check: Any) -> Any:
    """The check of a keyword, marking what it finds in or below a secret, so that `reasons` does not show it."""

    def checked(validator: Any, expected: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        for error in check(validator, expected, value, schema) or ():
            if schema.get("x-secret"):
                mark_secret(error)
            yield error

    return checked


def _counted(keyword: str) -> Any:
    follow = Draft202012Validator.VALIDATORS[keyword]

    def counted(validator: Any, reference: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        left, depth = _references_left.get(MAX_REFERENCES), _reference_depth.get(0)
        if left <= 0 or depth >= MAX_REFERENCE_DEPTH:
            raise TooComplex
        _references_left.set(left - 1)
        _reference_depth.set(depth + 1)
        yield from follow(validator, reference, value, schema) or ()
        _reference_depth.set(depth)

    return counted


_CHECKS = dict(Draft202012Validator.VALIDATORS) | {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "$ref": _counted("$ref"),
    "$dynamicRef": _counted("$dynamicRef"),
    "properties": _properties,
    "propertyNames": _property_names,
}
_VALIDATOR = validators.extend(  # type: ignore[no-untyped-call]  # stubs
    Draft202012Validator, {keyword: _keeping_secrets(check) for keyword, check in _CHECKS.items()}
)
_LEADING = ("patternProperties", "additionalProperties", "$ref", "$dynamicRef", "properties")
_WALKER = walker({keyword: _CHECKS[keyword] for keyword in _LEADING})
