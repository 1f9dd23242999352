"""The one resolver: what a profile, the operator and a request together make a turn run with.

Lowest first: the defaults of a middleware's schema, the profiles that the profile builds on, the profile itself, the
operator's file, variables and options, the request. Objects merge by key, everything else replaces.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from pinocchio_core.domain.merging import Layer, Leaf, leaves, merged
from pinocchio_core.domain.profile import MiddlewareUse, Profile
from pinocchio_core.domain.slugs import shown
from pinocchio_core.domain.stacks import effective, place_of
from pinocchio_core.errors import InvalidRequest, Problem
from pinocchio_core.host.catalog import Catalog, MiddlewareEntry
from pinocchio_core.host.defaults import defaults_for
from pinocchio_core.service.checking.configs import USES
from pinocchio_core.service.checking.overrides import NO_OVERRIDES, Overrides, UseOverride, unknown_tool
from pinocchio_core.service.operator import OperatorConfigs


class ResolvedUse(Struct, frozen=True, kw_only=True):
    """One use of a middleware with its effective config, with the schema's defaults in it."""

    name: str
    id: str | None
    enabled: bool
    config: Mapping[str, Any]
    canonical: msgspec.Raw
    """All of it, with the whole config, as canonical JSON."""
    shown: msgspec.Raw
    """All of it, without secrets, as JSON."""


class Resolved(Struct, frozen=True, kw_only=True):
    """What a turn runs with."""

    registry: str
    slug: str
    version: int
    system_prompt: str | None
    middlewares: tuple[ResolvedUse, ...]
    tools: tuple[str, ...]
    step_settings: Mapping[str, Mapping[str, Any]]
    """Engine settings: section → field → value; those of the operator are not in it."""
    profile: Profile
    """What it was made from; with those that it builds on, what they come to together."""
    bases: Sequence[Profile]
    """The profiles that it builds on, the lowest first."""
    refused: Mapping[str, str]
    """Overrides that the profile's policy took out, and why."""
    layers: Callable[[], Mapping[str, Sequence[Layer]]]
    """Where every part comes from, by its JSON Pointer; put together when it is asked for, which it is seldom."""

    @property
    def runtime_key(self) -> str:
        """What the original program calls the profile of a turn: its slug."""
        return self.slug

    def runtime(self) -> dict[str, Any]:
        """The effective runtime as JSON, without secrets."""
        return self._runtime([use.shown for use in self.middlewares])

    @property
    def fingerprint(self) -> str:
        """`sha256:` over the canonical JSON of what the turn runs with; the same in every process."""
        runtime = self._runtime([use.canonical for use in self.middlewares])
        whole = {"registry": self.registry, "slug": self.slug, "version": self.version, "runtime": runtime}
        if self.bases:
            whole["extends"] = [[each.registry, each.slug, each.metadata.version] for each in self.bases]
        return f"sha256:{hashlib.sha256(_canonical(whole)).hexdigest()}"

    def _runtime(self, middlewares: list[msgspec.Raw]) -> dict[str, Any]:
        prompt = {} if self.system_prompt is None else {"system_prompt": self.system_prompt}
        settings = {"tools": list(self.tools), "step_settings_patch": self.step_settings}
        return {**prompt, "middlewares": middlewares, **settings}

    def explained(self) -> Iterator[Leaf]:
        """Every value of the runtime, with all that wrote it."""
        for at, layers in self.layers().items():
            if layers:
                yield from leaves(layers, at.split("/")[1:])


_canonical = msgspec.json.Encoder(order="sorted").encode

_Uses = Sequence[tuple[ResolvedUse, dict[str, list[Layer]]]]
"""Uses of middlewares, each with where its parts come from."""
_Found = Sequence[Problem]


class Parts(Struct, frozen=True):
    """What a stack comes to by itself, and what is wrong with it; an override takes the place of one of the parts."""

    uses: tuple[_Uses, _Found]
    tools: tuple[tuple[str, ...], _Found]
    settings: Sequence[Layer]


