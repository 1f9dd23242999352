"""Options that several commands have."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pinocchio_core.service.chats.admission import DEFAULT_TURNS_AT_ONCE
from pinocchio_core.service.chats.engines import DEFAULT_ENGINE
from pinocchio_core.service.chats.transcripts import DEFAULT_BOUNDS
from pinocchio_core.settings import DEFAULT_REGISTRY, KEY_VARIABLE

F = TypeVar("F", bound=Callable[..., Any])
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """A number and a unit, such as 30d; becomes seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]{1,6})([smhdw])", value.strip())
        if not found or not int(found[1]):
            self.fail(f"{value!r} is no duration; write a number and s, m, h, d or w, for example 30d", param, ctx)
        return float(int(found[1]) * _UNITS_S[found[2]])


DURATION = _Duration()


def store_options(command: F, *short: str) -> F:
    """`--profile-registry-db`, with further names for it, and `--profile-registry-dsn`."""
    for option in (
        click.option(
            "--profile-registry-dsn",
            envvar="PINOCCHIO_PROFILE_REGISTRY_DSN",
            show_envvar=True,
            metavar="DSN",
            help="The database as a DSN, file:PATH?PARAMETERS; wins over --profile-registry-db.",
        ),
        click.option(
            "--profile-registry-db",
            *short,
            "profile_registry_db",
            envvar="PINOCCHIO_PROFILE_REGISTRY_DB",
            show_envvar=True,
            metavar="PATH",
            help="The database file; default: profiles.db in the user's data directory. :memory: keeps nothing.",
        ),
    ):
        command = option(command)
    return command


def database_options(command: F) -> F:
    """As `store_options`, with `--db` for short."""
    return store_options(command, "--db")


def default_registry_option(command: F) -> F:
    """`--default-registry`."""
    return click.option(
        "--default-registry",
        envvar="PINOCCHIO_DEFAULT_REGISTRY",
        show_envvar=True,
        default=DEFAULT_REGISTRY,
        show_default=True,
        metavar="SLUG",
        help="The registry that is meant where none is named.",
    )(command)


def turns_options(command: F) -> F:
    """Where conversations are kept, for how long, and how many turns run."""
    for option in (
        click.option(
            "--turns-at-once",
            envvar="PINOCCHIO_TURNS_AT_ONCE",
            show_envvar=True,
            default=DEFAULT_TURNS_AT_ONCE,
            show_default=True,
            metavar="N",
            type=click.IntRange(1, 900),
            help="How many chat turns run or wait; those not sent as events also need one of half the threads.",
        ),
        click.option(
            "--turns-sent-characters",
            envvar="PINOCCHIO_TURNS_SENT_CHARACTERS",
            show_envvar=True,
            default=DEFAULT_BOUNDS.characters,
            show_default=True,
            metavar="N",
            type=click.IntRange(0),
            help="How many characters those and the new message have at most; earlier turns are left out whole.",
        ),
        click.option(
            "--turns-sent",
            envvar="PINOCCHIO_TURNS_SENT",
            show_envvar=True,
            default=DEFAULT_BOUNDS.turns,
            show_default=True,
            metavar="N",
            type=click.IntRange(0),
            help="How many earlier turns of a conversation are sent to the engine with a new one.",
        ),
        click.option(
            "--turns-max-age",
            envvar="PINOCCHIO_TURNS_MAX_AGE",
            show_envvar=True,
            type=DURATION,
            help="Remove conversations that were not changed for so long, such as 90d; default: never.",
        ),
        click.option(
            "--turns-keep",
            envvar="PINOCCHIO_TURNS_KEEP",
            show_envvar=True,
            metavar="N",
            type=click.IntRange(1),
            help="Keep only the N conversations that were changed last; default: all.",
        ),
        click.option(
            "--turns-db",
            envvar="PINOCCHIO_TURNS_DB",
            show_envvar=True,
            metavar="PATH",
            help="The database of conversations; default: beside that of profiles. :memory: keeps nothing.",
        ),
    ):
        command = option(command)
    return command


def registry_option(command: F) -> F:
    """`--registry`, of one profile."""
    return click.option("--registry", metavar="SLUG", help="Its registry; default: --default-registry.")(command)


def operator_options(command: F) -> F:
    """`--config` and `--middleware-config`."""
    for option in (
        click.option(
            "--middleware-config",
            "middleware_configs",
            envvar="PINOCCHIO_MIDDLEWARE_CONFIG",
            show_envvar=True,
            multiple=True,
            metavar="NAME[#ID].PATH=VALUE",
            help="One value that goes over those of profiles and of the file, such as sqlite.max_rows=50. Repeatable.",
        ),
        click.option(
            "--config",
            envvar="PINOCCHIO_CONFIG",
            show_envvar=True,
            type=click.Path(path_type=Path),
            help="A file in TOML with configs of middlewares that go over those of profiles.",
        ),
    ):
        command = option(command)
    return command


def engine_options(command: F) -> F:
    """`--engine` and what belongs to it."""
    for option in (
        click.option(
            "--engine-allow-origin",
            envvar="PINOCCHIO_ENGINE_ALLOW_ORIGIN",
            show_envvar=True,
            multiple=True,
            metavar="ORIGIN",
            help="An origin, such as https://host:port, that profiles may name as the engine's; never sent the key."
            " Repeatable.",
        ),
        click.option(
            "--engine-api-key-file",
            envvar="PINOCCHIO_ENGINE_API_KEY_FILE",
            show_envvar=True,
            type=click.Path(path_type=Path),
            help=f"A file with the key for the engine; wins over the variable {KEY_VARIABLE}.",
        ),
        click.option(
            "--engine-model",
            envvar="PINOCCHIO_ENGINE_MODEL",
            show_envvar=True,
            metavar="NAME",
            help="The model of profiles that name none.",
        ),
        click.option(
            "--engine-base-url",
            envvar="PINOCCHIO_ENGINE_BASE_URL",
            show_envvar=True,
            metavar="URL",
            help="Where the engine's provider is, such as http://127.0.0.1:8000/v1.",
        ),
        click.option(
            "--engine",
            envvar="PINOCCHIO_ENGINE",
            show_envvar=True,
            default=DEFAULT_ENGINE,
            show_default=True,
            metavar="NAME",
            help="What answers chats of profiles that name no engine; plugins bring them.",
        ),
    ):
        command = option(command)
    return command
