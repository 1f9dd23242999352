"""Profiles over one another: what those that one builds on and the profile itself come to together.

A later profile goes over the earlier ones. A policy only narrows: what one of them does not allow stays refused.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, structs

from pinocchio_core.domain.merging import Layer, merged
from pinocchio_core.domain.profile import MiddlewareUse, Policy, Profile, Runtime
from pinocchio_core.domain.slugs import trim

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def canonical_key(key: str) -> str:
    """The name of an override key in snake case, however it was written."""
    return _HUMP.sub("_", trim(key)).replace("-", "_").lower()


def place_of(profile: Profile) -> str:
    """Which version of which profile that is, for people."""
    return f"{profile.registry}/{profile.slug}@{profile.metadata.version}"


def effective(stack: Sequence[Profile]) -> Profile:
    """What profiles come to together, the lowest first; names, texts and metadata are those of the last one."""
    leaf = stack[-1]
    if len(stack) == 1:
        return leaf
    runtimes = [each.runtime for each in stack]
    runtime = Runtime(
        system_prompt=_last(each.system_prompt for each in runtimes),
        middlewares=_uses(runtimes) or None,
        tools=_last(each.tools for each in runtimes),
        step_settings_patch=_merged(each.step_settings_patch for each in runtimes),
    )
    return structs.replace(
        leaf, runtime=runtime, policy=narrowed([each.policy for each in stack]), extensions=_extensions(stack)
    )


def narrowed(policies: Sequence[Policy]) -> Policy:
    """What all policies allow; whether the profile may be changed says the last one alone."""
    lists = [each.allowed_override_keys for each in policies if each.allowed_override_keys is not None]
    allowed: tuple[str, ...] | None = None
    if lists:
        common = set.intersection(*({canonical_key(key) for key in each} for each in lists))
        allowed = tuple(key for key in lists[-1] if canonical_key(key) in common)
    denied = tuple(dict.fromkeys(key for each in policies for key in each.denied_override_keys or ()))
    return Policy(
        allow_overrides=all(each.allow_overrides for each in policies),
        read_only=policies[-1].read_only,
        allowed_override_keys=allowed,
        denied_override_keys=denied or policies[-1].denied_override_keys,
    )


def _uses(runtimes: Iterable[Runtime]) -> tuple[MiddlewareUse, ...]:
    """Uses by name and id, each at its place in the lowest profile; `enabled` is that of who says it last."""
    found: dict[tuple[str, str], MiddlewareUse] = {}
    for use in (use for runtime in runtimes for use in runtime.middlewares or ()):
        old = found.get((use.name, use.slot))
        kept = use if old is None or use.enabled is not None else structs.replace(use, enabled=old.enabled)
        found[use.name, use.slot] = kept
    return tuple(found.values())


def _extensions(stack: Sequence[Profile]) -> dict[str, Raw]:
    """The values by key: configs of middlewares merge, and of the others the last one counts."""
    found: dict[str, Raw] = {}
    for key in dict.fromkeys(key for profile in stack for key in profile.extensions):
        values = [profile.extensions[key] for profile in stack if key in profile.extensions]
        found[key] = values[-1]
        if key.startswith("middleware.") and len(values) > 1:
            found[key] = Raw(msgspec.json.encode(_merged(map(msgspec.json.decode, values))))
    return found


def _merged(values: Iterable[Any]) -> Any:
    return merged([Layer("profile", "", value) for value in values if value is not None])


def _last(values: Iterable[Any]) -> Any:
    return next((value for value in reversed(list(values)) if value is not None), None)