class Resolver:
    """Makes runtimes for profiles."""

    def __init__(self, catalog: Catalog, operator: OperatorConfigs) -> None:
        self._catalog = catalog
        self._operator = operator

    def parts(self, stack: Sequence[Profile]) -> Parts:
        """What a stack comes to by itself; may be kept for as long as all its profiles are the same."""
        profile = effective(stack)
        return Parts(
            self._uses(stack, profile, NO_OVERRIDES),
            self._tools(profile.runtime.tools or ()),
            _layers(stack, NO_OVERRIDES, "step_settings_patch"),
        )

    def resolve(
        self, stack: Sequence[Profile], overrides: Overrides = NO_OVERRIDES, *, own: Parts | None = None
    ) -> Resolved:
        """The runtime of the last profile of a stack, over those before it, under overrides that its policy allows.

        `own` is what `parts` gave for the stack.

        Raises:
            InvalidRequest: a middleware or tool of the profile is not there, an override is ambiguous, or the
                configs of a use do not fit together; with every problem.
        """
        profile, bases = effective(stack), stack[:-1]
        own = own or self.parts(stack)
        uses, wrong_uses = self._uses(stack, profile, overrides) if overrides.middlewares else own.uses
        tools, wrong_tools = own.tools if overrides.tools is None else self._tools(overrides.tools)
        if wrong_uses or wrong_tools:
            raise InvalidRequest([*wrong_uses, *wrong_tools], next_step=_next_step(self._catalog))
        changed = overrides.step_settings_patch is not None
        settings = _layers(stack, overrides, "step_settings_patch") if changed else own.settings
        prompt = overrides.system_prompt if overrides.system_prompt is not None else profile.runtime.system_prompt
        return Resolved(
            registry=profile.registry,
            slug=profile.slug,
            version=profile.metadata.version,
            system_prompt=prompt,
            middlewares=tuple(use for use, _ in uses),
            tools=tools,
            step_settings=merged(settings) or {},
            profile=profile,
            bases=bases,
            refused=overrides.refused,
            layers=lambda: {
                "/system_prompt": _layers(stack, overrides, "system_prompt"),
                "/tools": _layers(stack, overrides, "tools"),
                "/step_settings_patch": settings,
                **{pointer: layers for _, more in uses for pointer, layers in more.items()},
            },
        )

    def _tools(self, names: Sequence[str]) -> tuple[tuple[str, ...], _Found]:
        return tuple(name.strip() for name in names), [
            Problem(field=f"runtime.tools[{index}]", reason=unknown_tool(name, self._catalog))
            for index, name in enumerate(names)
            if name.strip() not in self._catalog.tools
        ]

    def _uses(self, stack: Sequence[Profile], profile: Profile, overrides: Overrides) -> tuple[_Uses, _Found]:
        own = list(profile.runtime.middlewares or ())
        matched, problems = _matched(own, overrides.middlewares)
        uses = [*own, *(_appended(each) for each in overrides.middlewares if each not in matched.values())]
        appended = iter([each for each in overrides.middlewares if each not in matched.values()])
        found = []
        for index, use in enumerate(uses):
            override = matched.get(index) if index < len(own) else next(appended)
            entry = self._catalog.middlewares.get(use.name)
            if entry is None:
                field = f"{USES}[{index}].name"
                problems.append(Problem(field=field, reason=f"unknown middleware {shown(use.name)}"))
                continue
            layers = self._config_layers(entry, use, stack if index < len(own) else (), override)
            resolved, more = self._resolved(index, use, entry, layers, override)
            problems += more
            masks = [Layer(each.source, each.where, entry.schema.masked(each.value)) for each in layers]
            told = {f"/middlewares/{index}/config": masks}
            told[f"/middlewares/{index}/enabled"] = _enabled_layers(use, override, stack if index < len(own) else ())
            found.append((resolved, told))
        return found, problems

    def _config_layers(
        self, entry: MiddlewareEntry, use: MiddlewareUse, stack: Sequence[Profile], override: UseOverride | None
    ) -> list[Layer]:
        upper = [
            Layer("profile", _where(stack, profile, f"extensions {entry.key}, {use.slot}"), stored)
            for profile in stack
            if (stored := profile.config_of(use, version=entry.definition.version))
        ]
        upper += self._operator.layers(use)
        if override and override.config is not None:
            upper.append(Layer("request", f"{override.field}.config", override.config))
        defaults = defaults_for(entry.schema.schema, merged([Layer("", "", {}), *upper]))
        return [Layer("schema", f"defaults of {entry.definition.name}", defaults), *upper]

    def _resolved(
        self,
        index: int,
        use: MiddlewareUse,
        entry: MiddlewareEntry,
        layers: Sequence[Layer],
        override: UseOverride | None,
    ) -> tuple[ResolvedUse, list[Problem]]:
        config = merged(layers)
        enabled = use.enabled is not False
        if override and override.enabled is not None:
            enabled = override.enabled
        field = f"{override.field}.config" if override and override.config is not None else f"{USES}[{index}].config"
        sources = ", ".join(dict.fromkeys(layer.source for layer in layers if layer.value))
        problems = [
            Problem(field=field, reason=f"{found} (merged from {sources or 'nothing'})")
            for found in (entry.problems(config) if enabled else ())
        ]
        document = {"name": use.name, **({"id": use.id} if use.id else {}), "enabled": enabled}
        canonical = msgspec.Raw(_canonical(document | {"config": config}))
        told = msgspec.Raw(msgspec.json.encode(document | {"config": entry.schema.masked(config)}))
        return ResolvedUse(
            name=use.name, id=use.id, enabled=enabled, config=config, canonical=canonical, shown=told
        ), problems


