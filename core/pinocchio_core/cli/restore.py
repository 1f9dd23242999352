"""`pinocchio profiles restore`: a verified backup in the place of the database."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pinocchio_core.cli.backups import print_json, shown_progress
from pinocchio_core.cli.drill import drilled
from pinocchio_core.cli.options import default_registry_option, store_options
from pinocchio_core.host.host import Host
from pinocchio_core.settings import parse_registry, parse_store
from pinocchio_core.store.copies.restore import restore as restore_stopped
from pinocchio_core.store.copies.restore import restore_live


@click.command()
@click.argument("backup", type=click.Path(path_type=Path))
@store_options
@default_registry_option
@click.option("--live", is_flag=True, help="Write it into the database that servers have open; they serve it at once.")
@click.option("--drill", is_flag=True, help="Only try it: restore to a temporary folder, serve that, and ask it.")
@click.option("--json", "as_json", is_flag=True, help="What is in place as JSON.")
@click.pass_obj
def restore(
    host: Host, /, backup: Path, default_registry: str, live: bool, drill: bool, as_json: bool, **where: Any
) -> None:
    """Put BACKUP, after verifying it, in the place of the database, and keep that under another name.

    Without --live, every server on the database must be stopped. --drill touches no database: it says, one line a
    check, whether the backup would serve. Exit status: 0 where the backup is in place and sound, or every check of the
    drill went well; 1 where not (then the database is what it was); 2 where the command is wrong.
    """
    if drill and live:
        raise click.UsageError("--drill and --live are two ways to restore; choose one")
    if drill:
        _drill(host, backup, parse_registry(default_registry), as_json=as_json)
        return
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
        print_json(document)
    else:
        click.echo(f"{dsn.path}: {done.found.profiles} profiles in {done.found.registries} registries, from {backup}")
        if done.kept:
            click.echo(f"what was there before: {done.kept}")
    if not done.found.sound:
        click.get_current_context().exit(1)


def _drill(host: Host, backup: Path, registry: str, *, as_json: bool) -> None:
    """Say of each check how it went, as soon as that is known."""
    steps = []
    with shown_progress("verifying") as progress:
        for step in drilled(backup, host, registry=registry, progress=progress):
            steps.append(step)
            if not as_json:
                click.echo(f"{'ok' if step.passed else 'FAILED':<7} {step.name:<10} {step.detail}")
    passed = all(step.passed for step in steps)
    if as_json:
        print_json({"backup": str(backup), "passed": passed, "checks": [vars(step) for step in steps]})
    if not passed:
        click.get_current_context().exit(1)
