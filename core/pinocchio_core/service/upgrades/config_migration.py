"""Configs of middlewares that are stored for another version of their schema, and what they come to in this one."""

import threading
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Raw, structs

from pinocchio_core.domain import paths
from pinocchio_core.domain.configs import canonical_slot
from pinocchio_core.domain.diffs import Operation, patch_between
from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.slugs import parse_extension_key
from pinocchio_core.errors import Problem
from pinocchio_core.host.catalog import Catalog, MiddlewareEntry
from pinocchio_core.host.loader import reason_of
from pinocchio_core.service.upgrades.plain import NotJson, plain_object

LIMIT_S: Final = 5.0
"""How long `migrate_config` may take for one config."""


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """What the installed versions make of a profile's configs."""

    profile: Profile
    """With every config that could be carried over under its new key."""
    reason: str = ""
    """What was done, for the history; empty where nothing was."""
    changes: tuple[Operation, ...] = ()
    """What happens to it, as a JSON Patch without secrets; configs are moved first and changed then."""
    replaced: tuple[str, ...] = ()
    """The keys of extensions that are gone, for newer ones."""
    failures: tuple[Problem, ...] = ()
    """Configs that could not be carried over, and why; where there is one, nothing was done."""
    left_behind: tuple[Problem, ...] = ()
    """Configs that are no longer read, because nobody carries them over."""


@dataclass(frozen=True)
class _Older:
    """The configs of one middleware under a key that the installed version does not read."""

    entry: MiddlewareEntry
    key: str
    version: int
    instances: dict[str, Any]


class ConfigMigration:
    """Carries configs over to the versions of their schemas that are installed."""

    def __init__(self, catalog: Catalog, *, limit_s: float = LIMIT_S) -> None:
        self._catalog = catalog
        self._limit_s = limit_s
        self._hanging: set[str] = set()

    def of(self, profile: Profile) -> Migrated:
        """What the profile comes to; itself where all its configs are for the installed versions."""
        extensions = dict(profile.extensions)
        reasons: list[str] = []
        changes: list[Operation] = []
        failures: list[Problem] = []
        left_behind: list[Problem] = []
        # the newest of several older versions first: what an older one has besides is added to it
        for older in sorted(self._older(profile), key=lambda each: (each.entry.definition.name, -each.version)):
            definition = older.entry.definition
            current = _instances(extensions.get(older.entry.key))
            left = {slot: config for slot, config in older.instances.items() if slot not in current}
            if definition.migrate_config is None or older.version > definition.version:
                left_behind += _left_behind(profile, older, left)
                continue
            carried, found = self._carried(older, left, part=bool(profile.runtime.extends))
            failures += found
            reasons.append(f"config of {definition.name} v{older.version} → v{definition.version}")
            changes += _changes(older, left, carried)
            del extensions[older.key]
            extensions[older.entry.key] = Raw(msgspec.json.encode({"instances": current | carried}))
        if failures or not reasons:
            return Migrated(profile=profile, failures=tuple(failures), left_behind=tuple(left_behind))
        return Migrated(
            profile=structs.replace(profile, extensions=extensions),
            reason=", ".join(reasons),
            changes=tuple(changes),
            replaced=tuple(key for key in profile.extensions if key not in extensions),
            left_behind=tuple(left_behind),
        )

    def _older(self, profile: Profile) -> Iterator[_Older]:
        for key, raw in profile.extensions.items():
            try:
                parsed = parse_extension_key(key)
            except ValueError:
                continue  # said by the checks of the profile
            entry = self._catalog.middlewares.get(parsed.middleware or "")
            if entry and entry.definition.version != parsed.version:
                yield _Older(entry, key, parsed.version, _instances(raw))

    def _carried(self, older: _Older, configs: dict[str, Any], *, part: bool) -> tuple[dict[str, Any], list[Problem]]:
        """The configs for the installed version; of those that are `part` of whole ones, properties may be missing."""
        carried: dict[str, Any] = {}
        problems: list[Problem] = []
        for slot, config in configs.items():
            outcome = self._called(older, config)
            found = () if isinstance(outcome, str) else older.entry.problems(outcome)
            wrong = [str(each) for each in found if not (part and each.missing)]
            wrong += [outcome] if isinstance(outcome, str) else []
            if wrong or isinstance(outcome, str):
                field = paths.join("extensions", older.key, "instances", slot)
                problems += [Problem(field=field, reason=reason) for reason in wrong]
            else:
                carried[slot] = outcome
        return carried, problems

    def _called(self, older: _Older, config: Any) -> dict[str, Any] | str:
        """The config for the installed version, or why there is none.

        In a thread of its own: one that hangs is not asked again, and does not keep the program from ending.
        """
        definition = older.entry.definition
        what = f"migrate_config of {definition.name}"
        if definition.name in self._hanging:
            return f"{what} did not return for another config, and was not asked again"
        if not isinstance(config, dict):
            return "is no object"
        outcome: list[dict[str, Any] | str] = []

        def call() -> None:
            try:
                # a copy: what was there before is compared with what comes back
                made: object = definition.migrate_config(deepcopy(config), older.version)  # type: ignore[misc]  # never None here
                outcome.append(plain_object(made))
            except NotJson as error:
                outcome.append(f"{what} returned {error}")
            except BaseException as error:  # noqa: BLE001  a plugin may raise anything, and signals come elsewhere
                outcome.append(f"{what} raised {reason_of(error)}")

        thread = threading.Thread(target=call, name=what, daemon=True)
        thread.start()
        thread.join(self._limit_s)
        if not outcome:
            self._hanging.add(definition.name)
            return f"{what} did not return within {self._limit_s:g} s"
        return outcome[0]


def _instances(raw: Raw | None) -> dict[str, Any]:
    """The configs in an extension by slot, each time new objects."""
    value = {} if raw is None else msgspec.json.decode(raw)
    instances = value.get("instances") if isinstance(value, dict) else None
    return {canonical_slot(slot): config for slot, config in instances.items()} if isinstance(instances, dict) else {}


def _left_behind(profile: Profile, older: _Older, left: dict[str, Any]) -> Iterator[Problem]:
    definition = older.entry.definition
    slots = {use.slot for use in profile.runtime.middlewares or () if use.name == definition.name}
    why = f"version {definition.version} of {definition.name} does not read it"
    why += " and has no migrate_config" if older.version < definition.version else ", and it is for a newer one"
    for slot, config in left.items():
        if slot in slots and config:
            yield Problem(field=paths.join("extensions", older.key, "instances", slot), reason=why)


def _changes(older: _Older, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Operation]:
    yield {"op": "move", "from": paths.pointer(("extensions", older.key)), "path": _place(older.entry)}
    masked = older.entry.schema.masked
    for slot, config in sorted(after.items()):
        # what was secret before is not known any more, so nothing is told of what was there before
        for operation in patch_between(masked(before[slot]), masked(config)):
            yield operation | {"path": _place(older.entry, "instances", slot) + operation["path"]}


def _place(entry: MiddlewareEntry, *inside: str) -> str:
    return paths.pointer(("extensions", entry.key, *inside))
