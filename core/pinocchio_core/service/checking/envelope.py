"""From the bytes of a request to its fields: strict JSON, then types and names of fields, all problems at once."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from pinocchio_core.domain import json_text, limits, paths
from pinocchio_core.domain.slugs import shown
from pinocchio_core.domain.suggestions import nearest
from pinocchio_core.errors import Problem
from pinocchio_core.host.reasons import SchemaProblem
from pinocchio_core.host.schemas import CompiledSchema

R = TypeVar("R", bound=msgspec.Struct)

_OBJECT_OR_NULL = {"type": "null"}


def open_envelope(
    body: bytes, kind: type[R], *, max_nodes: int = limits.MAX_NODES
) -> tuple[dict[str, Any], R | None, list[Problem]]:
    """The body, of `max_nodes` values at most, as a plain object, as `kind`, and what is wrong with its fields.

    Where anything is wrong the second is `None`; the object is still there, so that further checks can look at
    the parts of it that are sound.

    Raises:
        InvalidRequest: it is not a JSON object at all.
    """
    tree = json_text.parse_object(body, max_nodes=max_nodes)
    try:
        return tree, msgspec.json.decode(body, type=kind), []
    except msgspec.ValidationError as error:
        found = [_problem(each) for each in _schema_of(kind).problems(tree)]
        return tree, None, found or [_of_decoder(error)]


def _problem(found: SchemaProblem) -> Problem:
    if found.unknown is None:
        return Problem(
            field=found.path or json_text.WHOLE, reason=found.reason, expected=found.expected, actual=found.actual
        )
    near = nearest(found.unknown, found.known)
    hint = f"did you mean {shown(near)}?" if near else f"known here: {', '.join(found.known)}"
    return Problem(field=paths.join(found.path, found.unknown), reason=f"unknown field; {hint}")


def _of_decoder(error: msgspec.ValidationError) -> Problem:
    """What only the decoder refuses: to JSON Schema `1.0` is an integer, and to a version it is not."""
    path = str(error).rpartition(" - at `$")[2].removesuffix("`").removeprefix(".")
    return Problem(field=path or json_text.WHOLE, reason="must be written without a fraction and an exponent")


@lru_cache(maxsize=32)
def _schema_of(kind: type[msgspec.Struct]) -> CompiledSchema:
    (schema,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return CompiledSchema(_nulls_pass({**schema, "$defs": definitions}))


def _nulls_pass(schema: Any) -> Any:
    """`anyOf: [X, null]` as a condition, so that problems inside X are reported one by one with their paths."""
    if isinstance(schema, list):
        return [_nulls_pass(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _nulls_pass(value) for key, value in schema.items() if key != "anyOf"}
    others = [_nulls_pass(branch) for branch in schema.get("anyOf", ()) if branch != _OBJECT_OR_NULL]
    if not others:
        return plain
    return plain | {"if": _OBJECT_OR_NULL, "else": others[0] if len(others) == 1 else {"anyOf": others}}


def objects_at(tree: dict[str, Any], *steps: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The items of the list at `steps` that are objects, with their positions; nothing where there is no list."""
    value = value_at(tree, *steps)
    if isinstance(value, list):
        yield from ((index, item) for index, item in enumerate(value) if isinstance(item, dict))


def value_at(tree: dict[str, Any], *steps: str) -> Any:
    """The value at `steps`, `None` where there is none."""
    value: Any = tree
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value
