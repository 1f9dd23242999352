"""`pinocchio plugins migrate`: configs that are stored for an older version of a middleware, carried over."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stdout
from typing import Any

import click
import msgspec

from pinocchio_core.cli.backups import print_json
from pinocchio_core.cli.options import database_options
from pinocchio_core.cli.stores import cli_author, opened_store, plugins_told, writable_profiles
from pinocchio_core.domain.diffs import Operation
from pinocchio_core.errors import Problem
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
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # a document stays one whatever plugins print
        if dry_run:
            with opened_store(**where) as store, plugins_told(host, store):
                done = _told(Upgrading(store, host).planned(), silently=as_json, verb="would migrate")
        else:
            with writable_profiles(host, DEFAULT_REGISTRY, **where) as (store, writes):
                carried = Upgrading(store, host).applied(writes, author=cli_author())
                done = _told(carried, silently=as_json, verb="migrated")
    if as_json:
        print_json(done)
    if any(each.problems for each in done):
        click.get_current_context().exit(1)


def _told(upgraded: Iterator[Upgraded], *, silently: bool, verb: str) -> list[Upgraded]:
    if silently:
        return list(upgraded)
    done = []
    for each in upgraded:
        done.append(each)
        what = f'profile "{each.slug}" in registry "{each.registry}"'
        click.echo(f"NOT migrated: {what}" if each.problems else f"{verb} {what}: {each.reason}")
        for problem in each.problems:
            click.echo(f"    {problem_line(problem)}")
        for operation in each.changes:
            click.echo(f"    {operation_line(operation)}")
    wrong = sum(bool(each.problems) for each in done)
    click.echo(f"{len(done) - wrong} {verb}, {wrong} not")
    return done


def problem_line(problem: Problem) -> str:
    """One problem for people; one with the whole has no field."""
    return f"{problem.field}: {problem.reason}" if problem.field else problem.reason


def operation_line(operation: Operation) -> str:
    """One operation of a JSON Patch for people."""
    op, path = operation["op"], operation["path"]
    if op == "move":
        return f"> {operation['from']} to {path}"
    if op == "remove":
        return f"- {path}"
    return f"{'+' if op == 'add' else '~'} {path} = {msgspec.json.encode(operation['value']).decode()}"
