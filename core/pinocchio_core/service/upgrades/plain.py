"""What code of plugins returned as a JSON object of our own, without a guess at what it may have meant."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pinocchio_core.domain import limits, paths


class NotJson(ValueError):
    """It is no JSON; the text says what it is, and where."""


def plain_object(made: object) -> dict[str, Any]:
    """A copy that nobody else holds.

    Raises:
        NotJson: it is no object, or has something in it that JSON has no value for and libraries would change.
    """
    if not isinstance(made, Mapping):
        raise NotJson(f"{type(made).__name__}, which is no JSON object")
    try:
        for fault in _faults(made, ""):
            raise NotJson(fault)
        return msgspec.json.decode(msgspec.json.encode(_copied(made)), type=dict[str, Any])
    except RecursionError:
        raise NotJson("an object that is nested too deep, or in itself") from None
    except UnicodeEncodeError:
        raise NotJson("text that is not valid Unicode") from None


def _faults(value: object, place: str) -> Iterator[str]:
    where = f" at {place}" if place else ""
    if isinstance(value, Mapping):
        for key, inside in value.items():
            if isinstance(key, str):
                yield from _faults(inside, paths.join(place, key))
            else:
                yield f"an object{where} with a key that is no text but {type(key).__name__}"
    elif isinstance(value, list | tuple):
        for index, inside in enumerate(value):
            yield from _faults(inside, paths.join(place, index))
    else:
        fault = _fault(value)
        if fault:
            yield fault.format(where)


def _fault(value: object) -> str:
    """What is wrong with a value that holds no others, with a gap for where it is."""
    if value is None or isinstance(value, str | bool):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value}{{}}, which is no number of JSON"
    if isinstance(value, int):
        sound = limits.MIN_INTEGER <= value <= limits.MAX_INTEGER
        return "" if sound else "an integer of more than 64 bits{}"
    return f"{type(value).__name__}{{}}, which is no JSON"


def _copied(value: object) -> object:
    """The value with plain objects for mappings of all kinds."""
    if isinstance(value, Mapping):
        return {key: _copied(inside) for key, inside in value.items()}
    return [_copied(inside) for inside in value] if isinstance(value, list | tuple) else value
