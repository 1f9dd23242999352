"""Options that several commands have."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pinocchio_core.settings import DEFAULT_REGISTRY

F = TypeVar("F", bound=Callable[..., Any])


def store_options(command: F) -> F:
    """`--profile-registry-db` and `--profile-registry-dsn`."""
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
            envvar="PINOCCHIO_PROFILE_REGISTRY_DB",
            show_envvar=True,
            metavar="PATH",
            help="The database file; default: profiles.db in the user's data directory. :memory: keeps nothing.",
        ),
    ):
        command = option(command)
    return command


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
