"""Whether a plugin's JSON Schema may be used: valid draft 2020-12, self-contained, and bounded."""

from collections.abc import Iterator, Mapping
from typing import Any

import re2
from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from pinocchio_core.domain import paths
from pinocchio_core.host.schemas import compile_pattern

MAX_SCHEMA_NODES = 10_000
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_IN_PLACE = ("not", "if", "then", "else")
_REFERENCES = ("$ref", "$dynamicRef")
_DATA = ("const", "enum", "default", "examples")
"""Keywords whose values are data, not schemas."""
_NAMED = ("properties", "patternProperties", "$defs", "dependentSchemas")
"""Keywords whose values map names of the author's choice to schemas."""


def fault_of(schema: Any) -> str:
    """Why the schema is refused, empty where it may be used."""
    if not isinstance(schema, Mapping):
        return "a schema must be an object"
    try:
        return _fault(dict(schema))
    except RecursionError:
        return "the schema is nested too deeply"


def _fault(schema: dict[str, Any]) -> str:
    nodes = list(_walk(schema, ()))
    if len(nodes) > MAX_SCHEMA_NODES:
        return f"the schema has more than {MAX_SCHEMA_NODES} values"
    if schema.get("$schema", _DRAFT).rstrip("#") != _DRAFT:
        return f"$schema must be {_DRAFT}, or be left out"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"not valid draft 2020-12 at {paths.of(error.absolute_path) or 'its root'}: {error.message[:200]}"
    return _foreign_references(nodes, schema) or _patterns(nodes) or _endless(schema)


def _walk(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield path, value
    if isinstance(value, Mapping):
        names = bool(path) and path[-1] in _NAMED
        for key, item in value.items():
            if names or key not in _DATA:
                yield from _walk(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index))


def _foreign_references(nodes: list[tuple[tuple[str | int, ...], Any]], schema: dict[str, Any]) -> str:
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for path, value in nodes:
        if not path or path[-1] not in _REFERENCES or not isinstance(value, str):
            continue
        if not value.startswith("#"):
            return f'{paths.of(path)} is "{value[:80]}": a reference must stay inside the schema ("#/$defs/…")'
        try:
            resolver.lookup(value)
        except Unresolvable:
            return f'{paths.of(path)} is "{value[:80]}", which is not in the schema'
    return ""


def _patterns(nodes: list[tuple[tuple[str | int, ...], Any]]) -> str:
    keywords = {path[-1] for path, _ in nodes if path}
    if {"unevaluatedProperties", "patternProperties"} <= keywords:
        return "unevaluatedProperties together with patternProperties is not supported"
    for path, value in nodes:
        expressions: list[Any] = []
        if path and path[-1] == "pattern" and isinstance(value, str):
            expressions = [value]
        elif path and path[-1] == "patternProperties" and isinstance(value, Mapping):
            expressions = list(value)
        for expression in expressions:
            try:
                compile_pattern(expression)
            except re2.error as error:
                return f"the pattern at {paths.of(path)} needs more than a linear-time engine offers: {_text(error)}"
    return ""


def _text(error: Exception) -> str:
    raw = error.args[0] if error.args else ""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _endless(schema: dict[str, Any]) -> str:
    """Finds references that lead back to where they started without descending into the document."""
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    done: set[int] = set()

    def visit(node: Any, trail: frozenset[int]) -> bool:
        if not isinstance(node, Mapping) or id(node) in done:
            return False
        if id(node) in trail:
            return True
        endless = any(visit(child, trail | {id(node)}) for child in _in_place(node, resolver))
        done.add(id(node))
        return endless

    if any(visit(value, frozenset()) for _, value in _walk(schema, ())):
        return "a $ref leads back to itself without descending into the document"
    return ""


def _in_place(node: Mapping[str, Any], resolver: Any) -> Iterator[Any]:
    """The schemas that a value must fit, or may fit, together with this one."""
    for keyword in _REFERENCES:
        if isinstance(node.get(keyword), str):
            yield resolver.lookup(node[keyword]).contents
    for keyword in _IN_PLACE_LISTS:
        yield from node.get(keyword, ())
    yield from (node[keyword] for keyword in _IN_PLACE if keyword in node)
    yield from node.get("dependentSchemas", {}).values()