def _matched(
    own: Sequence[MiddlewareUse], overrides: Iterable[UseOverride]
) -> tuple[dict[int, UseOverride], list[Problem]]:
    """Which override is for which use of the profile, and what is wrong with them; the others are new uses."""
    matched: dict[int, UseOverride] = {}
    problems: list[Problem] = []
    new: set[tuple[str, str]] = set()
    for override in overrides:
        named = [index for index, use in enumerate(own) if use.name == override.name]
        found = [index for index in named if (own[index].id or "") == override.id] if override.id else named
        if len(found) > 1:
            ids = ", ".join(shown(own[index].id or "") for index in found)
            reason = f"{shown(override.name)} is ambiguous; specify id, one of {ids}"
            problems.append(Problem(field=f"{override.field}.id", reason=reason))
        elif (found and found[0] in matched) or (not found and (override.name, override.id) in new):
            reason = f"overrides the same use of {shown(override.name)} once more"
            problems.append(Problem(field=override.field, reason=reason))
        elif found:
            matched[found[0]] = override
        else:
            new.add((override.name, override.id))
    return matched, problems


def _appended(override: UseOverride) -> MiddlewareUse:
    return MiddlewareUse(name=override.name, id=override.id or None, enabled=override.enabled)


def _layers(stack: Sequence[Profile], overrides: Overrides, name: str) -> list[Layer]:
    values = [(each, getattr(each.runtime, name)) for each in stack]
    found = [
        Layer("profile", _where(stack, each, f"runtime.{name}"), msgspec.to_builtins(value))
        for each, value in values
        if value is not None
    ]
    sent = getattr(overrides, name)
    return found if sent is None else [*found, Layer("request", f"overrides.{name}", msgspec.to_builtins(sent))]


def _where(stack: Sequence[Profile], profile: Profile, part: str) -> str:
    """Which part of a profile, and where there are several, of which one."""
    return part if len(stack) == 1 else f"{place_of(profile)}, {part}"


def _enabled_layers(use: MiddlewareUse, override: UseOverride | None, stack: Sequence[Profile]) -> list[Layer]:
    """Each profile that has the use, and after the first of them those only that say whether it is enabled."""
    found: list[Layer] = []
    for profile in stack:
        for each in profile.runtime.middlewares or ():
            if (each.name, each.slot) == (use.name, use.slot) and (each.enabled is not None or not found):
                where = _where(stack, profile, "runtime.middlewares")
                found.append(Layer("profile", where, each.enabled is not False))
    if override and (override.enabled is not None or not stack):
        found.append(Layer("request", override.field, override.enabled is not False))
    return found


def _next_step(catalog: Catalog) -> str:
    known = ", ".join(sorted(catalog.middlewares)) or "none"
    return f"see GET /api/chat/schemas/middlewares or pinocchio plugins for what may be used here ({known})"
