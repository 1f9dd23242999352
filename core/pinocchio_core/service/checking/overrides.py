"""What a request wants to be different from the profile, and whether the profile's policy lets it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from pinocchio_core.domain import limits, paths
from pinocchio_core.domain.profile import Policy, Profile
from pinocchio_core.domain.slugs import shown, trim
from pinocchio_core.domain.stacks import canonical_key
from pinocchio_core.domain.suggestions import nearest
from pinocchio_core.errors import InvalidRequest, OverrideRefused, Problem
from pinocchio_core.host.catalog import Catalog
from pinocchio_core.service.checking import names
from pinocchio_core.service.checking.secrets import secret_problems, settings_secrets

FIELD: Final = "overrides"
KEYS: Final = ("system_prompt", "tools", "middlewares", "step_settings_patch")
NOT_ALLOWED: Final = "profile does not allow engine overrides"
"""The words of the original program."""

_USE_FIELDS: Final = {
    "name": (str, "a string"),
    "id": (str, "a string"),
    "enabled": (bool, "a boolean"),
    "config": (dict, "an object"),
}


class UseOverride(Struct, frozen=True, kw_only=True):
    """What a request wants of one use of a middleware."""

    field: str
    """Where it is in the request."""
    name: str
    id: str
    """Empty where none was sent."""
    enabled: bool | None
    config: Mapping[str, Any] | None


class Overrides(Struct, frozen=True, kw_only=True):
    """What a request overrides; `None` is what it leaves alone."""

    system_prompt: str | None = None
    tools: tuple[str, ...] | None = None
    middlewares: tuple[UseOverride, ...] = ()
    step_settings_patch: Mapping[str, Mapping[str, Any]] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    """What policy took out, and why; only where that is asked for instead of an error."""


NO_OVERRIDES: Final = Overrides()


def parse_overrides(sent: Any, catalog: Catalog) -> dict[str, Any]:
    """The overrides of a request by canonical key, without those that are `null`.

    Raises:
        InvalidRequest: with every problem.
    """
    if sent is None:
        return {}
    if not isinstance(sent, Mapping):
        raise InvalidRequest([Problem(field=FIELD, reason="must be an object", expected="object")])
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for raw, value in sent.items():
        key = raw if raw in KEYS else canonical_key(raw)
        if key not in KEYS:
            near = nearest(key, KEYS)
            hint = f"did you mean {near}?" if near else f"known here: {', '.join(KEYS)}"
            problems.append(Problem(field=paths.join(FIELD, raw), reason=f"unknown override; {hint}"))
        elif key in spelled:
            reason = f"is {key} once more, after {shown(spelled[key])}"
            problems.append(Problem(field=paths.join(FIELD, raw), reason=reason))
        else:
            spelled[key] = raw
            if value is not None:
                problems += _CHECKS[key](paths.join(FIELD, raw), value, catalog)
                found[key] = value
    if problems:
        raise InvalidRequest(problems)
    return found


def allowed_overrides(sent: Mapping[str, Any], profile: Profile, *, collect: bool = False) -> Overrides:
    """The overrides that the profile's policy allows; `collect` keeps what it refuses instead of raising.

    Raises:
        InvalidRequest: the profile allows none.
        OverrideRefused: its policy denies one of these.
    """
    refused = dict(_refused(sent, profile.policy))
    if refused and not collect:
        if not profile.policy.allow_overrides:
            raise InvalidRequest(
                [Problem(field=FIELD, reason=NOT_ALLOWED)],
                next_step="leave the overrides out, or set policy.allow_overrides of the profile",
            )
        raise OverrideRefused(profile.registry, profile.slug, refused)
    left = {key: value for key, value in sent.items() if key not in refused} if refused else sent
    tools = left.get("tools")
    return Overrides(
        system_prompt=left.get("system_prompt"),
        tools=None if tools is None else tuple(trim(name) for name in tools),
        middlewares=tuple(_uses(left.get("middlewares") or ())),
        step_settings_patch=left.get("step_settings_patch"),
        refused=refused,
    )


def _refused(sent: Mapping[str, Any], policy: Policy) -> Iterator[tuple[str, str]]:
    if policy.allow_overrides and policy.allowed_override_keys is None and not policy.denied_override_keys:
        return
    allowed = None if policy.allowed_override_keys is None else set(map(canonical_key, policy.allowed_override_keys))
    denied = set(map(canonical_key, policy.denied_override_keys or ()))
    for key, value in sent.items():
        if not policy.allow_overrides:
            yield key, NOT_ALLOWED
        elif found := sorted(_named(key, value) & denied):
            yield key, f"policy.denied_override_keys has {shown(found[0])}"
        elif allowed is not None and key not in allowed:
            yield key, "is not among policy.allowed_override_keys"


def _named(key: str, value: Any) -> set[str]:
    """What a denied key can mean: the override, and of engine settings also a section or a field."""
    if key != "step_settings_patch":
        return {key}
    fields = {canonical_key(name) for section in value.values() for name in section}
    return {key, *map(canonical_key, value), *fields}


def _uses(sent: Any) -> Iterator[UseOverride]:
    for index, use in enumerate(sent):
        yield UseOverride(
            field=f"{FIELD}.middlewares[{index}]",
            name=trim(use["name"]),
            id=trim(use.get("id") or ""),
            enabled=use.get("enabled"),
            config=use.get("config"),
        )


# what can be wrong with each


def _text_problems(field: str, value: Any, _: Catalog) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield _wrong(field, "a string", value)


def _tool_problems(field: str, value: Any, catalog: Catalog) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield _wrong(field, "an array", value)
        return
    yield from names.list_problems(field, value, limits.MAX_TOOLS)
    for index, name in enumerate(value):
        if not isinstance(name, str):
            yield _wrong(f"{field}[{index}]", "a string", name)
        elif trim(name) and trim(name) not in catalog.tools:
            yield Problem(field=f"{field}[{index}]", reason=unknown_tool(name, catalog))


def unknown_tool(name: str, catalog: Catalog) -> str:
    """That there is no such tool, and which there are."""
    return f"unknown tool {shown(trim(name))}; known: {', '.join(sorted(catalog.tools)) or 'none'}"


def _settings_problems(field: str, value: Any, catalog: Catalog) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _wrong(field, "an object", value)
        return
    for section, fields in value.items():
        where = paths.join(field, section)
        yield from names.name_problem(where, section)
        if not isinstance(fields, dict):
            yield _wrong(where, "an object", fields)
    yield from settings_secrets(value, catalog, field)


def _use_problems(field: str, value: Any, catalog: Catalog) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield _wrong(field, "an array", value)
        return
    yield from names.count_problem(field, value, limits.MAX_MIDDLEWARES)
    for index, use in enumerate(value[: limits.MAX_MIDDLEWARES]):
        where = f"{field}[{index}]"
        if isinstance(use, dict):
            yield from _problems_of_use(where, use, catalog)
        else:
            yield _wrong(where, "an object", use)


def _problems_of_use(where: str, use: dict[str, Any], catalog: Catalog) -> Iterator[Problem]:
    for name in use.keys() - _USE_FIELDS.keys():
        yield Problem(field=paths.join(where, name), reason=f"unknown field; known here: {', '.join(_USE_FIELDS)}")
    for name, (kind, text) in _USE_FIELDS.items():
        if use.get(name) is not None and not isinstance(use[name], kind):
            yield _wrong(f"{where}.{name}", text, use[name])
    yield from names.name_problem(f"{where}.id", use.get("id"))
    named = use.get("name") or ""
    if isinstance(named, str) and trim(named) not in catalog.middlewares:
        reason = f"unknown middleware {shown(named)}" if trim(named) else "must not be empty"
        yield Problem(field=f"{where}.name", reason=reason)
    elif isinstance(named, str) and isinstance(use.get("config"), dict):
        yield from secret_problems(catalog.middlewares[trim(named)].schema, use["config"], f"{where}.config")


def _wrong(field: str, expected: str, value: Any) -> Problem:
    return Problem(field=field, reason=f"must be {expected}, is {_kind(value)}")


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", str: "a string", list: "an array", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")


_CHECKS: Final = {
    "system_prompt": _text_problems,
    "tools": _tool_problems,
    "middlewares": _use_problems,
    "step_settings_patch": _settings_problems,
}
