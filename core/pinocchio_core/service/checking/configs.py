"""Checks of middlewares, their configs and the other extensions of a profile against the catalog."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, structs

from pinocchio_core.domain import limits, paths
from pinocchio_core.domain.configs import canonical_slot, slot_clashes
from pinocchio_core.domain.profile import slot_of
from pinocchio_core.domain.slugs import parse_extension_key, shown, trim
from pinocchio_core.errors import Problem
from pinocchio_core.host.catalog import Catalog, MiddlewareEntry
from pinocchio_core.service.checking.envelope import objects_at, value_at
from pinocchio_core.service.checking.names import count_problem, name_problem
from pinocchio_core.service.checking.secrets import secret_problems

USES = "runtime.middlewares"
SENT_AS = " (sent as "
"""Begins what a reason says besides where a config was sent elsewhere than beside its use."""


class Use(Struct, frozen=True):
    """A use in a request, as far as it is sound."""

    index: int
    name: str
    id: str
    config: Any

    @property
    def field(self) -> str:
        """Its path in the document."""
        return f"{USES}[{self.index}]"

    @property
    def slot(self) -> str:
        """Where its config is in the extension."""
        return slot_of(self.id)


def use_problems(tree: dict[str, Any], catalog: Catalog, *, new: bool, stacked: bool) -> Iterator[Problem]:
    """What is wrong with the uses of middlewares and with every config that a request brings.

    Where the profile is `new`, or the request replaces its extensions too, a use without a config has none. Where it is
    `stacked`, its configs are parts of whole ones, and are left to who knows these.
    """
    yield from count_problem(USES, value_at(tree, "runtime", "middlewares"), limits.MAX_MIDDLEWARES)
    uses = uses_of(tree)
    seen: set[str] = set()
    for use in uses:
        yield from _name_problems(use, catalog)
        yield from name_problem(f"{use.field}.id", use.id)
        if use.id and use.id in seen:
            yield Problem(field=f"{use.field}.id", reason=f"the id {shown(use.id)} is used twice in this profile")
        seen.add(use.id)
    yield from _missing_ids(uses)
    if stacked:
        return
    complete = new or tree.get("extensions") is not None
    yield from _config_problems(tree, uses, catalog, complete=complete)


def extension_problems(tree: dict[str, Any], catalog: Catalog) -> Iterator[Problem]:
    """What is wrong with keys of extensions, and with the values of those that hold no configs of middlewares."""
    extensions = tree.get("extensions")
    if not isinstance(extensions, dict):
        return
    yield from count_problem("extensions", extensions, limits.MAX_EXTENSIONS)
    sent_as: dict[str, str] = {}
    for raw, value in extensions.items():
        field = paths.join("extensions", raw)
        try:
            key = str(parse_extension_key(raw))
        except ValueError as error:
            yield Problem(field=field, reason=str(error))
            continue
        if key in sent_as:
            yield Problem(field=field, reason=f"{shown(sent_as[key])} and {shown(raw)} are both the key {shown(key)}")
        sent_as[key] = raw
        entry = catalog.extensions.get(key)
        if entry and not catalog.middleware_of(key):
            yield from secret_problems(entry.schema, value, field)
            for found in entry.schema.problems(value):
                yield Problem(field=field, reason=str(found), expected=found.expected, actual=found.actual)


def uses_of(tree: dict[str, Any]) -> list[Use]:
    """The uses of middlewares in a document, as far as they are sound."""
    found = []
    for index, item in list(objects_at(tree, "runtime", "middlewares"))[: limits.MAX_MIDDLEWARES]:
        name, use_id = item.get("name"), item.get("id")
        if (name is None or isinstance(name, str)) and (use_id is None or isinstance(use_id, str)):
            found.append(Use(index, trim(name or ""), trim(use_id or ""), item.get("config")))
    return found


def _name_problems(use: Use, catalog: Catalog) -> Iterator[Problem]:
    if not use.name:
        yield Problem(field=f"{use.field}.name", reason="must not be empty")
    elif use.name not in catalog.middlewares:
        yield Problem(field=f"{use.field}.name", reason=f"unknown middleware {shown(use.name)}")
    if use.config is not None and not isinstance(use.config, dict):
        yield Problem(field=f"{use.field}.config", reason="must be an object", expected="object")


def _missing_ids(uses: list[Use]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for use in uses:
        if use.id or not use.name:
            continue
        if use.name in first:
            where = f"{USES}[{first[use.name]}]"
            reason = f"needs an id, because {where} uses {shown(use.name)} without one too"
            yield Problem(field=f"{use.field}.id", reason=reason)
        first.setdefault(use.name, use.index)


def _config_problems(tree: dict[str, Any], uses: list[Use], catalog: Catalog, *, complete: bool) -> Iterator[Problem]:
    by_slot = {(use.name, use.slot): use for use in uses}
    sent: set[tuple[str, str]] = set()
    for entry, field, value in config_extensions(tree, catalog):
        yield from _instance_problems(entry, field, value, by_slot)
        instances = value.get("instances") if isinstance(value, dict) else None
        slots = instances if isinstance(instances, dict) else ()
        sent |= {(entry.definition.name, canonical_slot(slot)) for slot in slots}
    for use in uses:
        entry_of_use = catalog.middlewares.get(use.name)
        without = use.config is None and complete and (use.name, use.slot) not in sent
        if entry_of_use and (without or isinstance(use.config, dict)):
            yield from _as_problems(entry_of_use, use.config or {}, f"{use.field}.config")


def config_extensions(tree: dict[str, Any], catalog: Catalog) -> Iterator[tuple[MiddlewareEntry, str, Any]]:
    """The extensions that hold configs of installed middlewares, with their fields and values."""
    extensions = tree.get("extensions")
    for raw, value in extensions.items() if isinstance(extensions, dict) else ():
        try:
            entry = catalog.middleware_of(str(parse_extension_key(raw)))
        except ValueError:
            continue  # said by `extension_problems`
        if entry:
            yield entry, paths.join("extensions", raw), value


def _instance_problems(
    entry: MiddlewareEntry, field: str, value: Any, by_slot: dict[tuple[str, str], Use]
) -> Iterator[Problem]:
    instances = value.get("instances") if isinstance(value, dict) else None
    hollow = value | {"instances": {}} if isinstance(instances, dict) else value
    for found in entry.extension.schema.problems(hollow):
        yield Problem(field=field, reason=str(found), expected=found.expected, actual=found.actual)
    if not isinstance(instances, dict):
        return
    for slot, sent in slot_clashes(instances):
        names = " and ".join(shown(name) for name in sent)
        yield Problem(field=f"{field}.instances", reason=f"{names} are both the slot {shown(slot)}")
    for slot, config in instances.items():
        own = paths.join(f"{field}.instances", slot)
        yield from name_problem(own, canonical_slot(slot).removeprefix("id:"))
        use = by_slot.get((entry.definition.name, canonical_slot(slot)))
        if use is None:
            yield from _as_problems(entry, config, own)
        elif use.config is None:
            yield from _as_problems(entry, config, f"{use.field}.config", origin=f"{SENT_AS}{own})")


def _as_problems(entry: MiddlewareEntry, config: Any, field: str, *, origin: str = "") -> Iterator[Problem]:
    for secret in secret_problems(entry.schema, config, field):
        yield structs.replace(secret, reason=f"{secret.reason}{origin}")
    for found in entry.problems(config):
        yield Problem(field=field, reason=f"{found}{origin}", expected=found.expected, actual=found.actual)
