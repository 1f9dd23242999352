"""Every hook a plugin may implement.

Arguments are append-only: an implementation may take fewer than listed here. No hook stops at the first
result; things are selected by name, and two plugins that claim one name are an error that names both.
"""

from collections.abc import Iterable

import click
import pluggy

from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.turns import ToolDefinition
from pinocchio_core.errors import Problem
from pinocchio_core.plugin.types import (
    EngineDefinition,
    ExtensionSchema,
    MiddlewareDefinition,
    ProfileChange,
    ProfileSeed,
    StartupInfo,
)

PROJECT = "pinocchio"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def pinocchio_middleware_definitions() -> Iterable[MiddlewareDefinition]:  # type: ignore[empty-body]  # a spec
    """Middlewares that profiles may use.

    Return the definitions. Called once, at bootstrap, before every other hook. If it raises, or a definition is
    not sound, the plugin fails as a whole. Since 0.1.

        @hookimpl
        def pinocchio_middleware_definitions():
            yield MiddlewareDefinition("shout", {"type": "object"}, lambda config: shout)
    """


@hookspec
def pinocchio_extension_schemas() -> Iterable[ExtensionSchema]:  # type: ignore[empty-body]  # a spec
    """Schemas of extensions that are not the config of a middleware.

    Return the schemas. Called once, at bootstrap, after `pinocchio_middleware_definitions`. If it raises, the
    plugin fails as a whole. Since 0.1.

        @hookimpl
        def pinocchio_extension_schemas():
            yield ExtensionSchema("acme.badge@v1", {"type": "object", "properties": {"color": {"type": "string"}}})
    """


@hookspec
def pinocchio_engines() -> Iterable[EngineDefinition]:  # type: ignore[empty-body]  # a spec
    """Engines that answer chat turns.

    Return the definitions. Called once, at bootstrap, after `pinocchio_extension_schemas`. If it raises, the
    plugin fails as a whole. Since 0.1.

        @hookimpl
        def pinocchio_engines():
            yield EngineDefinition("parrot", build=lambda settings: parrot)
    """


@hookspec
def pinocchio_tools() -> Iterable[ToolDefinition]:  # type: ignore[empty-body]  # a spec
    """Tools that profiles may offer to the engine.

    Return the definitions. Called once, at bootstrap, after `pinocchio_engines`. If it raises, the plugin fails
    as a whole. Since 0.1.

        @hookimpl
        def pinocchio_tools():
            yield ToolDefinition("clock", description="The time.", arguments_schema={"type": "object"}, call=now)
    """


@hookspec
def pinocchio_bootstrap_profiles() -> Iterable[ProfileSeed]:  # type: ignore[empty-body]  # a spec
    """Profiles for the default registry of a store that is filled for the first time.

    Return the seeds; each passes the checks of a create request. Called once in the life of a store, when it has
    no row for the default registry, before `pinocchio_startup`. If it raises, the plugin fails. Since 0.1.

        @hookimpl
        def pinocchio_bootstrap_profiles():
            yield ProfileSeed("terse", document={"runtime": {"system_prompt": "Answer in one line."}})
    """


@hookspec
def pinocchio_validate_profile(profile: Profile) -> Iterable[Problem]:  # type: ignore[empty-body]  # a spec
    """Further checks of a profile that is about to be written.

    Return the problems; any makes the write a 400. Called for each write, after every schema passed, outside the
    transaction and perhaps again when another write came in between. Should take milliseconds: a slow call is
    logged with the plugin's name. If it raises, the request is a 500 that names the plugin and nothing is
    written. Since 0.1.

        @hookimpl
        def pinocchio_validate_profile(profile):
            if "TODO" in (profile.runtime.system_prompt or ""):
                yield Problem(field="runtime.system_prompt", reason="is not finished")
    """


@hookspec
def pinocchio_profile_changed(change: ProfileChange) -> None:
    """News of a committed change.

    Called after the commit, in the thread of the request. If it raises, that is logged with the plugin's name
    and the request stands. Since 0.1.

        @hookimpl
        def pinocchio_profile_changed(change):
            print(change.op, change.registry, change.slug, change.version)
    """


@hookspec
def pinocchio_startup(info: StartupInfo) -> None:
    """The program is about to serve.

    Called once, after bootstrap and before the port opens. If it raises, the plugin fails. Since 0.1.

        @hookimpl
        def pinocchio_startup(info):
            print("running in", info.version)
    """


@hookspec
def pinocchio_shutdown() -> None:
    """The program has stopped serving.

    Called once at exit, after the last request, before the store closes. If it raises, that is logged. Since 0.1.

        @hookimpl
        def pinocchio_shutdown():
            connection.close()
    """


@hookspec
def pinocchio_cli(commands: click.Group) -> None:
    """Further commands, or further options of the commands there are.

    Called when the command line is built, after the contributions were collected and before the command runs.
    If it raises, the plugin fails. Since 0.1.

        @hookimpl
        def pinocchio_cli(commands):
            @commands.command()
            def greet():
                click.echo("hello")
    """
