"""The catalog: everything that plugins contribute, by name, with compiled schemas. Frozen after bootstrap."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from pinocchio_core.domain.slugs import is_middleware_name, middleware_key, parse_extension_key, shown
from pinocchio_core.domain.turns import ToolDefinition
from pinocchio_core.host.reasons import SchemaProblem
from pinocchio_core.host.schemas import CompiledSchema
from pinocchio_core.host.screening import fault_of
from pinocchio_core.plugin.types import EngineDefinition, ExtensionSchema, MiddlewareDefinition


class Unsound(Exception):
    """A contribution that cannot be used; the text says why."""


class MiddlewareEntry(Struct, frozen=True):
    """A middleware definition with its schema compiled."""

    definition: MiddlewareDefinition
    schema: CompiledSchema
    extension: "ExtensionEntry"
    """The extension that holds the configs of its uses."""

    @property
    def key(self) -> str:
        """The key of that extension."""
        return self.extension.key

    def problems(self, config: Any) -> list[SchemaProblem]:
        """What is wrong with the config of one use."""
        return self.schema.problems(config)

    def document(self) -> dict[str, Any]:
        """It as schema discovery shows it."""
        definition, schema = self.definition, self.schema.schema
        return {
            "name": definition.name,
            "version": definition.version,
            "display_name": definition.display_name or str(schema.get("title") or definition.name),
            "description": definition.description or str(schema.get("description") or ""),
            "schema": schema,
        }


class ExtensionEntry(Struct, frozen=True):
    """An extension's schema, compiled."""

    key: str
    schema: CompiledSchema


class EngineEntry(Struct, frozen=True):
    """An engine definition with its settings' schema compiled."""

    definition: EngineDefinition
    schema: CompiledSchema

    def document(self) -> dict[str, Any]:
        """It as schema discovery shows it."""
        definition = self.definition
        return {
            "name": definition.name,
            "display_name": definition.display_name or definition.name,
            "description": definition.description,
            "schema": self.schema.schema,
        }


class Catalog(Struct, frozen=True, kw_only=True):
    """What may be used in profiles."""

    middlewares: Mapping[str, MiddlewareEntry] = field(default_factory=dict)
    extensions: Mapping[str, ExtensionEntry] = field(default_factory=dict)
    engines: Mapping[str, EngineEntry] = field(default_factory=dict)
    tools: Mapping[str, ToolDefinition] = field(default_factory=dict)

    def middleware_of(self, extension_key: str) -> MiddlewareEntry | None:
        """The middleware whose configs this extension holds, if it is installed in this version."""
        middleware = parse_extension_key(extension_key).middleware
        entry = self.middlewares.get(middleware or "")
        return entry if entry and entry.key == extension_key else None

    def middlewares_json(self) -> bytes:
        """The answer of GET /api/chat/schemas/middlewares."""
        return msgspec.json.encode([self.middlewares[name].document() for name in sorted(self.middlewares)])

    def engines_json(self) -> bytes:
        """The answer of GET /api/chat/schemas/engines."""
        return msgspec.json.encode([self.engines[name].document() for name in sorted(self.engines)])

    def extensions_json(self) -> bytes:
        """The answer of GET /api/chat/schemas/extensions."""
        entries = [self.extensions[key] for key in sorted(self.extensions)]
        return msgspec.json.encode([{"key": entry.key, "schema": entry.schema.schema} for entry in entries])


def middleware_entry(definition: MiddlewareDefinition) -> MiddlewareEntry:
    """The definition, checked and compiled; Unsound where it cannot be used."""
    what = f"middleware {shown(definition.name)}"
    if not is_middleware_name(definition.name):
        raise Unsound(f"{what}: a name is 1 to 57 of a-z, 0-9, _ and -, starting and ending with a letter or digit")
    if not callable(definition.build):
        raise Unsound(f"{what}: build must be callable")
    if definition.migrate_config is not None and not callable(definition.migrate_config):
        raise Unsound(f"{what}: migrate_config must be callable")
    for name in ("display_name", "description"):
        if not isinstance(getattr(definition, name), str):
            raise Unsound(f"{what}: {name} must be a string")
    if type(definition.version) is not int:
        raise Unsound(f"{what}: version must be an integer, 1 to 99999")
    try:
        key = str(middleware_key(definition.name, definition.version))
    except ValueError as error:
        raise Unsound(f"{what}, version {definition.version}: {error}") from None
    schema = _compiled(f"{what}, config_schema", definition.config_schema)
    return MiddlewareEntry(definition, schema, ExtensionEntry(key, CompiledSchema(_instances(schema.schema, key))))


def extension_entry(contribution: ExtensionSchema) -> ExtensionEntry:
    """The extension schema, checked and compiled; Unsound where it cannot be used."""
    try:
        key = str(parse_extension_key(contribution.key))
    except (ValueError, TypeError, AttributeError) as error:
        raise Unsound(str(error)) from None
    return ExtensionEntry(key, _compiled(f"extension {key}", contribution.schema))


def engine_entry(definition: EngineDefinition) -> EngineEntry:
    """The engine definition, checked and compiled; Unsound where it cannot be used."""
    if not is_middleware_name(definition.name) or not callable(definition.build):
        raise Unsound(f"engine {shown(definition.name)}: needs a legal name and a callable build")
    schema = _compiled(f"engine {shown(definition.name)}, settings_schema", definition.settings_schema)
    return EngineEntry(definition, schema)


def checked_tool(definition: ToolDefinition) -> ToolDefinition:
    """The tool definition, Unsound where it cannot be used."""
    if not is_middleware_name(definition.name) or not callable(definition.call):
        raise Unsound(f"tool {shown(definition.name)}: needs a legal name and a callable call")
    _compiled(f"tool {shown(definition.name)}, arguments_schema", definition.arguments_schema)
    return definition


def _compiled(what: str, schema: Any) -> CompiledSchema:
    try:
        # an own copy as plain JSON: what is served and checked against cannot be changed by the plugin later
        plain = msgspec.json.decode(msgspec.json.encode(schema, enc_hook=_plain))
    except (TypeError, ValueError, RecursionError) as error:
        raise Unsound(f"{what}: not JSON: {error}") from None
    fault = fault_of(plain)
    if fault:
        raise Unsound(f"{what}: {fault}")
    return CompiledSchema(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _instances(config_schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    if b'"#' in msgspec.json.encode(config_schema) and "$id" not in config_schema:
        # references in it mean its own root, not that of the schema around it
        config_schema = {"$id": f"urn:pinocchio:{key}"} | dict(config_schema)
    return {
        "type": "object",
        "properties": {"instances": {"type": "object", "additionalProperties": config_schema}},
        "required": ["instances"],
        "additionalProperties": False,
    }
