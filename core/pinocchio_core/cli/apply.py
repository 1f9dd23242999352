"""`pinocchio profiles apply | import`: files into a database, all of them or nothing."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from pinocchio_core.cli.backups import print_json
from pinocchio_core.cli.options import store_options
from pinocchio_core.cli.plan import files_argument, plan_document, planned, print_plan, prune_option
from pinocchio_core.cli.stores import cli_author, plugins_told, writable_store
from pinocchio_core.errors import SettingsError, StoreUnavailable
from pinocchio_core.host.host import Host
from pinocchio_core.service.files.applying import Applying

confirm_option = click.option("--confirm", is_flag=True, help="Do not ask; needed where nobody could answer.")
reason_option = click.option("--reason", metavar="TEXT", help="Why; kept in the history with every change.")
_CHECKPOINT_MS = 1000


@click.command()
@files_argument
@store_options
@prune_option
@confirm_option
@reason_option
@click.option("--json", "as_json", is_flag=True, help="What was done, or what is wrong, as a JSON object.")
@click.pass_obj
def apply(
    host: Host,
    /,
    files: tuple[Path, ...],
    prune: bool,
    confirm: bool,
    reason: str | None,
    as_json: bool,
    **where: Any,
) -> None:
    """Make the database say what these files say, after showing the plan; servers may have it open.

    Everything is written in one transaction, and nothing where somebody else has changed one of the same profiles since
    the plan was made. Profiles are deleted with --prune only, and only in registries that the files name.

    Exit status: 0 where the database says what the files say, 1 where not; nothing was written then.
    """
    _apply(host, files, where, prune=prune, confirm=confirm, reason=reason, as_json=as_json)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@store_options
@confirm_option
@reason_option
@click.option("--json", "as_json", is_flag=True, help="What was done, or what is wrong, as a JSON object.")
@click.pass_obj
def import_command(host: Host, /, file: Path, confirm: bool, reason: str | None, as_json: bool, **where: Any) -> None:
    """Take over the registries in FILE, YAML or JSON, also of the original program; other profiles stay.

    It is `apply` of one file; nothing is deleted.
    """
    _apply(host, [file], where, prune=False, confirm=confirm, reason=reason, as_json=as_json)


def _apply(
    host: Host,
    files: Sequence[Path],
    where: dict[str, Any],
    *,
    prune: bool,
    confirm: bool,
    reason: str | None,
    as_json: bool,
) -> None:
    with writable_store(**where) as store, plugins_told(host, store):
        made = planned(store, host, files, prune=prune, as_json=as_json)
        if not as_json:
            print_plan(made)
        if made.steps and not confirm:
            _ask(as_json=as_json)
        Applying(store, host, actor=cli_author().actor, reason=reason).apply(made)
        if made.steps:
            with suppress(StoreUnavailable):  # a server that has it open does it later
                store.database.checkpoint(wait_ms=_CHECKPOINT_MS)
    if as_json:
        print_json({**plan_document(made), "applied": True})
    elif made.steps:
        click.echo("applied")


def _ask(*, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise SettingsError("nobody is there to confirm the plan", next_step="add --confirm to apply it")
    if not click.confirm("Apply this plan?", err=True):
        click.echo("nothing was written", err=True)
        raise SystemExit(1)
