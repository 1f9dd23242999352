"""Laying one JSON document over another: objects merge by key, everything else replaces."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pinocchio_core.domain.paths import pointer

MAX_DEPTH = 64
"""Objects inside one another that are merged; deeper ones replace each other."""


class Layer(Struct, frozen=True):
    """A document, and where it comes from."""

    source: str
    """Its place in the order: `schema`, `profile`, `file`, `environment`, `flag` or `request`."""
    where: str
    """What it is in that place, for people: a variable, a path in a file, a field of the request."""
    value: Any


class Leaf(Struct, frozen=True):
    """One value of a merged document, and every layer that said something of it, the lowest first."""

    pointer: str
    """JSON Pointer (RFC 6901)."""
    value: Any
    written_by: tuple[Layer, ...]
    """Each with the value that it gave; the last one won."""


def merged(layers: Sequence[Layer]) -> Any:
    """All layers, each over those before it; `None` for no layers."""
    result: Any = None
    for number, layer in enumerate(layers):
        result = layer.value if number == 0 else _over(result, layer.value, MAX_DEPTH)
    return result


def leaves(layers: Sequence[Layer], at: Sequence[str] = ()) -> Iterator[Leaf]:
    """Every value of the merged document that is no object with members, with what wrote it; `at` is where it is."""
    document = merged(layers)
    if isinstance(document, Mapping) and document and len(at) < MAX_DEPTH:
        for key in document:
            inside = [Layer(each.source, each.where, each.value[key]) for each in _since_replaced(layers, key)]
            yield from leaves(inside, (*at, key))
    else:
        yield Leaf(pointer(at), document, tuple(layers))


def _since_replaced(layers: Sequence[Layer], key: str) -> list[Layer]:
    """The layers that say something of a member, from the last one that replaced the object around it as a whole."""
    kept: list[Layer] = []
    for layer in layers:
        if not isinstance(layer.value, Mapping):
            kept = []
        elif key in layer.value:
            kept.append(layer)
    return kept


def _over(lower: Any, upper: Any, depth: int) -> Any:
    if not (isinstance(lower, Mapping) and isinstance(upper, Mapping) and depth):
        return upper
    both = {key: _over(lower[key], upper[key], depth - 1) for key in lower.keys() & upper.keys()}
    return {**lower, **upper, **both}
