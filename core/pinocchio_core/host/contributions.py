"""Collecting what plugins contribute: all of a plugin or nothing, and every clash with both names."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct, field, structs

from pinocchio_core.domain.turns import ToolDefinition
from pinocchio_core.host.blame import pass_on
from pinocchio_core.host.catalog import (
    Catalog,
    EngineEntry,
    ExtensionEntry,
    MiddlewareEntry,
    Unsound,
    checked_tool,
    engine_entry,
    extension_entry,
    middleware_entry,
)
from pinocchio_core.host.loader import Plugin, reason_of
from pinocchio_core.host.records import PluginRecord, PluginStatus
from pinocchio_core.plugin.types import EngineDefinition, ExtensionSchema, MiddlewareDefinition

_HOOKS: tuple[tuple[str, str, type, Callable[[Any], Any]], ...] = (
    ("middlewares", "pinocchio_middleware_definitions", MiddlewareDefinition, middleware_entry),
    ("extensions", "pinocchio_extension_schemas", ExtensionSchema, extension_entry),
    ("engines", "pinocchio_engines", EngineDefinition, engine_entry),
    ("tools", "pinocchio_tools", ToolDefinition, checked_tool),
)


class Contribution(Struct, frozen=True):
    """What one plugin contributes, checked."""

    middlewares: list[MiddlewareEntry] = field(default_factory=list)
    extensions: list[ExtensionEntry] = field(default_factory=list)
    engines: list[EngineEntry] = field(default_factory=list)
    tools: list[ToolDefinition] = field(default_factory=list)

    def names(self) -> dict[str, list[str]]:
        """The names of it all, by kind, for listings."""
        return {
            "middlewares": [entry.definition.name for entry in self.middlewares],
            "extensions": self.extension_keys(),
            "engines": [entry.definition.name for entry in self.engines],
            "tools": [tool.name for tool in self.tools],
        }

    def extension_keys(self) -> list[str]:
        """The keys of the extensions it defines, those of its middlewares first, each once."""
        return list(dict.fromkeys([entry.key for entry in self.middlewares] + [entry.key for entry in self.extensions]))


def call(plugin: Plugin, hook: str, **arguments: Any) -> Any:
    """Call a plugin's implementation with those of the arguments that it takes; it may take fewer than there are."""
    implementation = plugin.implementations[hook]
    return implementation.function(*[arguments[name] for name in implementation.argnames])


def returned(plugin: Plugin, hook: str, kind: type, **arguments: Any) -> list[Any]:
    """What a plugin's implementation of a collecting hook returns, drained.

    Raises:
        Unsound: it is not an iterable of `kind`.
        Exception: whatever the plugin raises.
    """
    if hook not in plugin.implementations:
        return []
    result = call(plugin, hook, **arguments)
    if result is None:
        return []
    if not isinstance(result, Iterable):
        raise Unsound(f"{hook} returned {type(result).__name__}, not an iterable of {kind.__name__}")
    items = list(result)
    for item in items:
        if not isinstance(item, kind):
            raise Unsound(f"{hook} returned a {type(item).__name__} where a {kind.__name__} was due")
    return items


def contribution_of(plugin: Plugin) -> Contribution | PluginRecord:
    """What a plugin contributes, or its record with the fault."""
    found: dict[str, list[Any]] = {}
    for kind, hook, record_type, check in _HOOKS:
        try:
            found[kind] = [check(item) for item in returned(plugin, hook, record_type)]
        except Unsound as error:
            return _failed(plugin, f"{hook}: {error}")
        except BaseException as error:  # a plugin may raise anything
            pass_on(error)
            return _failed(plugin, f"{hook} raised {reason_of(error)}")
    return Contribution(**found)


def merge(
    given: Sequence[tuple[Plugin, Contribution]], application: Sequence[ExtensionSchema] = ()
) -> tuple[Catalog, dict[str, PluginRecord]]:
    """One catalog of all contributions, and the records of plugins that claim a name of another.

    Of two plugins that claim one name the one that comes first keeps it, and the other is left out whole.
    `application` are schemas of the embedding application; their keys win over every plugin's.
    """
    owners: dict[tuple[str, str], PluginRecord] = {}
    clashes: dict[str, PluginRecord] = {}
    kept: list[Contribution] = []
    for plugin, contribution in given:
        claims = [(kind, name) for kind, names in contribution.names().items() for name in names]
        clash = _clash(plugin.record, contribution, claims, owners)
        if clash:
            clashes[plugin.record.name] = structs.replace(plugin.record, status=PluginStatus.CONFLICT, detail=clash)
            continue
        owners.update(dict.fromkeys(claims, plugin.record))
        kept.append(contribution)
    return _catalog(kept, application), clashes


def _clash(
    record: PluginRecord,
    contribution: Contribution,
    claims: list[tuple[str, str]],
    owners: dict[tuple[str, str], PluginRecord],
) -> str:
    for kind, name in claims:
        if (kind, name) in owners:
            return f'{kind[:-1]} "{name}" is claimed by {owners[kind, name].source} and by {record.source}'
    for kind, names in (
        ("middleware", [entry.definition.name for entry in contribution.middlewares]),
        ("extension", [entry.key for entry in contribution.extensions]),
        ("engine", [entry.definition.name for entry in contribution.engines]),
        ("tool", [tool.name for tool in contribution.tools]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            return f'{kind} "{twice[0]}" is claimed twice by {record.source}'
    return ""


def _catalog(kept: list[Contribution], application: Sequence[ExtensionSchema]) -> Catalog:
    middlewares = {entry.definition.name: entry for contribution in kept for entry in contribution.middlewares}
    extensions = [extension_entry(schema) for schema in application]
    extensions += [entry.extension for entry in middlewares.values()]
    extensions += [entry for contribution in kept for entry in contribution.extensions]
    by_key: dict[str, ExtensionEntry] = {}
    for entry in extensions:
        by_key.setdefault(entry.key, entry)
    return Catalog(
        middlewares=middlewares,
        extensions=by_key,
        engines={entry.definition.name: entry for contribution in kept for entry in contribution.engines},
        tools={tool.name: tool for contribution in kept for tool in contribution.tools},
    )


def _failed(plugin: Plugin, detail: str) -> PluginRecord:
    return structs.replace(plugin.record, status=PluginStatus.CONTRIBUTION_FAILED, detail=detail)
