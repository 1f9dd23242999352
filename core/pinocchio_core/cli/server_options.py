"""Options of `pinocchio web-chat` that no other command has, by what they are about."""

from pathlib import Path

import click

from pinocchio_core.cli.options import DURATION, F


def source_option(command: F) -> F:
    """`--profile-source`."""
    return click.option(
        "--profile-source",
        "profile_sources",
        envvar="PINOCCHIO_PROFILE_SOURCE",
        show_envvar=True,
        multiple=True,
        type=click.Path(path_type=Path),
        help="A file or folder with registries, served read-only beside those of the database. Repeatable.",
    )(command)


def backup_options(command: F) -> F:
    """`--backup-dir` and what belongs to it."""
    for option in (
        click.option(
            "--backup-max-age",
            envvar="PINOCCHIO_BACKUP_MAX_AGE",
            show_envvar=True,
            type=DURATION,
            help="Remove older ones too, such as 30d; never the newest.",
        ),
        click.option(
            "--backup-keep",
            envvar="PINOCCHIO_BACKUP_KEEP",
            show_envvar=True,
            default=14,
            show_default=True,
            metavar="N",
            type=click.IntRange(1),
            help="How many of the newest it keeps.",
        ),
        click.option(
            "--backup-every",
            envvar="PINOCCHIO_BACKUP_EVERY",
            show_envvar=True,
            type=DURATION,
            help="How often it makes one, such as 6h; one server of all those on a database does it.",
        ),
        click.option(
            "--backup-dir",
            envvar="PINOCCHIO_BACKUP_DIR",
            show_envvar=True,
            type=click.Path(path_type=Path),
            help="Where the server puts verified backups that it makes by itself.",
        ),
    ):
        command = option(command)
    return command


def access_options(command: F) -> F:
    """`--auth-tokens` and who else is trusted."""
    for option in (
        click.option(
            "--cors-origin",
            "cors_origins",
            envvar="PINOCCHIO_CORS_ORIGIN",
            show_envvar=True,
            multiple=True,
            metavar="ORIGIN",
            help="An origin, such as https://chat.example.org, whose pages may use this server. Repeatable.",
        ),
        click.option(
            "--allow-host",
            "allow_hosts",
            envvar="PINOCCHIO_ALLOW_HOST",
            show_envvar=True,
            multiple=True,
            metavar="HOST",
            help="A host that this server goes by besides its address, such as chat.example.org. Repeatable.",
        ),
        click.option(
            "--insecure-no-auth",
            envvar="PINOCCHIO_INSECURE_NO_AUTH",
            show_envvar=True,
            is_flag=True,
            default=False,
            help="Let everybody in without a token, from other machines too.",
        ),
        click.option(
            "--auth-tokens",
            envvar="PINOCCHIO_AUTH_TOKENS",
            show_envvar=True,
            type=click.Path(path_type=Path),
            help="The file of tokens that are let in; see pinocchio tokens. Without one, only this machine is.",
        ),
    ):
        command = option(command)
    return command


def change_options(command: F) -> F:
    """Who is told of changes."""
    for option in (
        click.option(
            "--webhooks",
            envvar="PINOCCHIO_WEBHOOKS",
            show_envvar=True,
            type=click.Path(path_type=Path),
            help="A file in TOML or JSON with webhooks that are told of changes.",
        ),
        click.option(
            "--max-listeners",
            envvar="PINOCCHIO_MAX_LISTENERS",
            show_envvar=True,
            default=500,
            show_default=True,
            metavar="N",
            type=click.IntRange(0, 900),
            help="How many clients may listen to changes as events, in each server process.",
        ),
    ):
        command = option(command)
    return command
