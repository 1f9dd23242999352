"""`pinocchio profiles doctor`: what is wrong with a database, and what to do about it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pinocchio_core.cli.backups import database_path, print_json, shown_progress
from pinocchio_core.cli.options import DURATION, default_registry_option, store_options
from pinocchio_core.domain.slugs import printable
from pinocchio_core.host.host import Host
from pinocchio_core.service.upkeep.doctor import diagnose
from pinocchio_core.settings import parse_registry, parse_store


@click.command()
@store_options
@default_registry_option
@click.option(
    "--backup-dir",
    envvar="PINOCCHIO_BACKUP_DIR",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="Where the backups are; default: beside the database.",
)
@click.option(
    "--max-backup-age", type=DURATION, default="7d", show_default=True, help="Warn where the newest one is older."
)
@click.option("--json", "as_json", is_flag=True, help="Every check as JSON.")
@click.pass_obj
def doctor(
    host: Host,
    /,
    default_registry: str,
    backup_dir: Path | None,
    max_backup_age: float,
    as_json: bool,
    **where: Any,
) -> None:
    """Look for everything that is known to go wrong with a database, and say what to do.

    Nothing is changed, and servers may go on. Exit status: 0 where nothing is wrong, warnings included; 1 where
    something is; 2 where the command is wrong.
    """
    path = database_path(where)
    with shown_progress("looking") as progress:
        checks = list(
            diagnose(
                parse_store(where["profile_registry_db"], where["profile_registry_dsn"]),
                path,
                host,
                registry=parse_registry(default_registry),
                backups=backup_dir or path.parent,
                max_backup_age_s=max_backup_age,
                now=datetime.now().astimezone(),
                progress=progress,
            )
        )
    wrong = any(each.state == "wrong" for each in checks)
    if as_json:
        print_json({"database": str(path), "sound": not wrong, "checks": [vars(each) for each in checks]})
    else:
        click.echo(printable(str(path)))
        for each in checks:
            click.echo(f"{each.state:<8} {each.name:<12} {printable(each.detail)}")
            if each.next_step:
                click.echo(f"{'':<21} → {printable(each.next_step)}")
    if wrong:
        click.get_current_context().exit(1)
