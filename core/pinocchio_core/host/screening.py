"""Whether a plugin's JSON Schema may be used: valid draft 2020-12, self-contained, and bounded."""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

import msgspec
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from jsonschema_specifications import REGISTRY
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from pinocchio_core.domain import paths
from pinocchio_core.host import patterns

MAX_SCHEMA_NODES = 10_000
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_IN_PLACE = ("not", "if", "then", "else")
_REFERENCES = ("$ref", "$dynamicRef")
_LISTS = (*_IN_PLACE_LISTS, "prefixItems")
_SINGLE = (
    *_IN_PLACE,
    "items",
    "contains",
    "propertyNames",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
)
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose values map names of the author's choice to schemas."""

Path = tuple[str | int, ...]


def fault_of(schema: Any) -> str:
    """Why the schema is refused, empty where it may be used."""
    if not isinstance(schema, Mapping):
        return "a schema must be an object"
    try:
        return _fault(dict(schema))
    except RecursionError:
        return "the schema is nested too deeply"


def _fault(schema: dict[str, Any]) -> str:
    if _size(schema) > MAX_SCHEMA_NODES:
        return f"the schema has more than {MAX_SCHEMA_NODES} values"
    if schema.get("$schema", _DRAFT) not in (_DRAFT, f"{_DRAFT}#"):
        return f"$schema must be {_DRAFT}, or be left out"
    error = best_match(_metaschema().iter_errors(schema))
    if error is not None:
        return f"not valid draft 2020-12 at {paths.of(error.absolute_path) or 'its root'}: {error.message[:200]}"
    schemas = list(_schemas(schema, ()))
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    return _references(schemas, resolver) or _patterns(schemas) or _endless(schemas, resolver)


@functools.cache
def _metaschema() -> Draft202012Validator:
    """The metaschema with its vocabularies as one schema: it finds the same, five times as fast as their references.

    Without formats: the "regex" among them is Python's, and patterns run on another engine.
    """
    whole = dict(Draft202012Validator.META_SCHEMA)
    vocabularies = [REGISTRY.contents(urljoin(_DRAFT, part["$ref"])) for part in whole["allOf"]]
    members = {
        name: {key: value for each in (*vocabularies, whole) for key, value in each.get(name, {}).items()}
        for name in ("properties", "$defs")
    }
    flat = msgspec.json.encode({"type": whole["type"], **members})
    own = re.sub(rb'"\$dynamicRef":"#meta"|"\$ref":"meta/[a-z-]+#', _into_itself, flat)
    return Draft202012Validator(msgspec.json.decode(own), format_checker=FormatChecker(formats=()))


def _into_itself(reference: re.Match[bytes]) -> bytes:
    return b'"$ref":"#"' if reference[0].startswith(b'"$dynamicRef"') else b'"$ref":"#'


def _size(value: Any) -> int:
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, children))


def _schemas(schema: Any, path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The schema and every schema in it with its path; what stands under other keywords is data."""
    if not isinstance(schema, Mapping):
        return  # true and false
    yield path, schema
    for keyword, value in schema.items():
        if keyword in _SINGLE:
            yield from _schemas(value, (*path, keyword))
        elif keyword in _LISTS:
            for index, item in enumerate(value):
                yield from _schemas(item, (*path, keyword, index))
        elif keyword in _NAMED:
            for name, item in value.items():
                yield from _schemas(item, (*path, keyword, name))


def _references(schemas: list[tuple[Path, Mapping[str, Any]]], resolver: Any) -> str:
    known = {id(schema) for _, schema in schemas}
    for path, schema in schemas:
        for keyword in filter(schema.__contains__, _REFERENCES):
            reference = schema[keyword]
            where = f'{paths.of((*path, keyword))} is "{reference[:80]}"'
            if not reference.startswith("#"):
                return f'{where}: a reference must stay inside the schema ("#/$defs/…")'
            try:
                target = resolver.lookup(reference).contents
            except Unresolvable:
                return f"{where}, which is not in the schema"
            if not isinstance(target, bool) and id(target) not in known:
                return f'{where}, which is no schema; put it under "$defs"'
    return ""


def _patterns(schemas: list[tuple[Path, Mapping[str, Any]]]) -> str:
    if all(
        any(keyword in schema for _, schema in schemas) for keyword in ("unevaluatedProperties", "patternProperties")
    ):
        return "unevaluatedProperties together with patternProperties is not supported"
    for path, schema in schemas:
        expressions = [("pattern", schema["pattern"])] if "pattern" in schema else []
        expressions += [("patternProperties", expression) for expression in schema.get("patternProperties", ())]
        for keyword, expression in expressions:
            fault = patterns.fault_of(expression)
            if fault:
                where = paths.of((*path, keyword))
                return f"the pattern at {where} needs more than a linear-time engine offers: {fault}"
    return ""


def _endless(schemas: list[tuple[Path, Mapping[str, Any]]], resolver: Any) -> str:
    """Finds references that lead back to where they started without descending into the document."""
    done: set[int] = set()

    def visit(node: Any, trail: frozenset[int]) -> bool:
        if not isinstance(node, Mapping) or id(node) in done:
            return False
        if id(node) in trail:
            return True
        endless = any(visit(child, trail | {id(node)}) for child in _in_place(node, resolver))
        done.add(id(node))
        return endless

    if any(visit(schema, frozenset()) for _, schema in schemas):
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
