"""What a change brings in, and what was wrong before it: only the former is held against it.

A problem is the same one where its reason and its place are. A use of a middleware is at the same place wherever it is
in the list, and its config is wherever it was sent.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from pinocchio_core.domain import paths
from pinocchio_core.domain.configs import canonical_slot
from pinocchio_core.domain.slugs import parse_extension_key
from pinocchio_core.errors import Problem
from pinocchio_core.host.catalog import Catalog
from pinocchio_core.service.checking import configs

_OF_NAMES = re.compile(r"((?:runtime\.tools|runtime\.extends|metadata\.tags|policy\.\w+))\[[0-9]+\]")
"""Items that are told apart by their reasons, which name them."""
_USE = re.compile(r"runtime\.middlewares\[[0-9]+\]")

Key = tuple[str, str]


class Sorted(NamedTuple):
    """Problems of a document that is to be stored."""

    fresh: list[Problem]
    """What the stored document does not have."""
    known: list[Problem]


def keys_of(problems: Iterable[Problem], tree: dict[str, Any], catalog: Catalog) -> Counter[Key]:
    """What tells problems of the document `tree` apart, and how many there are of each."""
    places = _places(tree, catalog)
    return Counter(_key(problem, places) for problem in problems)


def sort(problems: Iterable[Problem], tree: dict[str, Any], known: Counter[Key], catalog: Catalog) -> Sorted:
    """Problems of the document `tree` by whether the stored document has them, as `keys_of` it says."""
    places, left, found = _places(tree, catalog), known.copy(), Sorted([], [])
    for problem in problems:
        key = _key(problem, places)
        (found.known if left[key] > 0 else found.fresh).append(problem)
        left[key] -= 1
    return found


def _key(problem: Problem, places: dict[str, str]) -> Key:
    place = places.get(problem.field) or _OF_NAMES.sub(r"\1", problem.field)
    return place, _USE.sub("a use", problem.reason.partition(configs.SENT_AS)[0])


def _places(tree: dict[str, Any], catalog: Catalog) -> dict[str, str]:
    """Places that do not depend on positions and forms, by the fields of problems of this document."""
    places = {
        f"{use.field}.{part}": f"{part} of {use.name} {use.slot}"
        for use in configs.uses_of(tree)
        for part in ("name", "id", "config")
    }
    for entry, field, value in configs.config_extensions(tree, catalog):
        instances = value.get("instances") if isinstance(value, dict) else None
        for slot in instances if isinstance(instances, dict) else ():
            where = f"config of {entry.definition.name} {canonical_slot(slot)}"
            places[paths.join(f"{field}.instances", slot)] = where
    extensions = tree.get("extensions")
    for raw in extensions if isinstance(extensions, dict) else ():
        try:
            places[paths.join("extensions", raw)] = f"extension {parse_extension_key(raw)}"
        except ValueError:
            continue  # it is no key, and no stored document has it
    return places
