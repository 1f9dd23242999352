"""Agent modes: the middleware `agentmode` and the profile `agent` that uses it."""

from collections.abc import Iterator

from pinocchio_agentmode.definition import agent_profile, chosen_modes, definition, refuse_databases_of_the_server
from pinocchio_agentmode.modes import KEY, MODES_SCHEMA
from pinocchio_core.plugin import ExtensionSchema, MiddlewareDefinition, ProfileSeed, StartupInfo, hookimpl


@hookimpl
def pinocchio_extension_schemas() -> Iterator[ExtensionSchema]:
    """The modes that a profile may have of its own."""
    yield ExtensionSchema(KEY, MODES_SCHEMA)


@hookimpl
def pinocchio_middleware_definitions() -> Iterator[MiddlewareDefinition]:
    """The middleware `agentmode`, with the modes that come with it or those of the operator's table."""
    yield definition(chosen_modes())


@hookimpl
def pinocchio_bootstrap_profiles() -> Iterator[ProfileSeed]:
    """The profile `agent`, which begins as a financial analyst."""
    yield agent_profile()


@hookimpl
def pinocchio_startup(info: StartupInfo) -> None:
    """Refuse a table in a database of the server: a second SQLite in one process would drop the locks of the first."""
    refuse_databases_of_the_server(info.database_path, info.conversations_path)
