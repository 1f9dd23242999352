"""The command `pinocchio`: its group, and how every failure ends in one clear line."""

import gc
import importlib
import signal
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import redirect_stdout
from typing import Any

import click

from pinocchio_core.bootstrap import version
from pinocchio_core.errors import PinocchioError, StartupError
from pinocchio_core.host.blame import Ended, end
from pinocchio_core.host.host import Host
from pinocchio_core.settings import plugin_selection

MODULES = {"web-chat": "web_chat", "chat": "chat", "plugins": "plugins", "profiles": "profiles", "tokens": "tokens"}
"""The module of each command, where its object has the same name."""

HELP = """Keep, check and serve the profiles of chat applications.

Which plugins are loaded is up to PINOCCHIO_LOAD_PLUGINS (distributions, separated by commas; empty for the
built-in ones alone) and PINOCCHIO_BLOCK_PLUGINS (names of plugins).
"""


def build(host: Host) -> click.Group:
    """The command line over these plugins, which may add to it."""
    group: click.Group = _Program("pinocchio", Commands(), help=HELP, context_settings={"max_content_width": 110})
    group = click.version_option(version(), prog_name="pinocchio")(group)
    host.extend_cli(group)
    return group


class _Program(click.Group):
    """The group of all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an interrupt is no failure of it, which is what click would make of it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Ended(signal.SIGINT) from None


class Commands(MutableMapping[str, click.Command]):
    """The commands by name, each imported when it is first asked for: a server starts without those it does not run."""

    def __init__(self) -> None:
        self._commands: dict[str, click.Command | None] = dict.fromkeys(MODULES)

    def __getitem__(self, name: str) -> click.Command:
        command = self._commands[name]
        if command is None:
            module = importlib.import_module(f"pinocchio_core.cli.{MODULES[name]}")
            command = self._commands[name] = _own(getattr(module, MODULES[name]))
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)


def run(*, garbage: tuple[int, int, int]) -> None:
    """Run the command line of this process; once its commands are known, garbage is looked for at these thresholds."""
    try:
        signal.signal(signal.SIGTERM, end)  # a server has its own way later
        with redirect_stdout(sys.stderr):  # standard output is for what commands say, whatever plugins print
            host = Host(selection=plugin_selection())
            command = build(host)
        gc.freeze()
        gc.set_threshold(*garbage)
        command(obj=host)
    except StartupError as error:
        _end(error, error.exit_code)
    except PinocchioError as error:
        _end(error, 1)
    except PermissionError as error:
        if error.filename is None:
            raise
        told = PinocchioError(f"{error.filename}: {error.strerror}")
        told.next_step = "set its permissions and those of its folders, or run this as a user who may get there"
        _end(told, 1)
    except Ended as ended:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing is left to be cleaned up
        sys.exit(ended.exit_code)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _own(command: click.Command) -> click.Command:
    """A copy of a command for one command line, so that options which plugins add stay in it."""
    own = type(command).__new__(type(command))
    vars(own).update(vars(command))
    own.params = list(command.params)
    return own


def _end(error: PinocchioError, exit_code: int) -> None:
    click.echo(f"pinocchio: {error}", err=True)
    if error.next_step:
        click.echo(f"  → {error.next_step}", err=True)
    sys.exit(exit_code)
