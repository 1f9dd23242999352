"""The middleware `sqlite`: a model may query, read-only, the SQLite database that a profile names.

The operator says with `--sqlite-tool-root DIR`, or for every command with the variable ENVIRONMENT, below which folders
such databases may be; without it there are none, and a profile with a `dsn` is refused when it is written.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from pinocchio_core.plugin import Middleware, MiddlewareDefinition, Problem, Profile, StartupInfo, hookimpl
from pinocchio_plugins.sqlite_location import ENVIRONMENT, OPTION, AllowedFolders, DsnRefused

NAME: Final = "sqlite"
EXTENSION: Final = f"middleware.{NAME}_config@v1"
_BOUND: Final = {"type": "integer", "minimum": 1}
SCHEMA: Final[dict[str, Any]] = {
    "title": "SQLite Tool Middleware",
    "description": "Executes SQL tool calls against configured SQLite connection settings.",
    "type": "object",
    "properties": {
        "dsn": {"type": "string"},
        "max_rows": _BOUND,
        "execution_timeout_ms": _BOUND,
        "max_output_lines": _BOUND,
        "max_output_bytes": _BOUND,
    },
    "additionalProperties": False,
}

_log = logging.getLogger(__name__)


class SqlitePlugin:
    """Hooks of the plugin; one object for each program, because the folders belong to a program.

    `roots` are folders that are allowed besides those of the command line.
    """

    def __init__(self, *, roots: Iterable[Path] = ()) -> None:
        self._embedded = tuple(roots)
        self._folders = AllowedFolders(roots=self._embedded)

    @hookimpl
    def pinocchio_middleware_definitions(self) -> Iterator[MiddlewareDefinition]:
        """The one definition of this plugin."""
        yield MiddlewareDefinition(NAME, SCHEMA, self._build, display_name="SQLite Tool")

    @hookimpl
    def pinocchio_cli(self, commands: click.Group) -> None:
        """Add the option that names folders to the command that serves."""
        serve = commands.commands.get("web-chat")
        if serve is None:
            return
        folder = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
        serve.params.append(
            click.Option(
                [OPTION],
                type=folder,
                multiple=True,
                metavar="DIR",
                envvar=ENVIRONMENT,
                show_envvar=True,
                expose_value=False,
                callback=self._name_folders,
                help="Folder below which the sqlite middleware may open databases that profiles name; none by"
                f" default. Repeatable; in the variable, folders are separated by '{os.pathsep}'.",
            )
        )

    @hookimpl
    def pinocchio_startup(self, info: StartupInfo) -> None:
        """Remember the databases of the server, which no profile may read, and the folders of the variable."""
        self._folders = replace(
            self._folders,
            roots=self._folders.roots or _folders_of_environment(),
            profile_database=info.database_path,
            conversations=info.conversations_path,
        )

    @hookimpl
    def pinocchio_validate_profile(self, profile: Profile) -> Iterator[Problem]:
        """A problem for each stored config whose dsn leads where it must not, used or not."""
        extension = profile.extension(EXTENSION) or {}
        places = {
            use.slot: f"runtime.middlewares[{index}].config"
            for index, use in enumerate(profile.runtime.middlewares or ())
            if use.name == NAME
        }
        for slot, config in extension.get("instances", {}).items():
            if reason := self._refusal(config):
                yield Problem(field=places.get(slot, f'extensions["{EXTENSION}"].instances["{slot}"]'), reason=reason)

    def _refusal(self, config: Mapping[str, Any]) -> str | None:
        if "dsn" not in config:
            return None
        try:
            self._locate(config["dsn"])
        except DsnRefused as refusal:
            return f"dsn: {refusal}"
        return None

    def _build(self, config: Mapping[str, Any]) -> Middleware:
        from pinocchio_plugins.sqlite_query import Limits  # with what runs queries, which few servers need
        from pinocchio_plugins.sqlite_tool import SqlTool, pass_on

        if "dsn" not in config:
            _log.info("a sqlite use has no dsn, so it offers no tool")
            return pass_on
        return SqlTool(config["dsn"], locate=self._locate, limits=Limits.of(config))

    def _locate(self, dsn: str) -> str:
        return self._folders.locate(dsn)

    def _name_folders(self, context: click.Context, _option: click.Parameter, named: tuple[Path, ...]) -> None:
        if not context.resilient_parsing:
            self._folders = replace(self._folders, roots=(*self._embedded, *named))


def _folders_of_environment() -> tuple[Path, ...]:
    return tuple(Path(folder) for folder in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if folder)
