"""One check of a plugin against the contract."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pinocchio_core.domain.profile import MiddlewareUse, decode_profile, encode_document
from pinocchio_core.domain.turns import Block, BlockKind, ToolDefinition, Turn
from pinocchio_core.errors import EngineFailed, InvalidRequest
from pinocchio_core.host.blame import pass_on
from pinocchio_core.host.catalog import EngineEntry, ExtensionEntry, MiddlewareEntry
from pinocchio_core.host.contributions import Contribution, contribution_of
from pinocchio_core.host.defaults import defaults_for
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.host.loader import load_plugins, reason_of
from pinocchio_core.host.records import PluginRecord
from pinocchio_core.host.schemas import CompiledSchema
from pinocchio_core.plugin.types import EngineOptions, MiddlewareDefinition
from pinocchio_core.service.checking.requests import CreateProfile
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.upgrades.plain import NotJson, plain_object
from pinocchio_core.service.writing.drafts import drafted
from pinocchio_core.service.writing.seeding import check_seeds


def check_plugin(plugin: Any) -> None:
    """Check a plugin against the contract; AssertionError says what is wrong.

    Hooks fit their specifications, names are legal, schemas are valid and self-contained, and their defaults are valid
    under them. `build` of a middleware works on the defaults of its schema, which come back from a profile as they were
    sent; that of an engine works or raises `EngineFailed`, and an engine that is `offline` answers a turn. A tool that
    can be called without arguments answers with text. Bootstrap profiles pass the checks of a create request.
    """
    loaded, faults = load_plugins(given_plugins([plugin]))
    assert not faults, faults[0].line()
    contribution = contribution_of(loaded[0])
    assert not isinstance(contribution, PluginRecord), contribution.detail
    _check_contribution(contribution)
    host = Host(given_plugins([plugin]))
    assert not host.faults, host.faults[0].line()
    for entry in contribution.middlewares:
        _check_round_trip(entry, Validation(host))
    check_seeds(host, registry="default")
    assert not host.faults, host.faults[0].line()


def defaults_of(definition: MiddlewareDefinition) -> dict[str, Any]:
    """The config that a use of the middleware has where none is given: the defaults of its schema's properties."""
    properties = definition.config_schema.get("properties", {})
    return {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, Mapping) and "default" in schema
    }


def _check_contribution(contribution: Contribution) -> None:
    for middleware in contribution.middlewares:
        _check_middleware(middleware)
    for extension in contribution.extensions:
        _check_extension(extension)
    for engine in contribution.engines:
        _check_engine(engine)
    for tool in contribution.tools:
        _check_tool(tool)


def _check_middleware(entry: MiddlewareEntry) -> None:
    definition = entry.definition
    what = f"middleware {definition.name!r}"
    config = defaults_of(definition)
    if definition.migrate_config is not None:
        assert _takes(definition.migrate_config, config, 1), f"{what}: migrate_config takes a config and a version"
    if _is_complete(what, entry.schema, config):
        built = _built(what, lambda: definition.build(config), config)
        assert callable(built), f"{what}: build returned something that cannot be called"


def _check_round_trip(entry: MiddlewareEntry, validation: Validation) -> None:
    config = defaults_of(entry.definition)
    if any(problem.missing for problem in entry.problems(config)):
        return
    what = f"middleware {entry.definition.name!r}"
    request = _requested(what, entry.definition.name, config, validation)
    draft = drafted(request, registry="default", slug="check", catalog=validation.catalog)
    stored = decode_profile(encode_document(draft)).config_of(
        MiddlewareUse(name=entry.definition.name), version=entry.definition.version
    )
    assert stored == config, f"{what}: its defaults {config} come back from a profile as {stored}"


def _requested(what: str, name: str, config: dict[str, Any], validation: Validation) -> CreateProfile:
    try:
        sent = plain_object(config)
    except NotJson as error:
        raise AssertionError(f"{what}: the defaults of its schema have {error}") from error
    body = msgspec.json.encode({"slug": "check", "runtime": {"middlewares": [{"name": name, "config": sent}]}})
    try:
        return validation.request(body, CreateProfile, target=Target())
    except InvalidRequest as error:
        first = error.problems[0]
        says = f"{first.field}: {first.reason}"
        raise AssertionError(f"{what}: the defaults of its schema are refused in profiles: {says}") from error


def _check_extension(entry: ExtensionEntry) -> None:
    _is_complete(f"extension {entry.key!r}", entry.schema, defaults_for(entry.schema.schema, {}))


def _check_engine(entry: EngineEntry) -> None:
    definition = entry.definition
    what = f"engine {definition.name!r}"
    sections = entry.schema.schema.get("properties", {})
    settings = {
        section: inside
        for section in sections
        if (inside := defaults_for(entry.schema.schema, {section: {}}).get(section))
    }
    if not _is_complete(what, entry.schema, settings):
        return
    try:
        engine = _built(what, lambda: definition.build(settings, EngineOptions()), settings)
    except EngineFailed:
        return  # it needs more from the operator, and says so
    assert callable(engine), f"{what}: build returned something that cannot be called"
    if definition.offline:
        turn = Turn(blocks=(Block(kind=BlockKind.USER, text="hello"),))
        answered = _built(what, lambda: engine(turn), settings, did="answering")
        good = isinstance(answered, Turn) and answered.blocks[:1] == turn.blocks and len(answered.blocks) > 1
        assert good, f"{what}: its answer is not the turn that it got with further blocks at the end"


def _check_tool(tool: ToolDefinition) -> None:
    what = f"tool {tool.name!r}"
    schema = CompiledSchema(tool.arguments_schema)
    arguments = defaults_for(tool.arguments_schema, {})
    if _is_complete(what, schema, arguments):
        answer = _built(what, lambda: tool.call(arguments), arguments, did="call")
        assert isinstance(answer, str), f"{what}: call returned {type(answer).__name__}, not text"


def _is_complete(what: str, schema: CompiledSchema, defaults: dict[str, Any]) -> bool:
    """Whether the defaults alone are valid; AssertionError where one of them is wrong in itself."""
    problems = schema.problems(defaults)
    missing = any(problem.missing for problem in problems)
    wrong = [str(problem) for problem in problems if not problem.missing]
    assert not wrong, f"{what}: the defaults of its schema are not valid under it: {wrong[0]}"
    return not missing


def _built(what: str, call: Callable[[], Any], given: Any, *, did: str = "build") -> Any:
    try:
        return call()
    except EngineFailed:
        raise
    except BaseException as error:
        pass_on(error)
        raise AssertionError(f"{what}: {did} raised {reason_of(error)} for the defaults {given}") from error


def _takes(function: Callable[..., Any], *arguments: Any) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True
