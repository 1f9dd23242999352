"""`pinocchio plugins migrate`: configs that are stored for an older version of a middleware, carried over."""

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from pinocchio_core.cli.backups import print_json
from pinocchio_core.cli.options import database_options
from pinocchio_core.cli.stores import cli_author, opened_store, plugins_told, writable_profiles
from pinocchio_core.domain.diffs import Operation
from pinocchio_core.host.host import Host
from pinocchio_core.service.upgrades.upgrading import Upgraded, Upgrading
from pinocchio_core.settings import DEFAULT_REGISTRY


@click.command()
@database_options
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Everything as a JSON array.")
@click.pass_obj
def migrate(host: Host, /, dry_run: bool, as_json: bool, **where: Any) -> None:
    """Carry configs over that profiles have for an older version of a middleware, by the plugin's own `migrate_config`.

    Each profile gets an ordinary revision, or stays as it is where something is wrong with it; what is carried over
    already is left alone. Exit status: 0 where every profile is carried over, 1 where one is not, 2 where the command
    is wrong.
    """
    if dry_run:
        with opened_store(**where) as store, plugins_told(host, store):
            done = _told(Upgrading(store, host).planned(), as_json=as_json, verb="would migrate")
    else:
        with writable_profiles(host, DEFAULT_REGISTRY, **where) as (store, writes):
            done = _told(Upgrading(store, host).applied(writes, author=cli_author()), as_json=as_json, verb="migrated")
    if any(each.problems for each in done):
        click.get_current_context().exit(1)


def _told(upgraded: Iterator[Upgraded], *, as_json: bool, verb: str) -> list[Upgraded]:
    done = []
    for each in upgraded:
        done.append(each)
        if as_json:
            continue
        what = f'profile "{each.slug}" in registry "{each.registry}"'
        click.echo(f"NOT migrated: {what}" if each.problems else f"{verb} {what}: {each.reason}")
        for problem in each.problems:
            click.echo(f"    {problem.field}: {problem.reason}")
        for operation in each.changes:
            click.echo(f"    {operation_line(operation)}")
    if as_json:
        print_json(done)
    else:
        wrong = sum(bool(each.problems) for each in done)
        click.echo(f"{len(done) - wrong} {verb}, {wrong} not")
    return done


def operation_line(operation: Operation) -> str:
    """One operation of a JSON Patch for people."""
    op, path = operation["op"], operation["path"]
    if op == "move":
        return f"> {operation['from']} to {path}"
    if op == "remove":
        return f"- {path}"
    return f"{'+' if op == 'add' else '~'} {path} = {msgspec.json.encode(operation['value']).decode()}"
