"""What changed between two JSON documents, as a JSON Patch (RFC 6902) of `add`, `remove` and `replace`."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pinocchio_core.domain.paths import pointer

MAX_DEPTH = 64
"""Values inside one another that are compared; deeper ones are replaced as a whole."""

Operation = dict[str, Any]
"""`{"op", "path", "value"?}`; the path is a JSON Pointer."""


def patch_between(before: Any, after: Any) -> list[Operation]:
    """The operations that make `after` of `before`, in the order in which they apply; none where both are the same.

    Both are plain JSON values. Types count: `1`, `1.0` and `true` differ.
    """
    return list(_operations(before, after, ()))


def same_json(one: Any, other: Any) -> bool:
    """Whether two plain JSON values are the same, whatever the order of their keys."""
    return one is other or _canonical(one) == _canonical(other)


def overlapping(one: Sequence[Operation], other: Sequence[Operation]) -> list[str]:
    """The JSON Pointers that two patches of one document both change, or change parts of; the shorter one of each."""
    paths, others = ({operation["path"] for operation in patch} for patch in (one, other))
    return sorted({min(a, b, key=len) for a in paths for b in others if _inside(a, b) or _inside(b, a)})


def _inside(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/")


def _operations(before: Any, after: Any, at: tuple[str, ...]) -> Iterator[Operation]:
    if isinstance(before, dict) and isinstance(after, dict) and len(at) < MAX_DEPTH:
        yield from _of_objects(before, after, at)
    elif isinstance(before, list) and isinstance(after, list) and len(at) < MAX_DEPTH:
        yield from _of_arrays(before, after, at)
    elif not same_json(before, after):
        yield {"op": "replace", "path": pointer(at), "value": after}


def _of_objects(before: dict[str, Any], after: dict[str, Any], at: tuple[str, ...]) -> Iterator[Operation]:
    for key, value in before.items():
        if key in after:
            yield from _operations(value, after[key], (*at, key))
        else:
            yield {"op": "remove", "path": pointer((*at, key))}
    for key, value in after.items():
        if key not in before:
            yield {"op": "add", "path": pointer((*at, key)), "value": value}


def _of_arrays(before: list[Any], after: list[Any], at: tuple[str, ...]) -> Iterator[Operation]:
    """Items that are the same at both ends stay; of those between, the first are changed, the rest added or removed."""
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if not same_json(before[i], after[i])), shorter)
    tail = next((i for i in range(shorter - head) if not same_json(before[-1 - i], after[-1 - i])), shorter - head)
    changed_to = shorter - tail
    for i in range(head, changed_to):
        yield from _operations(before[i], after[i], (*at, str(i)))
    for i in reversed(range(changed_to, len(before) - tail)):  # from the end, so that positions stay
        yield {"op": "remove", "path": pointer((*at, str(i)))}
    for i in range(changed_to, len(after) - tail):
        yield {"op": "add", "path": pointer((*at, str(i))), "value": after[i]}


def _canonical(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")
