"""`pinocchio profiles restore`: a verified backup in the place of the database."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from pinocchio_core.cli.backups import shown_progress
from pinocchio_core.cli.options import store_options
from pinocchio_core.settings import parse_store
from pinocchio_core.store.restore import restore as restore_stopped
from pinocchio_core.store.restore import restore_live


@click.command()
@click.argument("backup", type=click.Path(path_type=Path))
@store_options
@click.option("--live", is_flag=True, help="Write it into the database that servers have open; they serve it at once.")
@click.option("--json", "as_json", is_flag=True, help="What is in place as JSON.")
def restore(backup: Path, live: bool, as_json: bool, **where: Any) -> None:
    """Put BACKUP, after verifying it, in the place of the database, and keep that under another name.

    Without --live, every server on the database must be stopped. Exit status: 0 where the backup is in place and
    sound, 1 where not (then the database is what it was), 2 where the command is wrong.
    """
    dsn = parse_store(where["profile_registry_db"], where["profile_registry_dsn"])
    act = restore_live if live else restore_stopped
    with shown_progress("verifying") as progress:
        done = act(backup, dsn, now=datetime.now().astimezone(), progress=progress)
    if as_json:
        document = {
            "database": str(dsn.path),
            "profiles": done.found.profiles,
            "registries": done.found.registries,
            "sound": done.found.sound,
            "kept": str(done.kept) if done.kept else None,
            "version_floor": done.version_floor,
        }
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        click.echo(f"{dsn.path}: {done.found.profiles} profiles in {done.found.registries} registries, from {backup}")
        if done.kept:
            click.echo(f"what was there before: {done.kept}")
    if not done.found.sound:
        click.get_current_context().exit(1)
