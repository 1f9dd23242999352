"""Strict reading of JSON text (RFC 8259): everything that libraries let pass and a store must not.

Every library keeps the last of duplicate keys without a word; the standard one accepts NaN; some turn long
integers into floats; all fail in their own way on deep nesting. Here each of these is a `Problem` with a path.
"""

import codecs
import json
import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from pinocchio_core.domain import limits, paths
from pinocchio_core.domain.slugs import shown
from pinocchio_core.errors import MAX_PROBLEMS, InvalidRequest, Problem

WHOLE = "body"
"""The field of problems with the document as a whole."""
_LONGEST_INTEGER = len(str(limits.MIN_INTEGER))


class _Repeated(dict[str, Any]):
    """An object with duplicate keys."""

    keys_seen: list[str]


class _Wrong:
    """A number that is not allowed."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def parse_object(
    text: bytes, *, max_nodes: int = limits.MAX_NODES, max_depth: int = limits.MAX_DEPTH
) -> dict[str, Any]:
    """The JSON object that `text` is, of `max_nodes` values at most and `max_depth` deep.

    Raises:
        InvalidRequest: it is not one JSON object, or holds what is not allowed; every problem has its path.
    """
    value = _parse(text)
    if len(text) > limits.MAX_NODES or not _is_plain(value, 0):
        problems = list(islice(_problems(value, max_nodes, max_depth), MAX_PROBLEMS + 1))
        if problems:
            raise InvalidRequest(problems)
    if not isinstance(value, dict):
        raise _invalid("must be one JSON object")
    return value


def has_too_many_values(text: bytes) -> bool:
    """Whether sound JSON has more values than a document may have."""
    if len(text) <= limits.MAX_NODES:
        return False
    values = [msgspec.json.decode(text)]
    for value in values:  # it grows meanwhile
        values += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return len(values) > limits.MAX_NODES


def _parse(text: bytes) -> Any:
    if text.startswith(codecs.BOM_UTF8):
        raise _invalid("is not valid JSON: it begins with a BOM, which is no part of it (line 1, column 1)")
    try:
        return _DECODER.decode(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _invalid(f"is not valid UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise _invalid(f"is nested more than {limits.MAX_DEPTH} deep") from None
    except json.JSONDecodeError as error:
        if not text.strip():
            raise _invalid("is empty") from None
        raise _invalid(f"is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest([Problem(field=WHOLE, reason=reason)], next_step="send one JSON object in UTF-8")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    repeated = _Repeated(made)
    repeated.keys_seen = [key for key, _ in pairs]
    return repeated


def _constant(name: str) -> _Wrong:
    return _Wrong(f"{name} is not JSON")


def _integer(digits: str) -> int | _Wrong:
    value = int(digits) if len(digits) <= _LONGEST_INTEGER + 1 else limits.MAX_INTEGER + 1
    if limits.MIN_INTEGER <= value <= limits.MAX_INTEGER:
        return value
    return _Wrong(f"the integer {shown(digits, limit=24)} does not fit into 64 bits")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)


_PLAIN = (int, bool, type(None))


def _is_plain(value: Any, depth: int) -> bool:
    """Whether nothing can be wrong with a value that has few enough parts; most requests are, and it is soon seen."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    if kind is dict:
        parts, plain = value.values(), depth < limits.MAX_DEPTH and all(map(str.isascii, value))
    elif kind is list:
        parts, plain = value, depth < limits.MAX_DEPTH
    else:
        return kind in _PLAIN or (kind is float and math.isfinite(value))
    for part in parts if plain else ():  # `all` takes twice as long
        if not _is_plain(part, depth + 1):
            return False
    return bool(plain)


def _problems(root: Any, max_nodes: int, max_depth: int) -> Iterator[Problem]:
    nodes = 0
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), root)]
    while stack:
        path, value = stack.pop()
        nodes += 1
        if nodes > max_nodes:
            yield Problem(field=WHOLE, reason=f"has more than {max_nodes} values")
            return
        if len(path) >= max_depth and isinstance(value, dict | list):
            yield Problem(field=paths.of(path[:4]) + "…", reason=f"is nested more than {max_depth} deep")
            return
        if isinstance(value, dict):
            yield from _of_keys(path, value)
            stack.extend(((*path, key), item) for key, item in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend(((*path, index), item) for index, item in reversed(list(enumerate(value))))
        else:
            reason = _of_leaf(value)
            if reason:
                yield Problem(field=paths.of(path) or WHOLE, reason=reason)


def _of_keys(path: tuple[str | int, ...], value: dict[str, Any]) -> Iterator[Problem]:
    for key in value:
        if not key.isascii() and _is_broken(key):
            yield Problem(field=paths.of(path) or WHOLE, reason=f"the key {shown(key)} is not valid Unicode")
    if isinstance(value, _Repeated):
        for key in (key for key, times in Counter(value.keys_seen).items() if times > 1):
            yield Problem(field=paths.of((*path, key)), reason="the key is there more than once")


def _of_leaf(value: Any) -> str:
    if isinstance(value, str):
        return "is not valid Unicode (a lone surrogate)" if not value.isascii() and _is_broken(value) else ""
    if isinstance(value, _Wrong):
        return value.reason
    if isinstance(value, float) and not math.isfinite(value):
        return "the number is too large"
    return ""


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
